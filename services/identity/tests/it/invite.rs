//! Admins who invite: whom, to what, how often, and how they take it back.

use std::time::Duration;

use contract::BaseRole;
use contract::identity::v1::{
    CreateInvitationRequest, Invitation, InvitationCreated, InvitationResent, InvitationRevoked, InvitationState,
};
use identity::Config;
use testkit::{Actor, App, assert_fault, fault::violated_fields};

use crate::verbs::{Acts, Door, Invited, Invites, address, identity, identity_with, quick, request_id};

/// The owner of acme, in it.
async fn acme(app: &App) -> Actor {
    app.founded(&app.person("ana").await, "acme").await
}

#[tokio::test]
async fn an_admin_invites_an_address_and_the_world_is_told_without_it() {
    let app = identity().await;
    let ana = acme(&app).await;
    let invitation = ana.invite("ben", BaseRole::Member).await.unwrap();
    assert_eq!(
        (invitation.email.as_str(), invitation.role(), invitation.state()),
        ("ben@example.com", BaseRole::Member, InvitationState::Pending)
    );
    assert_eq!((invitation.inviter_id.clone(), invitation.accepted_user_id.as_str()), (ana.user_id.to_string(), ""));
    assert_eq!(ana.get_invitation(&invitation.invitation_id).await.unwrap(), invitation);
    assert_eq!(ana.list_invitations(0, "").await.unwrap().invitations, std::slice::from_ref(&invitation));
    let created = app.events::<InvitationCreated>().await.remove(0);
    assert_eq!(created.after.unwrap(), Invitation { email: String::new(), ..invitation.clone() });
    assert!(app.emitted().await.contains(&format!("muster.identity.v1.invitation.created.{}", ana.organization_id)));
    let mail = app.mail_of(&invitation).await.unwrap();
    assert_eq!((mail.email.as_str(), mail.organization_display_name.as_str()), ("ben@example.com", "The acme"));
}

#[tokio::test]
async fn nobody_invites_to_more_than_they_hold() {
    let app = identity().await;
    let ana = acme(&app).await;
    let (ben, web) = (app.joined(&ana, "ben", BaseRole::Admin).await, app.with_workspace(&ana, "web").await);
    assert_fault!(ben.invite("cy", BaseRole::Owner).await, PermissionDenied, "ROLE_ABOVE_OWN");
    let to = |role: BaseRole, workspace_role: BaseRole| CreateInvitationRequest {
        organization_id: ben.organization_id.to_string(),
        email: address("cy"),
        role: role.into(),
        workspace_id: web.to_string(),
        workspace_role: workspace_role.into(),
        ..Default::default()
    };
    assert_fault!(ben.create_invitation(to(BaseRole::Viewer, BaseRole::Owner)).await, PermissionDenied, "ROLE_ABOVE_OWN");
    let owners = ana.invite("dee", BaseRole::Owner).await.unwrap().invitation_id;
    assert_fault!(ben.revoke_invitation(&owners).await, PermissionDenied, "ROLE_ABOVE_OWN");
    assert_fault!(ben.resend_invitation(&owners).await, PermissionDenied, "ROLE_ABOVE_OWN");
    ben.create_invitation(to(BaseRole::Viewer, BaseRole::Admin)).await.unwrap();
    let vic = app.joined(&ana, "vic", BaseRole::Member).await;
    assert_fault!(vic.invite("eve", BaseRole::Viewer).await, PermissionDenied, "PERMISSION_DENIED");
    assert_fault!(vic.list_invitations(0, "").await, PermissionDenied, "PERMISSION_DENIED");
}

#[tokio::test]
async fn a_member_is_not_invited_and_whether_anybody_else_has_an_account_is_not_said() {
    let app = identity().await;
    let ana = acme(&app).await;
    app.joined(&ana, "ben", BaseRole::Viewer).await;
    app.verified("cy").await;
    app.pending("dee").await;
    assert_fault!(ana.invite("ben", BaseRole::Member).await, AlreadyExists, "MEMBER_ALREADY_EXISTS");
    for name in ["cy", "dee", "nobody"] {
        let invitation = ana.invite(name, BaseRole::Member).await.unwrap();
        assert_eq!((invitation.state(), invitation.accepted_user_id.as_str()), (InvitationState::Pending, ""), "{name}");
    }
}

#[tokio::test]
async fn an_address_has_one_invitation_that_waits_in_each_organization() {
    let app = identity().await;
    let ana = acme(&app).await;
    let eve = app.founded(&app.person("eve").await, "evil").await;
    let email = address("ben");
    let answers = futures::future::join_all((0..4).map(|_| ana.invite("ben", BaseRole::Member))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    for answer in answers.into_iter().filter(Result::is_err) {
        assert_fault!(answer, AlreadyExists, "INVITATION_ALREADY_PENDING");
    }
    let spelled = CreateInvitationRequest {
        organization_id: ana.organization_id.to_string(),
        email: email.to_uppercase(),
        role: BaseRole::Viewer.into(),
        ..Default::default()
    };
    assert_fault!(ana.create_invitation(spelled).await, AlreadyExists, "INVITATION_ALREADY_PENDING");
    eve.invite("ben", BaseRole::Member).await.unwrap();
}

#[tokio::test]
async fn a_repeated_request_makes_one_invitation() {
    let app = identity().await;
    let ana = acme(&app).await;
    let request = CreateInvitationRequest {
        organization_id: ana.organization_id.to_string(),
        email: address("ben"),
        role: BaseRole::Member.into(),
        request_id: request_id(1),
        ..Default::default()
    };
    let first = ana.create_invitation(request.clone()).await.unwrap();
    assert_eq!(ana.create_invitation(request).await.unwrap(), first);
    assert_eq!(app.events::<InvitationCreated>().await.len(), 1);
}

#[tokio::test]
async fn an_organization_has_a_bounded_number_of_invitations_that_wait() {
    let app = identity_with(Config { invitations_per_organization: 2, ..quick() }).await;
    let ana = acme(&app).await;
    let first = ana.invite("ben", BaseRole::Member).await.unwrap();
    ana.invite("cy", BaseRole::Member).await.unwrap();
    assert_fault!(ana.invite("dee", BaseRole::Member).await, ResourceExhausted, "TOO_MANY_INVITATIONS");
    ana.revoke_invitation(&first.invitation_id).await.unwrap();
    ana.invite("dee", BaseRole::Member).await.unwrap();
    app.clock().advance(Duration::from_hours(7 * 24));
    let ana = app.sign_in(&address("ana")).await.entering(ana.organization_id).await;
    ana.invite("eli", BaseRole::Member).await.unwrap();
}

#[tokio::test]
async fn a_workspace_to_join_is_one_of_the_organization_and_comes_with_a_role() {
    let app = identity().await;
    let ana = acme(&app).await;
    let eve = app.founded(&app.person("eve").await, "evil").await;
    let theirs = app.with_workspace(&eve, "web").await.to_string();
    let to = |workspace_id: &str, role: BaseRole| CreateInvitationRequest {
        organization_id: ana.organization_id.to_string(),
        email: address("ben"),
        role: BaseRole::Viewer.into(),
        workspace_id: workspace_id.to_owned(),
        workspace_role: role.into(),
        ..Default::default()
    };
    assert_fault!(ana.create_invitation(to(&theirs, BaseRole::Viewer)).await, NotFound, "WORKSPACE_NOT_FOUND");
    let refused = assert_fault!(ana.create_invitation(to(&theirs, BaseRole::Unspecified)).await, InvalidArgument, "FIELD_VIOLATION");
    assert_eq!(violated_fields(&refused), ["workspace_role"]);
    let refused = assert_fault!(ana.create_invitation(to("", BaseRole::Viewer)).await, InvalidArgument, "FIELD_VIOLATION");
    assert_eq!(violated_fields(&refused), ["workspace_id"]);
}

#[tokio::test]
async fn an_invitation_that_is_taken_back_is_good_for_nothing() {
    let app = identity().await;
    let ana = acme(&app).await;
    let invitation = ana.invite("ben", BaseRole::Member).await.unwrap();
    let token = app.token_of(&invitation).await;
    let revoked = ana.revoke_invitation(&invitation.invitation_id).await.unwrap();
    assert_eq!(revoked.state(), InvitationState::Revoked);
    assert_fault!(app.preview_invitation(&token).await, FailedPrecondition, "INVITATION_NOT_PENDING");
    assert_fault!(app.accept_as_new_user(&token, "ben").await, FailedPrecondition, "INVITATION_NOT_PENDING");
    assert_fault!(app.mail_of(&invitation).await, NotFound, "RECIPIENT_NOT_FOUND");
    assert_fault!(ana.revoke_invitation(&invitation.invitation_id).await, FailedPrecondition, "INVITATION_NOT_PENDING");
    assert_fault!(ana.resend_invitation(&invitation.invitation_id).await, FailedPrecondition, "INVITATION_NOT_PENDING");
    assert_eq!(app.events::<InvitationRevoked>().await.len(), 1);
    ana.invite("ben", BaseRole::Member).await.unwrap();
}

#[tokio::test]
async fn an_invitation_that_is_sent_again_has_a_new_link_and_its_whole_time() {
    let app = identity().await;
    let ana = acme(&app).await;
    let invitation = ana.invite("ben", BaseRole::Member).await.unwrap();
    let old = app.token_of(&invitation).await;
    app.clock().advance(Duration::from_mins(10));
    let again = ana.resend_invitation(&invitation.invitation_id).await.unwrap();
    assert_eq!(again.expire_time.unwrap().seconds, invitation.expire_time.unwrap().seconds + 600);
    assert_fault!(app.preview_invitation(&old).await, InvalidArgument, "INVITATION_TOKEN_INVALID");
    let new = app.token_of(&again).await;
    assert_eq!(app.preview_invitation(&new).await.unwrap().email, address("ben"));
    let resent = app.events::<InvitationResent>().await.remove(0);
    assert_ne!(resent.before.unwrap().etag, resent.after.unwrap().etag);
}

#[tokio::test]
async fn an_invitation_is_sent_again_once_a_minute() {
    let app = identity().await;
    let ana = acme(&app).await;
    let made = ana.invite("ben", BaseRole::Member).await.unwrap();
    let id = made.invitation_id.clone();
    assert_eq!(ana.resend_invitation(&id).await.unwrap(), made, "the first mail counts too");
    app.clock().advance(Duration::from_mins(1));
    let first = ana.resend_invitation(&id).await.unwrap();
    app.clock().advance(Duration::from_secs(59));
    assert_eq!(ana.resend_invitation(&id).await.unwrap(), first, "nothing changes, and the link stays good");
    app.clock().advance(Duration::from_secs(1));
    assert_ne!(ana.resend_invitation(&id).await.unwrap(), first);
    assert_eq!(app.events::<InvitationResent>().await.len(), 2);
}

#[tokio::test]
async fn who_takes_back_and_invites_again_fills_no_mailbox_and_another_organization_is_not_held_up() {
    let app = identity().await;
    let ana = acme(&app).await;
    for _ in 0..3 {
        let id = ana.invite("ben", BaseRole::Member).await.unwrap().invitation_id;
        ana.revoke_invitation(&id).await.unwrap();
    }
    let last = ana.invite("Ben", BaseRole::Member).await.unwrap();
    let mailed = |events: Vec<InvitationCreated>| events.iter().map(|event| event.mail_wanted).collect::<Vec<_>>();
    assert_eq!(mailed(app.events().await), [true, false, false, false]);
    let eve = app.founded(&app.person("eve").await, "evil").await;
    eve.invite("ben", BaseRole::Member).await.unwrap();
    assert_eq!(mailed(app.events().await).pop(), Some(true));
    app.clock().advance(Duration::from_mins(1));
    ana.resend_invitation(&last.invitation_id).await.unwrap();
    assert_eq!(app.events::<InvitationResent>().await.len(), 1, "the last one is mailed when it may be");
}

#[tokio::test]
async fn an_invitation_lapses_by_itself_and_makes_room_for_another() {
    let app = identity().await;
    let ana = acme(&app).await;
    let invitation = ana.invite("ben", BaseRole::Member).await.unwrap();
    let token = app.token_of(&invitation).await;
    app.clock().advance(Duration::from_hours(7 * 24));
    assert_fault!(app.preview_invitation(&token).await, InvalidArgument, "INVITATION_TOKEN_INVALID");
    assert_fault!(app.accept_as_new_user(&token, "ben").await, InvalidArgument, "INVITATION_TOKEN_INVALID");
    assert_fault!(app.mail_of(&invitation).await, NotFound, "RECIPIENT_NOT_FOUND");
    let ana = app.sign_in(&address("ana")).await.entering(ana.organization_id).await;
    assert_eq!(ana.get_invitation(&invitation.invitation_id).await.unwrap().state(), InvitationState::Expired);
    assert_fault!(ana.resend_invitation(&invitation.invitation_id).await, FailedPrecondition, "INVITATION_NOT_PENDING");
    let next = ana.invite("ben", BaseRole::Member).await.unwrap();
    let page = ana.list_invitations(1, "").await.unwrap();
    assert_eq!(
        (page.invitations[0].invitation_id.clone(), page.invitations[0].state()),
        (invitation.invitation_id, InvitationState::Expired)
    );
    let rest = ana.list_invitations(1, &page.next_page_token).await.unwrap();
    assert_eq!((rest.invitations, rest.next_page_token.as_str()), (vec![next], ""));
}

#[tokio::test]
async fn invitations_are_forgotten_a_month_after_their_time() {
    let app = identity().await;
    let ana = acme(&app).await;
    ana.invite("ben", BaseRole::Member).await.unwrap();
    let kept =
        async || -> i64 { sqlx::query_scalar("SELECT count(*) FROM identity.invitation").fetch_one(&mut app.sql().await).await.unwrap() };
    app.clock().advance(Duration::from_hours(37 * 24));
    app.retention_round().await;
    assert_eq!(kept().await, 1);
    app.clock().advance(Duration::from_secs(1));
    app.retention_round().await;
    assert_eq!(kept().await, 0);
}

#[tokio::test]
async fn another_organization_sees_nothing_of_it() {
    let app = identity().await;
    let ana = acme(&app).await;
    let eve = app.founded(&app.person("eve").await, "evil").await;
    let id = ana.invite("ben", BaseRole::Member).await.unwrap().invitation_id;
    assert_fault!(eve.get_invitation(&id).await, NotFound, "INVITATION_NOT_FOUND");
    assert_fault!(eve.revoke_invitation(&id).await, NotFound, "INVITATION_NOT_FOUND");
    assert_fault!(eve.resend_invitation(&id).await, NotFound, "INVITATION_NOT_FOUND");
    assert!(eve.list_invitations(0, "").await.unwrap().invitations.is_empty());
}

#[tokio::test]
async fn who_leaves_or_falls_leaves_no_door_open() {
    let app = identity().await;
    let ana = acme(&app).await;
    let ben = app.joined(&ana, "ben", BaseRole::Admin).await;
    let (admin, viewer) = (ben.invite("cy", BaseRole::Admin).await.unwrap(), ben.invite("dee", BaseRole::Viewer).await.unwrap());
    let state = async |invitation: &Invitation| ana.get_invitation(&invitation.invitation_id).await.unwrap().state();
    ana.update_member(ben.user_id, BaseRole::Member, "").await.unwrap();
    assert_eq!((state(&admin).await, state(&viewer).await), (InvitationState::Revoked, InvitationState::Pending));
    ana.remove_member(ben.user_id).await.unwrap();
    assert_eq!(state(&viewer).await, InvitationState::Revoked);
    assert_eq!(app.events::<InvitationRevoked>().await.len(), 2);
}

#[tokio::test]
async fn who_falls_in_a_workspace_leaves_no_door_open_there() {
    let app = identity().await;
    let ana = acme(&app).await;
    let (ben, web) = (app.joined(&ana, "ben", BaseRole::Admin).await, app.with_workspace(&ana, "web").await);
    ana.add_to_workspace(web, ben.user_id, BaseRole::Owner).await.unwrap();
    let invite = async |name: &str, role: BaseRole| {
        let request = CreateInvitationRequest {
            organization_id: ben.organization_id.to_string(),
            email: address(name),
            role: BaseRole::Viewer.into(),
            workspace_id: web.to_string(),
            workspace_role: role.into(),
            ..Default::default()
        };
        ben.create_invitation(request).await.unwrap()
    };
    let (owner, admin) = (invite("cy", BaseRole::Owner).await, invite("dee", BaseRole::Admin).await);
    let state = async |invitation: &Invitation| ana.get_invitation(&invitation.invitation_id).await.unwrap().state();
    ana.update_in_workspace(web, ben.user_id, BaseRole::Member, "").await.unwrap();
    let kept = "an admin of the organization is one in each workspace";
    assert_eq!((state(&owner).await, state(&admin).await), (InvitationState::Revoked, InvitationState::Pending), "{kept}");
    ana.remove_from_workspace(web, ben.user_id).await.unwrap();
    assert_eq!(state(&admin).await, InvitationState::Pending, "{kept}");
    assert_eq!(app.events::<InvitationRevoked>().await.len(), 1);
}
