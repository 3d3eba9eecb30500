use std::collections::HashSet;
use std::time::Duration;

use contract::identity::v1::session_service_client::SessionServiceClient;
use contract::identity::v1::{ListSessionsRequest, SessionRevoked, SessionState};
use identity::Config;
use identity::throttle::config::ThrottleConfig;
use testkit::{Actor, assert_fault};
use tonic::Response;

use crate::verbs::{Acts, Door, address, identity, identity_with, quick, until, with_root};

#[tokio::test]
async fn a_person_sees_their_open_sessions_newest_first_and_nobody_elses() {
    let app = identity().await;
    let first = app.person("ana").await;
    app.clock().advance(Duration::from_mins(1));
    let second = app.sign_in(&address("ana")).await;
    let ben = app.person("ben").await;
    let listed = second.list_sessions().await.unwrap();
    let ids: Vec<&str> = listed.iter().map(|session| session.session_id.as_str()).collect();
    assert_eq!(ids, [second.session.session_id.as_str(), first.session.session_id.as_str()]);
    assert_eq!(ben.list_sessions().await.unwrap().len(), 1);
    second.revoke_session(&first.session.session_id).await.unwrap();
    assert_eq!(second.list_sessions().await.unwrap(), listed[..1]);
}

#[tokio::test]
async fn pages_of_sessions_opened_at_the_same_moment_show_each_once() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let mut opened = vec![ana.session.session_id.clone()];
    for _ in 0..4 {
        opened.push(app.sign_in(&address("ana")).await.session.session_id);
    }
    let page = async |who: &Actor, page_token: &str| {
        let request = ListSessionsRequest { page_size: 2, page_token: page_token.to_owned() };
        SessionServiceClient::new(who.channel()).list_sessions(request).await.map(Response::into_inner)
    };
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let answer = page(&ana, &token).await.unwrap();
        seen.extend(answer.sessions.into_iter().map(|session| session.session_id));
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    opened.reverse();
    assert_eq!(seen, opened);
    let anas = page(&ana, "").await.unwrap().next_page_token;
    assert_fault!(page(&*app.person("ben").await, &anas).await, InvalidArgument, "PAGE_TOKEN_INVALID");
}

#[tokio::test]
async fn a_session_is_forgotten_a_month_after_its_end() {
    let app = identity().await;
    app.person("ana").await;
    let left = async || -> i64 {
        app.retention_round().await;
        sqlx::query_scalar("SELECT count(*) FROM identity.session").fetch_one(&mut app.sql().await).await.unwrap()
    };
    app.clock().advance(Duration::from_hours(60 * 24));
    assert_eq!(left().await, 1);
    app.clock().advance(Duration::from_secs(1));
    assert_eq!(left().await, 0);
}

#[tokio::test]
async fn a_sign_in_too_many_ends_the_session_that_was_unused_longest() {
    let app = identity_with(Config { sessions_per_user: 3, ..quick() }).await;
    let first = app.person("ana").await;
    let mut open = Vec::new();
    for _ in 0..2 {
        app.clock().advance(Duration::from_secs(1));
        open.push(app.sign_in(&address("ana")).await.session.session_id);
    }
    // The oldest is in use: the second is the one to go.
    app.clock().advance(Duration::from_secs(1));
    app.refresh_session(&first.tokens.refresh_token).await.unwrap();
    let fourth = app.sign_in(&address("ana")).await;
    let ids: HashSet<String> = fourth.list_sessions().await.unwrap().into_iter().map(|session| session.session_id).collect();
    assert_eq!(ids, HashSet::from([first.session.session_id.clone(), open[1].clone(), fourth.session.session_id.clone()]));
    let [revoked] = app.events::<SessionRevoked>().await.try_into().unwrap();
    assert_eq!((&revoked.session_id, &revoked.revocation.unwrap().subject_id), (&open[0], &open[0]));
    app.person("ben").await;
    assert_eq!(app.events::<SessionRevoked>().await.len(), 1, "each user has a bound of their own");
}

#[tokio::test]
async fn sign_ins_at_once_stay_within_the_bound() {
    // More at once than may be tried at once unless said.
    let throttle = ThrottleConfig { attempts: 20, ..ThrottleConfig::default() };
    let app = identity_with(Config { sessions_per_user: 3, throttle, ..quick() }).await;
    let ana = address("ana");
    app.verified("ana").await;
    futures::future::join_all((0..12).map(|_| app.sign_in(&ana))).await;
    let open = "SELECT count(*) FROM identity.session WHERE state = 1";
    assert_eq!(sqlx::query_scalar::<_, i64>(open).fetch_one(&mut app.sql().await).await.unwrap(), 3);
    assert_eq!(app.events::<SessionRevoked>().await.len(), 9);
}

#[tokio::test]
async fn a_revoked_session_ends_once_and_its_tokens_are_refused_here_too() {
    let app = identity().await;
    let (ana, other) = (app.person("ana").await, app.sign_in(&address("ana")).await);
    ana.get_user("").await.unwrap();
    let ended = ana.revoke_session("").await.unwrap();
    assert_eq!((ended.session_id.as_str(), ended.state()), (ana.session.session_id.as_str(), SessionState::Revoked));
    until("the token is refused", async || ana.get_user("").await.is_err()).await;
    assert_fault!(ana.get_user("").await, Unauthenticated, "TOKEN_REVOKED");
    assert_fault!(app.refresh_session(&ana.tokens.refresh_token).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
    other.revoke_session(&ended.session_id).await.unwrap();
    let [revoked] = app.events::<SessionRevoked>().await.try_into().unwrap();
    assert_eq!(revoked.revocation.unwrap().subject_id, ended.session_id);
}

#[tokio::test]
async fn a_revocation_whose_message_is_lost_is_found_by_the_gap() {
    let app = identity().await;
    let (ana, other) = (app.person("ana").await, app.sign_in(&address("ana")).await);
    ana.get_user("").await.unwrap();
    // What came before has arrived, so that the lost message is the one that tells of ana.
    other.revoke_session("").await.unwrap();
    until("the other token is refused", async || other.get_user("").await.is_err()).await;
    app.faults().lose_message(1);
    ana.revoke_session("").await.unwrap();
    until("the token is refused", async || ana.get_user("").await.is_err()).await;
    assert_fault!(ana.get_user("").await, Unauthenticated, "TOKEN_REVOKED");
}

#[tokio::test]
async fn the_session_of_somebody_else_is_not_there() {
    let app = identity().await;
    let (ana, eve) = (app.person("ana").await, app.person("eve").await);
    assert_fault!(eve.revoke_session(&ana.session.session_id).await, NotFound, "SESSION_NOT_FOUND");
    let nothing = uuid::Uuid::from_u128(1).to_string();
    assert_fault!(eve.revoke_session(&nothing).await, NotFound, "SESSION_NOT_FOUND");
    assert_fault!(eve.revoke_session("not a session").await, InvalidArgument, "FIELD_VIOLATION");
    ana.get_user("").await.unwrap();
    assert!(app.events::<SessionRevoked>().await.is_empty());
}

#[tokio::test]
async fn a_person_ends_all_their_other_sessions_and_goes_on_with_this_one() {
    let app = identity().await;
    let here = app.person("ana").await;
    let others = [app.sign_in(&address("ana")).await, app.sign_in(&address("ana")).await];
    let ben = app.person("ben").await;
    assert_eq!(here.revoke_other_sessions().await.unwrap(), 2);
    for other in &others {
        until("its token is refused", async || other.get_user("").await.is_err()).await;
        assert_fault!(app.refresh_session(&other.tokens.refresh_token).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
    }
    assert_eq!(here.list_sessions().await.unwrap().len(), 1);
    ben.get_user("").await.unwrap();
    assert_eq!(here.revoke_other_sessions().await.unwrap(), 0);
    assert_eq!(app.events::<SessionRevoked>().await.len(), 2);
}

#[tokio::test]
async fn a_system_admin_ends_every_session_of_somebody_and_nobody_else_does() {
    let app = identity_with(with_root()).await;
    let (root, first) = (app.root().await, app.person("ana").await);
    let (second, ben) = (app.sign_in(&address("ana")).await, app.person("ben").await);
    let ana = first.user_id.to_string();
    let owner = app.founded(&ben, "acme").await;
    for somebody in [&*ben, &owner, &*first] {
        assert_fault!(somebody.revoke_user_sessions(&ana).await, PermissionDenied, "PERMISSION_DENIED");
    }
    assert_fault!(root.revoke_user_sessions(&uuid::Uuid::from_u128(1).to_string()).await, NotFound, "USER_NOT_FOUND");
    assert_eq!(root.revoke_user_sessions(&ana).await.unwrap(), 2);
    for session in [&first, &second] {
        until("its token is refused", async || session.get_user("").await.is_err()).await;
        assert_fault!(app.refresh_session(&session.tokens.refresh_token).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
    }
    assert_eq!(root.revoke_user_sessions(&ana).await.unwrap(), 0, "ending it again changes nothing");
    ben.get_user("").await.unwrap();
    let told = app.envelopes().await.into_iter().rfind(|envelope| envelope.r#type.ends_with("SessionRevoked")).unwrap();
    assert_eq!((told.actor.unwrap().actor_id, told.audit_action.as_str()), (root.user_id.to_string(), "identity.session.revoke_of_user"));
    app.sign_in(&address("ana")).await.get_user("").await.unwrap();
}
