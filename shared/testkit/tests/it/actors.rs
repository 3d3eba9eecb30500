use contract::BaseRole;
use runtime::OrganizationId;
use testkit::{Claims, assert_fault};

use crate::pad::{pad, until, who};

#[tokio::test]
async fn roles_are_known_before_their_holders_call() {
    let app = pad().await;
    for actor in [app.owner("ana").await, app.admin("adam").await, app.system_admin("root").await] {
        let seen = who(actor.channel()).await.unwrap();
        assert_eq!((seen.resource_id, seen.organization_id), (actor.user_id.to_string(), app.organization().to_string()), "{}", actor.name);
    }
    for actor in [app.member("ben").await, app.viewer("vic").await, app.workspace_member("wim", BaseRole::Owner).await] {
        assert_fault!(who(actor.channel()).await, PermissionDenied, "PERMISSION_DENIED");
    }
}

#[tokio::test]
async fn an_outsider_is_owner_at_home_and_nobody_here() {
    let app = pad().await;
    let eve = app.outsider("eve").await;
    assert_eq!(who(eve.channel()).await.unwrap().organization_id, eve.organization_id.to_string());
    assert_fault!(who(eve.in_organization(app.organization()).channel()).await, PermissionDenied, "PERMISSION_DENIED");
}

#[tokio::test]
async fn nobody_and_whoever_brings_a_wrong_token_is_unauthenticated() {
    let app = pad().await;
    let ana = app.owner("ana").await;
    assert_fault!(who(app.anonymous().channel()).await, Unauthenticated, "CREDENTIALS_MISSING");
    assert_fault!(who(ana.with_token("no token").channel()).await, Unauthenticated, "TOKEN_INVALID");
    let foreign = app.authority().signer().sign(&Claims { aud: "somebody else".to_owned(), ..ana.claims() });
    assert_fault!(who(ana.with_token(&foreign).channel()).await, Unauthenticated, "TOKEN_INVALID");
}

#[tokio::test]
async fn a_role_that_is_taken_away_is_gone_for_the_next_call() {
    let app = pad().await;
    let ana = app.owner("ana").await;
    app.assign(ana.user_id, app.organization(), None, None).await;
    assert_fault!(who(ana.channel()).await, PermissionDenied, "PERMISSION_DENIED");
}

#[tokio::test]
async fn a_revoked_session_is_refused() {
    let app = pad().await;
    let ana = app.owner("ana").await;
    app.authority().revoke_session(ana.session_id, app.now());
    until("the feed brings the revocation", async || who(ana.channel()).await.is_err()).await;
    assert_fault!(who(ana.channel()).await, Unauthenticated, "TOKEN_REVOKED");
    assert_eq!(who(app.owner("ben").await.channel()).await.unwrap().organization_id, app.organization().to_string());
}

#[tokio::test]
async fn a_peer_passes_a_call_on_and_can_not_be_made_up() {
    let app = pad().await;
    let ana = app.owner("ana").await;
    let seen = who(app.service("tasks").on_behalf_of(&ana)).await.unwrap();
    assert_eq!((seen.resource_id, seen.service), (ana.user_id.to_string(), "tasks".to_owned()));
    assert_fault!(who(app.service("tasks").channel()).await, Unauthenticated, "CREDENTIALS_MISSING");
    assert_fault!(who(ana.channel().header("muster-peer", "tasks")).await, Unauthenticated, "PEER_TOKEN_INVALID");
}

#[tokio::test]
async fn metadata_of_a_test_reaches_the_service() {
    let app = pad().await;
    let ana = app.owner("ana").await;
    let request_id = "01890a5d-ac96-774b-bcce-b302099a8057";
    assert_eq!(who(ana.channel().header("x-request-id", request_id)).await.unwrap().request_id, request_id);
}

#[tokio::test]
async fn a_system_admin_may_also_stand_in_the_system_organization() {
    let app = pad().await;
    let root = app.system_admin("root").await.in_organization(OrganizationId::SYSTEM);
    assert_eq!(who(root.channel()).await.unwrap().organization_id, OrganizationId::SYSTEM.to_string());
}

#[tokio::test]
async fn a_lost_message_of_the_revocation_feed_is_made_good() {
    let app = pad().await;
    let (ana, ben) = (app.owner("ana").await, app.owner("ben").await);
    app.faults().lose_message(1);
    app.authority().revoke_session(ana.session_id, app.now());
    until("the feed heals", async || {
        // The next message shows the gap, and a new snapshot closes it.
        app.authority().revoke_session(ben.session_id, app.now());
        who(ana.channel()).await.is_err()
    })
    .await;
    assert_fault!(who(ana.channel()).await, Unauthenticated, "TOKEN_REVOKED");
}
