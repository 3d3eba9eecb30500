use identity::Config;
use identity::retention::Retention;
use std::time::Duration;
use testkit::{App, assert_fault, fault};

use crate::reset_password::mailed;
use crate::verbs::{Acts, Door, PASSWORD, Person, address, identity, identity_with, quick};

const SECOND: &str = "another good password";
const THIRD: &str = "a third one, as good";

/// The service, which looks at the last two passwords.
async fn remembering() -> App {
    identity_with(Config { password_history: 2, ..quick() }).await
}

/// How many former passwords are kept.
async fn kept(app: &App) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM identity.password_history").fetch_one(&mut app.sql().await).await.unwrap()
}

async fn is_refused(ana: &Person, current: &str, new: &str) {
    let refused = assert_fault!(ana.change_password(current, new).await, InvalidArgument, "PASSWORD_TOO_WEAK");
    assert!(format!("{refused:?}").contains("password.reused"), "{refused:?}");
}

#[tokio::test]
async fn one_of_the_last_passwords_is_not_chosen_again_and_an_older_one_is() {
    let app = remembering().await;
    let ana = app.person("ana").await;
    is_refused(&ana, PASSWORD, PASSWORD).await;
    ana.change_password(PASSWORD, SECOND).await.unwrap();
    is_refused(&ana, SECOND, PASSWORD).await;
    ana.change_password(SECOND, THIRD).await.unwrap();
    is_refused(&ana, THIRD, SECOND).await;
    ana.change_password(THIRD, PASSWORD).await.unwrap();
    assert_eq!(kept(&app).await, 1, "no more is kept than is looked at");
    app.sign_in(&address("ana")).await;
}

#[tokio::test]
async fn a_reset_is_no_way_around_it_and_a_used_link_asks_nothing() {
    let app = remembering().await;
    app.verified("ana").await;
    let token = mailed(&app, "ana").await;
    let refused = assert_fault!(app.reset_password(&token, PASSWORD).await, InvalidArgument, "PASSWORD_TOO_WEAK");
    assert!(format!("{refused:?}").contains("password.reused"), "{refused:?}");
    app.reset_password(&token, SECOND).await.unwrap();
    for guess in [PASSWORD, SECOND, THIRD] {
        assert_fault!(app.reset_password(&token, guess).await, InvalidArgument, "PASSWORD_RESET_TOKEN_INVALID");
    }
    assert_eq!(kept(&app).await, 1);
}

#[tokio::test]
async fn who_asks_with_a_link_which_passwords_were_the_last_has_to_wait() {
    let app = remembering().await;
    app.verified("ana").await;
    let token = mailed(&app, "ana").await;
    for weak in ["password", "12345678", "short"].into_iter().cycle().take(60) {
        assert_fault!(app.reset_password(&token, weak).await, InvalidArgument, "PASSWORD_TOO_WEAK");
    }
    let mut told = 0;
    while let Err(refused) = app.reset_password(&token, PASSWORD).await {
        if fault::reason(&refused) == "ATTEMPTS_THROTTLED" {
            break;
        }
        told += 1;
        assert!(told < 60, "each costs an attempt");
    }
    app.clock().advance(Duration::from_mins(20));
    app.reset_password(&token, SECOND).await.unwrap();
}

#[tokio::test]
async fn a_setting_that_was_lowered_is_kept_by_those_too_who_change_nothing() {
    let app = identity_with(Config { password_history: 3, ..quick() }).await;
    for name in ["ana", "ben"] {
        let person = app.person(name).await;
        person.change_password(PASSWORD, SECOND).await.unwrap();
        person.change_password(SECOND, THIRD).await.unwrap();
    }
    let newest = "SELECT array_agg(last ORDER BY last) FROM (SELECT max(password_history_id::text) AS last FROM identity.password_history GROUP BY user_id) l";
    let last = async || -> Vec<String> { sqlx::query_scalar(newest).fetch_one(&mut app.sql().await).await.unwrap() };
    let (before, retention) =
        (last().await, |password_history| Retention { db: app.deps().db.clone(), pending_kept: time::Duration::days(7), password_history });
    for (setting, histories, left) in [(3, true, 4), (2, false, 4), (2, true, 2), (2, true, 2), (0, true, 0)] {
        assert!((left == 0) || last().await == before, "the newest stay");
        retention(setting).round(histories).await.unwrap();
        assert_eq!(kept(&app).await, left, "a setting of {setting}");
    }
}

#[tokio::test]
async fn nothing_is_kept_unless_it_is_asked_for() {
    let app = identity().await;
    let ana = app.person("ana").await;
    ana.change_password(PASSWORD, SECOND).await.unwrap();
    ana.change_password(SECOND, PASSWORD).await.unwrap();
    assert_eq!(kept(&app).await, 0);
}

#[tokio::test]
async fn no_login_reads_a_former_hash() {
    use sqlx::Connection;
    let app = remembering().await;
    app.person("ana").await.change_password(PASSWORD, SECOND).await.unwrap();
    for name in ["identity_app", "identity_worker"] {
        let mut login = sqlx::PgConnection::connect(&app.database_url(name)).await.unwrap();
        let refused = sqlx::query("SELECT password_hash FROM identity.password_history").execute(&mut login).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "42501", "{name}");
    }
}
