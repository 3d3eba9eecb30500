use std::time::Duration;

use contract::identity::v1::{IssueVerificationTokenRequest, RegisterUserResponse};
use contract::identity::v1::{RegistrationRepeated, UserRegistered, UserState, UserVerified, account_service_client::AccountServiceClient};
use testkit::{App, assert_fault, fault::violated_fields};

use crate::verbs::{Acts, Door, PASSWORD, address, identity};

/// Accounts as they lie in the table.
async fn accounts(app: &App) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM identity.user_account").fetch_one(&mut app.sql().await).await.unwrap()
}

#[tokio::test]
async fn an_account_waits_for_its_address_to_be_proved_and_can_then_sign_in() {
    let app = identity().await;
    let ana = app.pending("ana").await;
    assert_fault!(app.create_session(&address("ana"), PASSWORD).await, Unauthenticated, "SIGN_IN_REFUSED");
    let token = app.issue_verification_token(&ana.to_string()).await.unwrap();
    assert_eq!(app.verify_email(&token).await.unwrap(), ana.to_string());
    let user = app.sign_in(&address("ana")).await.get_user("").await.unwrap();
    assert_eq!((user.state(), user.email.as_str(), user.display_name.as_str()), (UserState::Active, "ana@example.com", "ana"));
    let nowhere = "00000000-0000-0000-0000-000000000000";
    assert_eq!(app.emitted().await[0], format!("muster.identity.v1.user.registered.{nowhere}"));
    let verified = &app.events::<UserVerified>().await[0];
    let states = [&verified.before, &verified.after].map(|user| user.as_ref().unwrap().state());
    assert_eq!((verified.user_id.as_str(), states), (user.user_id.as_str(), [UserState::Pending, UserState::Active]));
}

#[tokio::test]
async fn a_known_address_gets_the_same_answer_and_changes_nothing() {
    let app = identity().await;
    let ana = app.person("ana").await;
    for email in ["ana@example.com", "Ana@Example.COM"] {
        let answer = app.register_user(email, "another good password", "Eve").await;
        assert_eq!(answer.unwrap(), RegisterUserResponse {});
    }
    assert_eq!(accounts(&app).await, 1);
    assert_eq!(ana.get_user("").await.unwrap().display_name, "ana");
    assert_fault!(app.create_session("ana@example.com", "another good password").await, Unauthenticated, "SIGN_IN_REFUSED");
    // The commit of a known address is as large as that of a new one: one event, which names the address by its index.
    let (registered, repeated) = (app.events::<UserRegistered>().await, app.events::<RegistrationRepeated>().await);
    assert_eq!((registered.len(), repeated.len()), (1, 2));
    assert_eq!(repeated[0].subject_key.len(), 64);
    assert_eq!(repeated[0], repeated[1], "spellings of one address are one");
}

#[tokio::test]
async fn an_address_that_registers_twice_at_once_has_one_account() {
    let app = identity().await;
    let tries = (0..8).map(|_| app.register_user("ana@example.com", PASSWORD, "Ana"));
    for answer in futures::future::join_all(tries).await {
        answer.unwrap();
    }
    assert_eq!((accounts(&app).await, app.events::<UserRegistered>().await.len()), (1, 1));
    assert_eq!(app.events::<RegistrationRepeated>().await.len(), 7);
}

#[tokio::test]
async fn a_weak_password_is_refused_before_anything_is_written() {
    let app = identity().await;
    for password in ["short", "password123", "ana@example.com"] {
        let refused = assert_fault!(app.register_user("ana@example.com", password, "Ana").await, InvalidArgument, "PASSWORD_TOO_WEAK");
        assert_eq!(violated_fields(&refused), ["password"]);
        assert!(!format!("{refused:?}").contains(password), "the refusal repeats the password");
    }
    let refused = assert_fault!(app.register_user("no address", PASSWORD, "Ana").await, InvalidArgument, "FIELD_VIOLATION");
    assert_eq!(violated_fields(&refused), ["email"]);
    assert_eq!(accounts(&app).await, 0);
    assert!(app.emitted().await.is_empty());
}

#[tokio::test]
async fn a_verification_token_works_once() {
    let app = identity().await;
    let ana = app.pending("ana").await.to_string();
    let (token, again) = (app.issue_verification_token(&ana).await.unwrap(), app.issue_verification_token(&ana).await.unwrap());
    assert_eq!(token, again, "issuing stores nothing and voids nothing");
    app.verify_email(&token).await.unwrap();
    assert_fault!(app.verify_email(&token).await, InvalidArgument, "VERIFICATION_TOKEN_INVALID");
    assert_fault!(app.issue_verification_token(&ana).await, NotFound, "USER_NOT_FOUND");
    assert_eq!(app.events::<UserVerified>().await.len(), 1);
}

#[tokio::test]
async fn a_verification_token_that_is_used_twice_at_once_works_once() {
    let app = identity().await;
    let ana = app.pending("ana").await.to_string();
    let token = app.issue_verification_token(&ana).await.unwrap();
    let answers = futures::future::join_all((0..8).map(|_| app.verify_email(&token))).await;
    let (good, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((good.len(), refused.len()), (1, 7));
    for answer in refused {
        assert_fault!(answer, InvalidArgument, "VERIFICATION_TOKEN_INVALID");
    }
}

#[tokio::test]
async fn a_tampered_verification_token_is_none() {
    let app = identity().await;
    let ana = app.pending("ana").await;
    let token = app.issue_verification_token(&ana.to_string()).await.unwrap();
    for at in [0, 4, 5, token.len() / 2, token.len() - 1] {
        let mut bytes = token.clone().into_bytes();
        bytes[at] ^= 1;
        let flipped = String::from_utf8(bytes).unwrap();
        assert_fault!(app.verify_email(&flipped).await, InvalidArgument, "VERIFICATION_TOKEN_INVALID");
    }
    assert_fault!(app.verify_email(&token[..token.len() - 1]).await, InvalidArgument, "VERIFICATION_TOKEN_INVALID");
    app.verify_email(&token).await.unwrap();
}

#[tokio::test]
async fn a_verification_token_is_good_for_a_day() {
    let app = identity().await;
    let (ana, ben) = (app.pending("ana").await, app.pending("ben").await);
    let for_ana = app.issue_verification_token(&ana.to_string()).await.unwrap();
    let for_ben = app.issue_verification_token(&ben.to_string()).await.unwrap();
    app.clock().advance(Duration::from_hours(24) - Duration::from_secs(1));
    app.verify_email(&for_ana).await.unwrap();
    app.clock().advance(Duration::from_secs(1));
    assert_fault!(app.verify_email(&for_ben).await, InvalidArgument, "VERIFICATION_TOKEN_INVALID");
    let fresh = app.issue_verification_token(&ben.to_string()).await.unwrap();
    app.verify_email(&fresh).await.unwrap();
}

#[tokio::test]
async fn only_a_service_gets_verification_tokens() {
    let app = identity().await;
    let (ana, eve) = (app.pending("ana").await, app.person("eve").await);
    for channel in [app.anonymous().channel(), eve.channel()] {
        let request = IssueVerificationTokenRequest { user_id: ana.to_string() };
        let call = AccountServiceClient::new(channel).issue_verification_token(request).await;
        assert_fault!(call, Unauthenticated, "PEER_TOKEN_INVALID");
    }
    let nobody = uuid::Uuid::from_u128(1).to_string();
    assert_fault!(app.issue_verification_token(&nobody).await, NotFound, "USER_NOT_FOUND");
}
