use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contract::BaseRole;
use contract::identity::v1::{SessionRevoked, SessionSwitched, SwitchContextResponse};
use runtime::{OrganizationId, WorkspaceId};
use serde_json::Value;
use testkit::{App, assert_fault};

use crate::verbs::{Acts, Door, Factors, PASSWORD, address, identity, identity_with, until, with_root};

/// What the token says, read by whoever holds it.
fn claims(answer: &SwitchContextResponse) -> Value {
    let body = answer.access_token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap()
}

#[tokio::test]
async fn a_member_enters_the_organization_narrows_to_a_workspace_and_leads_back() {
    let app = identity().await;
    let person = app.person("ana").await;
    let ana = app.founded(&person, "acme").await;
    let workspace = app.with_workspace(&ana, "web").await;

    let narrowed = ana.switch_context(ana.organization_id, Some(workspace)).await.unwrap();
    let told = claims(&narrowed);
    assert_eq!((told["org"].clone(), told["ws"].clone()), (ana.organization_id.to_string().into(), workspace.to_string().into()));
    assert_eq!(told["roles"], serde_json::json!(["organization.owner"]));
    assert_eq!(narrowed.session.as_ref().unwrap().workspace_id, workspace.to_string());
    ana.with_token(&narrowed.access_token).get_workspace(workspace).await.unwrap();

    let back = ana.switch_context(OrganizationId::SYSTEM, None).await.unwrap();
    assert_eq!(claims(&back)["org"], OrganizationId::SYSTEM.to_string());
    assert!(claims(&back).get("ws").is_none() && claims(&back)["roles"] == serde_json::json!([]));
    // The former token stays good until it expires.
    ana.get_organization(ana.organization_id).await.unwrap();
    let switched = app.events::<SessionSwitched>().await;
    let ways: Vec<&str> = switched.iter().map(|event| event.after.as_ref().unwrap().organization_id.as_str()).collect();
    let there = ana.organization_id.to_string();
    assert_eq!(ways, [there.as_str(), there.as_str(), &OrganizationId::SYSTEM.to_string()]);
}

#[tokio::test]
async fn the_log_of_an_organization_tells_of_no_other_that_a_session_acts_in() {
    let app = identity().await;
    let person = app.person("ana").await;
    let acme = app.founded(&person, "acme").await;
    let other = app.sign_in(&address("ana")).await;
    // The first session moves on into bolt; with the other one it is ended from acme, while it acts in bolt.
    let bolt = app.founded(&person, "bolt").await;
    other.entering(acme.organization_id).await.revoke_session(&person.session.session_id).await.unwrap();
    let (theirs, foreign) = (acme.organization_id.to_string(), bolt.organization_id.to_string());
    for event in app.logged().await {
        let told = contains(&event.body, foreign.as_bytes());
        assert!(!(event.envelope.organization_id == theirs && told), "{} tells acme of bolt", event.envelope.r#type);
        let told = contains(&event.body, theirs.as_bytes());
        assert!(!(event.envelope.organization_id == foreign && told), "{} tells bolt of acme", event.envelope.r#type);
    }
    assert_eq!((app.events::<SessionSwitched>().await.len(), app.events::<SessionRevoked>().await.len()), (3, 1));
}

fn contains(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn switching_to_where_one_is_gives_a_fresh_token_and_tells_nobody() {
    let app = identity().await;
    let ana = app.founded(&app.person("ana").await, "acme").await;
    let told = app.events::<SessionSwitched>().await.len();
    app.clock().advance(Duration::from_mins(10));
    let again = ana.switch_context(ana.organization_id, None).await.unwrap();
    assert_ne!(again.access_token, ana.token);
    assert_eq!(app.events::<SessionSwitched>().await.len(), told);
}

#[tokio::test]
async fn an_organization_one_is_no_member_of_is_not_there() {
    let app = identity().await;
    let ana = app.founded(&app.person("ana").await, "acme").await;
    let eve = app.person("eve").await;
    assert_fault!(eve.switch_context(ana.organization_id, None).await, NotFound, "ORGANIZATION_NOT_FOUND");
    let nowhere = OrganizationId::from(uuid::Uuid::from_u128(1));
    assert_fault!(eve.switch_context(nowhere, None).await, NotFound, "ORGANIZATION_NOT_FOUND");
    assert_eq!(eve.list_sessions().await.unwrap()[0].organization_id, OrganizationId::SYSTEM.to_string());
}

#[tokio::test]
async fn a_workspace_of_another_organization_is_not_there() {
    let app = identity().await;
    let ana = app.founded(&app.person("ana").await, "acme").await;
    let eve = app.founded(&app.person("eve").await, "evil").await;
    let workspace = app.with_workspace(&ana, "web").await;
    for workspace in [workspace, WorkspaceId::from(uuid::Uuid::from_u128(1))] {
        assert_fault!(eve.switch_context(eve.organization_id, Some(workspace)).await, NotFound, "WORKSPACE_NOT_FOUND");
    }
    assert_fault!(ana.switch_context(OrganizationId::SYSTEM, Some(workspace)).await, NotFound, "WORKSPACE_NOT_FOUND");
    assert_fault!(eve.switch_context(ana.organization_id, Some(workspace)).await, NotFound, "ORGANIZATION_NOT_FOUND");
}

#[tokio::test]
async fn a_system_admin_enters_any_organization_that_is_there() {
    let app = identity_with(with_root()).await;
    let ana = app.founded(&app.person("ana").await, "acme").await;
    let root = app.root().await;
    let entered = root.switch_context(ana.organization_id, None).await.unwrap();
    assert_eq!(claims(&entered)["roles"], serde_json::json!(["system.admin"]));
    root.with_token(&entered.access_token).get_organization(ana.organization_id).await.unwrap();
    let nowhere = OrganizationId::from(uuid::Uuid::from_u128(1));
    assert_fault!(root.switch_context(nowhere, None).await, NotFound, "ORGANIZATION_NOT_FOUND");
}

#[tokio::test]
async fn who_is_removed_is_led_back_by_the_next_refresh() {
    let app = identity().await;
    let ana = app.founded(&app.person("ana").await, "acme").await;
    app.verified("ben").await;
    let ben = app.sign_in(&address("ben")).await;
    ana.add_member(ben.user_id, BaseRole::Member).await.unwrap();
    ben.entering(ana.organization_id).await;
    ana.remove_member(ben.user_id).await.unwrap();
    let told = app.events::<SessionSwitched>().await.len();
    let tokens = app.refresh_session(&ben.tokens.refresh_token).await.unwrap();
    let session = &ben.with_token(&tokens.access_token).list_sessions().await.unwrap()[0];
    assert_eq!(session.organization_id, OrganizationId::SYSTEM.to_string());
    let switched = app.events::<SessionSwitched>().await;
    assert_eq!(switched.len(), told + 1, "an auditor is told that the session left");
    let (before, after) = (switched[told].before.as_ref().unwrap(), switched[told].after.as_ref().unwrap());
    assert_eq!((&before.organization_id, &after.organization_id), (&ana.organization_id.to_string(), &session.organization_id));
    assert_fault!(ben.switch_context(ana.organization_id, None).await, NotFound, "ORGANIZATION_NOT_FOUND");
}

#[tokio::test]
async fn who_is_removed_gets_no_further_token_for_there_by_a_step_up_either() {
    let app = identity().await;
    let ana = app.founded(&app.person("ana").await, "acme").await;
    let ben = app.joined(&ana, "ben", BaseRole::Member).await;
    ana.remove_member(ben.user_id).await.unwrap();
    let told = app.events::<SessionSwitched>().await.len();
    let risen = ben.step_up_by_password(PASSWORD).await.unwrap();
    assert_eq!(crate::verbs::claims(&risen.access_token)["org"], OrganizationId::SYSTEM.to_string());
    assert_eq!(risen.session.unwrap().organization_id, OrganizationId::SYSTEM.to_string());
    assert_eq!(app.events::<SessionSwitched>().await.len(), told + 1);
}

#[tokio::test]
async fn who_is_removed_between_a_refresh_and_its_repeat_is_led_out_by_the_repeat() {
    let app = identity().await;
    let ana = app.founded(&app.person("ana").await, "acme").await;
    app.verified("ben").await;
    let ben = app.sign_in(&address("ben")).await;
    ana.add_member(ben.user_id, BaseRole::Member).await.unwrap();
    ben.entering(ana.organization_id).await;
    app.refresh_session(&ben.tokens.refresh_token).await.unwrap();
    ana.remove_member(ben.user_id).await.unwrap();
    let told = app.events::<SessionSwitched>().await.len();
    for _ in 0..2 {
        let tokens = app.refresh_session(&ben.tokens.refresh_token).await.unwrap();
        let session = &ben.with_token(&tokens.access_token).list_sessions().await.unwrap()[0];
        assert_eq!(session.organization_id, OrganizationId::SYSTEM.to_string());
    }
    assert_eq!(app.events::<SessionSwitched>().await.len(), told + 1, "it left once");
}

/// Moves the session to `organization` and commits that only while `call` is under way.
async fn while_moving<T>(app: &App, session_id: &str, organization: OrganizationId, call: impl Future<Output = T>) -> T {
    let mut sql = app.sql().await;
    let mut moving = sqlx::Connection::begin(&mut sql).await.unwrap();
    let there = "UPDATE identity.session SET organization_id = $1 WHERE session_id = $2::uuid";
    sqlx::query(there).bind(organization).bind(session_id).execute(&mut *moving).await.unwrap();
    let commit = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        moving.commit().await.unwrap();
    };
    tokio::join!(call, commit).0
}

#[tokio::test]
async fn a_refresh_leads_out_of_where_the_session_is_and_not_of_where_it_was() {
    let app = identity().await;
    let (ana, bea) = (app.founded(&app.person("ana").await, "acme").await, app.founded(&app.person("bea").await, "bolt").await);
    let ben = app.person("ben").await;
    let acts_in = async || ben.list_sessions().await.unwrap()[0].organization_id.clone();
    ana.add_member(ben.user_id, BaseRole::Member).await.unwrap();
    ben.entering(ana.organization_id).await;
    let second = app.refresh_session(&ben.tokens.refresh_token).await.unwrap().refresh_token;

    // The repeat of a refresh, and then a refresh, that begin while somebody leads the session to where its user is a member.
    for (from, to, token) in [(&ana, &bea, &ben.tokens.refresh_token), (&bea, &ana, &second)] {
        to.add_member(ben.user_id, BaseRole::Member).await.unwrap();
        from.remove_member(ben.user_id).await.unwrap();
        let refreshed = while_moving(&app, &ben.session.session_id, to.organization_id, app.refresh_session(token)).await;
        refreshed.unwrap();
        assert_eq!(acts_in().await, to.organization_id.to_string());
    }
}

#[tokio::test]
async fn a_session_that_is_over_goes_nowhere() {
    let app = identity().await;
    let ana = app.person("ana").await;
    // The revocation is committed but not heard of: the row decides.
    app.faults().set_silent(true);
    ana.revoke_session("").await.unwrap();
    assert_fault!(ana.switch_context(OrganizationId::SYSTEM, None).await, NotFound, "SESSION_NOT_FOUND");
    app.faults().set_silent(false);
    until("the token is refused", async || ana.get_user("").await.is_err()).await;
}
