//! When a session was last used, between its refreshes.

use std::time::Duration;

use contract::identity::v1::token_service_client::TokenServiceClient;
use contract::identity::v1::{IntrospectTokenRequest, Session};
use identity::Config;
use identity::session::last_use::LastUse;
use testkit::{Actor, App, assert_fault};

use crate::verbs::{Acts, Door, Person, address, identity_with, quick, until};

const MINUTE: Duration = Duration::from_secs(60);

/// The service, which writes down what it saw when it is told to.
async fn told() -> App {
    identity_with(Config { last_use_seconds: 3_600, ..quick() }).await
}

/// Writes down what was seen; says of how many sessions.
async fn written(app: &App) -> u64 {
    app.inside(|deps| async move { LastUse { db: deps.db.clone(), verifier: deps.verifier.clone() }.write().await.unwrap() }).await
}

/// When the session of `who` was last used, as seconds since the test began, looked at in another session of theirs.
async fn last_use(other: &Actor, who: &Person) -> i64 {
    let at = |session: &Session| session.last_use_time.unwrap().seconds - session.create_time.unwrap().seconds;
    other.list_sessions().await.unwrap().iter().find(|session| session.session_id == who.session.session_id).map(at).unwrap()
}

#[tokio::test]
async fn a_session_whose_token_is_shown_was_used_then() {
    let app = told().await;
    let (ana, other) = (app.person("ana").await, app.sign_in(&address("ana")).await);
    app.clock().advance(MINUTE);
    ana.get_user("").await.unwrap();
    app.clock().advance(MINUTE);
    assert_eq!(last_use(&other, &ana).await, 0, "it is written now and then");
    assert_eq!(written(&app).await, 2);
    assert_eq!((last_use(&other, &ana).await, last_use(&other, &other).await), (60, 120));
    assert_eq!(written(&app).await, 0, "nothing is written twice for one moment");
}

#[tokio::test]
async fn a_token_that_somebody_asks_about_is_used() {
    let app = told().await;
    let (ana, other) = (app.person("ana").await, app.sign_in(&address("ana")).await);
    app.clock().advance(MINUTE);
    let request = IntrospectTokenRequest { token: ana.token.clone() };
    assert!(TokenServiceClient::new(app.service("tasks").channel()).introspect_token(request).await.unwrap().into_inner().active);
    written(&app).await;
    assert_eq!(last_use(&other, &ana).await, 60);
}

#[tokio::test]
async fn what_is_written_late_takes_no_later_use_back() {
    let app = told().await;
    let (ana, other) = (app.person("ana").await, app.sign_in(&address("ana")).await);
    app.clock().advance(MINUTE);
    ana.get_user("").await.unwrap();
    app.clock().advance(MINUTE);
    app.refresh_session(&ana.tokens.refresh_token).await.unwrap();
    assert_eq!(written(&app).await, 0);
    assert_eq!(last_use(&other, &ana).await, 120);
    // A replica whose clock is behind trades the next one.
    app.clock().set(app.now() - time::Duration::MINUTE);
    let second = app.refresh_session(&ana.tokens.refresh_token).await.unwrap();
    app.refresh_session(&second.refresh_token).await.unwrap();
    assert_eq!(last_use(&other, &ana).await, 120);
}

#[tokio::test]
async fn a_session_that_is_held_is_passed_over_and_one_that_is_over_stays_as_it_was() {
    let app = told().await;
    let (ana, ben) = (app.person("ana").await, app.person("ben").await);
    app.clock().advance(MINUTE);
    ana.get_user("").await.unwrap();
    ben.revoke_session("").await.unwrap();
    let mut sql = app.sql().await;
    let mut holder = sqlx::Connection::begin(&mut sql).await.unwrap();
    sqlx::query("SELECT FROM identity.session FOR UPDATE").execute(&mut *holder).await.unwrap();
    assert_eq!(written(&app).await, 0, "and nobody waited");
    holder.rollback().await.unwrap();
    ana.get_user("").await.unwrap();
    assert_eq!(written(&app).await, 1);
}

#[tokio::test]
async fn a_use_does_not_stretch_what_a_refresh_counts() {
    let app = told().await;
    let ana = app.person("ana").await;
    let owner = app.founded(&ana, "acme").await;
    owner.limit_sessions(1_800, 0, "").await.unwrap();
    let second = app.refresh_session(&ana.tokens.refresh_token).await.unwrap();
    for _ in 0..2 {
        app.clock().advance(Duration::from_secs(450));
        owner.get_user("").await.unwrap();
        assert_eq!(written(&app).await, 1);
    }
    app.clock().advance(Duration::from_secs(900));
    assert_fault!(app.refresh_session(&second.refresh_token).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
    let ben = app.person("ben").await;
    app.refresh_session(&ben.tokens.refresh_token).await.unwrap();
    app.clock().advance(Duration::from_secs(31));
    ben.get_user("").await.unwrap();
    written(&app).await;
    assert_fault!(app.refresh_session(&ben.tokens.refresh_token).await, Unauthenticated, "REFRESH_TOKEN_REUSED");
}

#[tokio::test]
async fn the_service_writes_by_itself_and_once_more_when_it_stops() {
    let mut app = identity_with(Config { last_use_seconds: 1, ..quick() }).await;
    let (ana, other) = (app.person("ana").await, app.sign_in(&address("ana")).await);
    app.clock().advance(MINUTE);
    ana.get_user("").await.unwrap();
    until("it is written", async || last_use(&other, &ana).await == 60).await;
    app.clock().advance(MINUTE);
    ana.get_user("").await.unwrap();
    app.restart().await;
    assert_eq!(last_use(&other, &ana).await, 120);
}
