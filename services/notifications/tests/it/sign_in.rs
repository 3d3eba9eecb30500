use std::time::Duration;

use contract::identity::v1::{PasswordChanged, PasswordReset, UserRegistered};
use notifications::Config;
use testkit::{Actor, App};

use crate::verbs::{Reads, Tells, app, app_with};

const LAPTOP: (&str, &str) = ("203.0.113.7", "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0");
const PHONE: (&str, &str) = ("198.51.100.9", "Mozilla/5.0 (Android 16; Mobile; rv:141.0) Gecko/141.0 Firefox/141.0");
const DAY: Duration = Duration::from_secs(86_400);

/// What `who` was told of, in the inbox and by mail.
async fn told(app: &App, who: &Actor) -> (i32, i64) {
    (who.renewed().unread().await, app.count("SELECT count(*) FROM notifications.delivery WHERE template = 'sign_in'").await)
}

#[tokio::test]
async fn a_sign_in_is_told_when_it_comes_from_a_device_that_is_new_and_only_then() {
    let app = app().await;
    let ben = app.member("ben").await;
    for (origin, count) in [(LAPTOP, 1), (LAPTOP, 1), (PHONE, 2), (LAPTOP, 2), (PHONE, 2), ((PHONE.0, LAPTOP.1), 3)] {
        app.sign_in_from(&ben, origin).await;
        assert_eq!(told(&app, &ben).await, (count, i64::from(count)), "{origin:?}");
    }
    assert_eq!(app.count("SELECT count(*) FROM notifications.inbox").await, 6, "every one was taken");
    assert_eq!(ben.titles("").await, ["New sign-in to your account"; 3]);
}

#[tokio::test]
async fn the_device_of_a_registration_is_known_in_silence_and_the_next_one_is_not() {
    let app = app().await;
    let ben = app.member("ben").await;
    app.tell_from(&ben, LAPTOP, UserRegistered { user_id: ben.user_id.to_string(), after: None, mail_wanted: true }).await;
    app.sign_in_from(&ben, LAPTOP).await;
    assert_eq!(told(&app, &ben).await, (0, 0));
    app.sign_in_from(&ben, PHONE).await;
    assert_eq!(told(&app, &ben).await, (1, 1));
}

#[tokio::test]
async fn a_device_is_known_of_its_person_alone_and_one_of_which_nothing_is_known_never() {
    let app = app().await;
    let (ana, ben) = (app.member("ana").await, app.member("ben").await);
    app.sign_in_from(&ana, LAPTOP).await;
    app.sign_in_from(&ben, LAPTOP).await;
    app.sign_in(&ben).await;
    app.sign_in(&ben).await;
    assert_eq!((ana.unread().await, ben.unread().await), (1, 3));
}

#[tokio::test]
async fn a_device_that_is_used_stays_known_and_one_that_is_not_is_forgotten() {
    let app = app_with(Config { known_device_days: 30, ..Config::default() }).await;
    let ben = app.member("ben").await;
    app.sign_in_from(&ben, LAPTOP).await;
    for _ in 0..2 {
        app.clock().advance(29 * DAY);
        app.sign_in_from(&ben, LAPTOP).await;
    }
    assert_eq!(told(&app, &ben).await, (1, 1), "each use counts");
    app.clock().advance(31 * DAY);
    app.sign_in_from(&ben, LAPTOP).await;
    assert_eq!(told(&app, &ben).await, (2, 2));
}

#[tokio::test]
async fn no_more_devices_are_known_than_may_be_and_the_longest_unused_goes_first() {
    let app = app_with(Config { known_devices_per_user: 2, ..Config::default() }).await;
    let ben = app.member("ben").await;
    for (address, count) in [("192.0.2.1", 1), ("203.0.113.1", 2), ("198.51.100.1", 3), ("203.0.113.1", 3), ("192.0.2.1", 4)] {
        app.clock().advance(2 * DAY);
        app.sign_in_from(&ben, (address, "agent")).await;
        assert_eq!(told(&app, &ben).await.0, count, "{address}");
    }
    assert_eq!(app.count("SELECT count(*) FROM notifications.known_device").await, 2);
}

#[tokio::test]
async fn when_the_password_is_another_one_by_a_link_no_device_is_known_any_more() {
    let app = app().await;
    let ben = app.member("ben").await;
    app.sign_in_from(&ben, LAPTOP).await;
    app.tell_from(&ben, LAPTOP, PasswordReset { user_id: ben.user_id.to_string(), before: None, after: None }).await;
    app.sign_in_from(&ben, LAPTOP).await;
    assert_eq!(ben.titles("").await, ["New sign-in to your account", "Your password was changed", "New sign-in to your account"]);
}

#[tokio::test]
async fn who_changes_the_password_is_known_from_there_and_no_other_device_any_more() {
    let app = app().await;
    let ben = app.member("ben").await;
    for origin in [LAPTOP, PHONE] {
        app.sign_in_from(&ben, origin).await;
    }
    app.tell_from(&ben, LAPTOP, PasswordChanged { user_id: ben.user_id.to_string(), before: None, after: None }).await;
    app.sign_in_from(&ben, LAPTOP).await;
    assert_eq!(told(&app, &ben).await, (3, 2), "two sign-ins and the change");
    app.sign_in_from(&ben, PHONE).await;
    assert_eq!(told(&app, &ben).await, (4, 3), "which an intruder may have");
}

#[tokio::test]
async fn a_sign_in_that_comes_twice_is_told_once() {
    let app = app().await;
    let ben = app.member("ben").await;
    let event = app.sign_in_from(&ben, LAPTOP).await;
    sqlx::query("DELETE FROM notifications.inbox").execute(&mut app.sql().await).await.unwrap();
    app.deliver(&event).await;
    app.settled().await;
    assert_eq!(told(&app, &ben).await, (1, 1));
}

#[tokio::test]
async fn neither_an_address_nor_an_agent_can_be_read_from_the_devices() {
    let app = app().await;
    app.sign_in_from(&app.member("ben").await, LAPTOP).await;
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT d::text FROM notifications.known_device d").fetch_all(&mut app.sql().await).await.unwrap();
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    for part in ["203.0.113", "Firefox"] {
        assert!(rows.iter().all(|row| !row.contains(part) && !row.contains(&hex(part))), "{part} can be read");
    }
    assert_eq!(rows.len(), 1);
}
