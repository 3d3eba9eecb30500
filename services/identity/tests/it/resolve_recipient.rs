use contract::identity::v1::recipient_service_client::RecipientServiceClient;
use contract::identity::v1::resolve_recipient_request::Subject;
use contract::identity::v1::{Link, ResolveRecipientRequest, ResolveRecipientResponse};
use runtime::UserId;
use testkit::{App, assert_fault};
use tonic::Status;

use crate::verbs::{Door, PASSWORD, address, identity};

async fn resolve(app: &App, user_id: UserId, link: Link) -> Result<ResolveRecipientResponse, Status> {
    let request = ResolveRecipientRequest { subject: Some(Subject::UserId(user_id.to_string())), link: link.into(), ..Default::default() };
    app.resolve_recipient(request).await
}

#[tokio::test]
async fn who_can_sign_in_is_reached_and_needs_no_proof() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let reached = resolve(&app, ana.user_id, Link::Unspecified).await.unwrap();
    assert_eq!((&*reached.email, &*reached.locale, &*reached.link_token), (&*address("ana"), "en", ""));
    assert!(reached.link_expire_time.is_none() && !reached.display_name.is_empty());
    assert_fault!(resolve(&app, ana.user_id, Link::VerifyEmail).await, NotFound, "RECIPIENT_NOT_FOUND");
}

#[tokio::test]
async fn a_registration_is_reached_for_its_proof_alone_and_the_token_proves_it() {
    let app = identity().await;
    let ana = app.pending("ana").await;
    assert_fault!(resolve(&app, ana, Link::Unspecified).await, NotFound, "RECIPIENT_NOT_FOUND");
    let reached = resolve(&app, ana, Link::VerifyEmail).await.unwrap();
    assert_eq!(reached.email, address("ana"));
    app.verify_email(&reached.link_token, PASSWORD).await.unwrap();
    assert_fault!(resolve(&app, ana, Link::VerifyEmail).await, NotFound, "RECIPIENT_NOT_FOUND");
}

#[tokio::test]
async fn nobody_and_a_registration_of_somebody_s_address_are_not_reached() {
    let app = identity().await;
    let (second, first) = (app.pending("ana").await, app.pending("ana").await);
    let token = resolve(&app, first, Link::VerifyEmail).await.unwrap().link_token;
    app.verify_email(&token, PASSWORD).await.unwrap();
    assert_fault!(resolve(&app, second, Link::VerifyEmail).await, NotFound, "RECIPIENT_NOT_FOUND");
    assert_fault!(resolve(&app, UserId::nil(), Link::Unspecified).await, NotFound, "RECIPIENT_NOT_FOUND");
}

#[tokio::test]
async fn another_service_is_told_no_address() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let request = ResolveRecipientRequest { subject: Some(Subject::UserId(ana.user_id.to_string())), link: 0, ..Default::default() };
    let call = RecipientServiceClient::new(app.service("tasks").channel()).resolve_recipient(request.clone()).await;
    assert_fault!(call, PermissionDenied, "PERMISSION_DENIED");
    let call = RecipientServiceClient::new(ana.channel()).resolve_recipient(request).await;
    assert_fault!(call, Unauthenticated, "PEER_TOKEN_INVALID");
}
