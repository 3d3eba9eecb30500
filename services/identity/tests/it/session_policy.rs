//! What an organization asks of sessions that act in it.

use std::time::Duration;

use contract::BaseRole;
use contract::identity::v1::{OrganizationSettingsUpdated, SessionRefreshReused};
use testkit::{assert_fault, fault::violated_fields};

use crate::verbs::{Acts, Door, address, identity};

/// The least there may be.
const IDLE: i32 = 1_800;
/// How long an access token is taken: its life, and what clocks may differ.
const TAKEN: Duration = Duration::from_secs(930);
const LONGEST: i32 = 7_200;

#[tokio::test]
async fn an_admin_says_how_long_sessions_idle_and_last_and_members_read_it() {
    let app = identity().await;
    let person = app.person("ana").await;
    let ana = app.founded(&person, "acme").await;
    let before = ana.organization_settings().await.unwrap();
    assert_eq!((before.session_idle_seconds, before.session_max_seconds, before.etag.as_str()), (0, 0, "0"));
    let after = ana.limit_sessions(IDLE, LONGEST, &before.etag).await.unwrap();
    assert_eq!((after.session_idle_seconds, after.session_max_seconds), (IDLE, LONGEST));
    assert_fault!(ana.limit_sessions(0, 0, &before.etag).await, Aborted, "ETAG_MISMATCH");
    assert_eq!(ana.limit_sessions(IDLE, LONGEST, "").await.unwrap(), after, "nothing changed");
    let ben = app.joined(&ana, "ben", BaseRole::Member).await;
    assert_eq!(ben.organization_settings().await.unwrap(), after);
    assert_fault!(ben.limit_sessions(0, 0, "").await, PermissionDenied, "PERMISSION_DENIED");
    let refused = assert_fault!(ana.limit_sessions(IDLE - 1, LONGEST, "").await, InvalidArgument, "FIELD_VIOLATION");
    assert_eq!(violated_fields(&refused), ["organization_settings.session_idle_seconds"]);
    let [told] = app.events::<OrganizationSettingsUpdated>().await.try_into().unwrap();
    assert_eq!((told.before.unwrap(), told.after.unwrap()), (before, after));
}

#[tokio::test]
async fn a_session_that_idles_longer_than_its_organization_lets_it_is_over() {
    let app = identity().await;
    let person = app.person("ana").await;
    let ana = app.founded(&person, "acme").await;
    let elsewhere = app.sign_in(&address("ana")).await;
    ana.limit_sessions(IDLE, 0, "").await.unwrap();
    // It was there before: the limit holds at its next refresh, and goes with it from then on.
    let mut token = person.tokens.refresh_token.clone();
    for _ in 0..3 {
        app.clock().advance(Duration::from_secs(IDLE as u64 - 1));
        token = app.refresh_session(&token).await.unwrap().refresh_token;
    }
    app.clock().advance(Duration::from_secs(IDLE as u64));
    assert_fault!(app.refresh_session(&token).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
    app.refresh_session(&elsewhere.tokens.refresh_token).await.unwrap();
    assert!(app.events::<SessionRefreshReused>().await.is_empty(), "what idled was not stolen");
}

#[tokio::test]
async fn who_refreshes_when_the_access_token_is_past_its_time_is_never_idle() {
    let app = identity().await;
    let person = app.person("ana").await;
    let ana = app.founded(&person, "acme").await;
    ana.limit_sessions(IDLE, 0, "").await.unwrap();
    let mut tokens = app.refresh_session(&person.tokens.refresh_token).await.unwrap();
    for _ in 0..4 {
        app.clock().advance(TAKEN);
        assert_fault!(ana.with_token(&tokens.access_token).get_user("").await, Unauthenticated, "TOKEN_EXPIRED");
        tokens = app.refresh_session(&tokens.refresh_token).await.unwrap();
    }
    // Nor who was given another one by a switch meanwhile.
    app.clock().advance(Duration::from_mins(14));
    ana.with_token(&tokens.access_token).switch_context(ana.organization_id, None).await.unwrap();
    app.clock().advance(TAKEN);
    app.refresh_session(&tokens.refresh_token).await.unwrap();
}

#[tokio::test]
async fn a_limit_that_is_set_while_a_session_idles_longer_already_ends_it_at_its_next_refresh() {
    let app = identity().await;
    let idle = app.person("ana").await;
    let organization = app.founded(&idle, "acme").await.organization_id;
    app.clock().advance(Duration::from_secs(IDLE as u64));
    let here = app.sign_in(&address("ana")).await.entering(organization).await;
    here.limit_sessions(IDLE, 0, "").await.unwrap();
    assert_fault!(app.refresh_session(&idle.tokens.refresh_token).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
}

#[tokio::test]
async fn a_session_lasts_no_longer_than_its_organization_lets_it_and_one_too_old_does_not_get_in() {
    let app = identity().await;
    let person = app.person("ana").await;
    let ana = app.founded(&person, "acme").await;
    ana.limit_sessions(0, LONGEST, "").await.unwrap();
    let outside = app.sign_in(&address("ana")).await;
    app.clock().advance(Duration::from_secs(LONGEST as u64 - 60));
    let last = app.refresh_session(&person.tokens.refresh_token).await.unwrap();
    let end = last.refresh_token_expire_time.unwrap().seconds;
    assert_eq!(
        (end, last.access_token_expire_time.unwrap().seconds),
        (person.session.create_time.unwrap().seconds + i64::from(LONGEST), end)
    );
    let fresh = app.refresh_session(&outside.tokens.refresh_token).await.unwrap();
    app.clock().advance(Duration::from_secs(60));
    assert_fault!(app.refresh_session(&last.refresh_token).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
    let old = outside.with_token(&fresh.access_token);
    assert_fault!(old.switch_context(ana.organization_id, None).await, NotFound, "SESSION_NOT_FOUND");
    old.get_user("").await.unwrap();
    app.sign_in(&address("ana")).await.switch_context(ana.organization_id, None).await.unwrap();
}
