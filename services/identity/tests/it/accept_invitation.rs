//! The invited person: a look, joining with an account or a new one, declining.

use contract::BaseRole;
use contract::identity::v1::invitation_service_client::InvitationServiceClient;
use contract::identity::v1::{
    AcceptInvitationAsNewUserRequest, CreateInvitationRequest, InvitationAccepted, InvitationDeclined, InvitationState,
    OrganizationMemberCreated, UserRegistered, UserState, WorkspaceMemberCreated,
};
use testkit::{Actor, App, assert_fault, fault::violated_fields};

use crate::verbs::{Acts, Door, Invited, Invites, PASSWORD, address, identity};

/// The owner of acme, and the token of an invitation for `name` as MEMBER.
async fn invited(app: &App, name: &str) -> (Actor, String) {
    let ana = app.founded(&app.person("ana").await, "acme").await;
    let invitation = ana.invite(name, BaseRole::Member).await.unwrap();
    let token = app.token_of(&invitation).await;
    (ana, token)
}

#[tokio::test]
async fn a_person_with_an_account_joins_and_the_same_answer_is_given_again() {
    let app = identity().await;
    let (ana, token) = invited(&app, "ben").await;
    let ben = app.person("ben").await;
    let joined = ben.accept_invitation(&token).await.unwrap();
    let (invitation, member) = (joined.invitation.clone().unwrap(), joined.organization_member.clone().unwrap());
    assert_eq!((invitation.state(), invitation.accepted_user_id), (InvitationState::Accepted, ben.user_id.to_string()));
    assert_eq!((member.user_id.clone(), member.role(), member.version), (ben.user_id.to_string(), BaseRole::Member, 1));
    let again = ben.accept_invitation(&token).await.unwrap();
    assert_eq!((again.invitation, again.organization_member), (joined.invitation, joined.organization_member));
    assert_eq!(ana.list_members().await.unwrap().len(), 2);
    ben.switch_context(ana.organization_id, None).await.unwrap();
    assert_eq!(app.events::<InvitationAccepted>().await.len(), 1);
    assert_eq!(app.events::<OrganizationMemberCreated>().await.len(), 2, "ana's own and ben's");
}

#[tokio::test]
async fn a_person_without_an_account_joins_with_a_new_one_and_signs_in() {
    let app = identity().await;
    let (ana, token) = invited(&app, "ben").await;
    let joined = app.accept_as_new_user(&token, "Ben").await.unwrap();
    let ben = app.sign_in(&address("ben")).await;
    let user = ben.get_user("").await.unwrap();
    assert_eq!((user.state(), user.email, user.display_name.as_str()), (UserState::Active, address("ben"), "Ben"));
    assert_eq!(joined.organization_member.unwrap().user_id, ben.user_id.to_string());
    assert_eq!(joined.invitation.unwrap().state(), InvitationState::Accepted);
    ben.switch_context(ana.organization_id, None).await.unwrap();
    let registered = app.events::<UserRegistered>().await.pop().unwrap().after.unwrap();
    assert_eq!((registered.state(), registered.user_id), (UserState::Active, ben.user_id.to_string()));
    // The person who lost the answer signs in, and gets it.
    assert_fault!(app.accept_as_new_user(&token, "Ben").await, FailedPrecondition, "INVITATION_NOT_PENDING");
    assert_eq!(ben.accept_invitation(&token).await.unwrap().organization_member.unwrap().version, 1);
}

#[tokio::test]
async fn of_many_who_accept_at_once_one_joins() {
    let app = identity().await;
    let (ana, token) = invited(&app, "ben").await;
    let answers = futures::future::join_all((0..4).map(|_| app.accept_as_new_user(&token, "Ben"))).await;
    let (joined, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((joined.len(), refused.len()), (1, 3));
    for answer in refused {
        assert_fault!(answer, FailedPrecondition, "INVITATION_NOT_PENDING");
    }
    assert_eq!(ana.list_members().await.unwrap().len(), 2);
    let accounts = "SELECT count(*) FROM identity.user_account";
    assert_eq!(sqlx::query_scalar::<_, i64>(accounts).fetch_one(&mut app.sql().await).await.unwrap(), 2, "no account is left over");
}

#[tokio::test]
async fn a_person_who_accepts_in_two_windows_at_once_joins_once_and_both_are_told_so() {
    let app = identity().await;
    let (_, token) = invited(&app, "ben").await;
    let ben = app.person("ben").await;
    for answer in futures::future::join_all((0..4).map(|_| ben.accept_invitation(&token))).await {
        assert_eq!(answer.unwrap().organization_member.unwrap().version, 1);
    }
    assert_eq!(app.events::<InvitationAccepted>().await.len(), 1);
}

#[tokio::test]
async fn an_invitation_is_for_whoever_proved_the_address_and_nobody_else() {
    let app = identity().await;
    let (ana, token) = invited(&app, "ben").await;
    let eve = app.person("eve").await;
    assert_fault!(eve.accept_invitation(&token).await, PermissionDenied, "INVITED_ADDRESS_DIFFERS");
    assert_fault!(ana.accept_invitation(&token).await, PermissionDenied, "INVITED_ADDRESS_DIFFERS");
    assert_fault!(app.anonymous().accept_invitation(&token).await, Unauthenticated, "CREDENTIALS_MISSING");
    let ben = app.person("ben").await;
    ben.accept_invitation(&token).await.unwrap();
    assert_fault!(eve.accept_invitation(&token).await, FailedPrecondition, "INVITATION_NOT_PENDING");
    assert_eq!(ana.list_members().await.unwrap().len(), 2);
}

#[tokio::test]
async fn whoever_has_an_account_accepts_with_it_and_a_registration_that_waits_is_none() {
    let app = identity().await;
    let (_, token) = invited(&app, "ben").await;
    let eves = app.pending("ben").await;
    let proof = app.issue_verification_token(&eves.to_string()).await.unwrap();
    app.accept_as_new_user(&token, "Ben").await.unwrap();
    // Who had registered the address before it was proved waits in vain.
    assert_fault!(app.verify_email(&proof, PASSWORD).await, InvalidArgument, "VERIFICATION_TOKEN_INVALID");
    let ana = app.sign_in(&address("ana")).await;
    let bolt = app.founded(&ana, "bolt").await;
    let second = app.token_of(&bolt.invite("ben", BaseRole::Viewer).await.unwrap()).await;
    assert_fault!(app.accept_as_new_user(&second, "Ben").await, AlreadyExists, "ACCOUNT_ALREADY_EXISTS");
    app.sign_in(&address("ben")).await.accept_invitation(&second).await.unwrap();
}

#[tokio::test]
async fn an_invitation_to_a_workspace_joins_both_and_takes_nothing_from_a_member() {
    let app = identity().await;
    let ana = app.founded(&app.person("ana").await, "acme").await;
    let web = app.with_workspace(&ana, "web").await;
    let request = CreateInvitationRequest {
        organization_id: ana.organization_id.to_string(),
        email: address("ben"),
        role: BaseRole::Viewer.into(),
        workspace_id: web.to_string(),
        workspace_role: BaseRole::Admin.into(),
        ..Default::default()
    };
    let token = app.token_of(&ana.create_invitation(request).await.unwrap()).await;
    let ben = app.person("ben").await;
    ana.add_member(ben.user_id, BaseRole::Admin).await.unwrap();
    let member = ben.accept_invitation(&token).await.unwrap().organization_member.unwrap();
    assert_eq!((member.role(), member.version), (BaseRole::Admin, 1), "who is a member by now keeps their role");
    let in_web = ana.list_in_workspace(web).await.unwrap();
    assert_eq!((in_web.len(), in_web[0].role()), (1, BaseRole::Admin));
    assert_eq!(app.events::<WorkspaceMemberCreated>().await.len(), 1);
}

#[tokio::test]
async fn who_was_taken_out_again_does_not_come_back_by_the_old_link() {
    let app = identity().await;
    let (ana, token) = invited(&app, "ben").await;
    let ben = app.person("ben").await;
    ben.accept_invitation(&token).await.unwrap();
    ana.remove_member(ben.user_id).await.unwrap();
    assert_fault!(ben.accept_invitation(&token).await, FailedPrecondition, "INVITATION_NOT_PENDING");
    assert_eq!(ana.list_members().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_person_looks_first_and_may_decline_as_often_as_they_like() {
    let app = identity().await;
    let (ana, token) = invited(&app, "ben").await;
    let shown = app.preview_invitation(&token).await.unwrap();
    assert_eq!(
        (shown.organization_display_name.as_str(), shown.email.clone(), shown.role()),
        ("The acme", address("ben"), BaseRole::Member)
    );
    app.decline_invitation(&token).await.unwrap();
    app.decline_invitation(&token).await.unwrap();
    assert_fault!(app.preview_invitation(&token).await, FailedPrecondition, "INVITATION_NOT_PENDING");
    assert_fault!(app.person("ben").await.accept_invitation(&token).await, FailedPrecondition, "INVITATION_NOT_PENDING");
    assert_eq!(ana.list_invitations(0, "").await.unwrap().invitations[0].state(), InvitationState::Declined);
    assert_eq!(app.events::<InvitationDeclined>().await.len(), 1);
}

#[tokio::test]
async fn a_weak_password_or_a_forged_token_joins_nobody_and_leaves_the_link_good() {
    let app = identity().await;
    let (ana, token) = invited(&app, "ben").await;
    let mut bytes = token.clone().into_bytes();
    bytes[10] ^= 1;
    let flipped = String::from_utf8(bytes).unwrap();
    for forged in [flipped.as_str(), "min1_none", &token.replacen("min1_", "mpr1_", 1)] {
        assert_fault!(app.accept_as_new_user(forged, "Ben").await, InvalidArgument, "INVITATION_TOKEN_INVALID");
        assert_fault!(app.decline_invitation(forged).await, InvalidArgument, "INVITATION_TOKEN_INVALID");
        assert_fault!(ana.accept_invitation(forged).await, InvalidArgument, "INVITATION_TOKEN_INVALID");
    }
    let weak =
        AcceptInvitationAsNewUserRequest { invitation_token: token.clone(), password: address("ben"), display_name: "Ben".to_owned() };
    let weak = InvitationServiceClient::new(app.anonymous().channel()).accept_invitation_as_new_user(weak).await;
    assert_fault!(weak, InvalidArgument, "PASSWORD_TOO_WEAK");
    let nameless = app.accept_as_new_user(&token, "").await;
    assert_eq!(violated_fields(&assert_fault!(nameless, InvalidArgument, "FIELD_VIOLATION")), ["display_name"]);
    assert_eq!(ana.list_members().await.unwrap().len(), 1);
    app.accept_as_new_user(&token, "Ben").await.unwrap();
}
