use std::time::Duration;

use contract::identity::v1::factor_service_client::FactorServiceClient;
use contract::identity::v1::organization_service_client::OrganizationServiceClient;
use contract::identity::v1::{CreateOrganizationRequest, EnrollTotpRequest};
use contract::identity::v1::{IssueVerificationTokenRequest, RegisterUserRequest, VerifyEmailRequest};
use contract::identity::v1::{RegistrationRepeated, UserRegistered, UserState, UserVerified, account_service_client::AccountServiceClient};
use runtime::UserId;
use sqlx::Connection;
use testkit::{App, assert_fault, fault::violated_fields};
use tonic::{Request, Status};

use crate::verbs::{Acts, Door, PASSWORD, address, identity, identity_with, slow};

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
    assert_eq!(app.verify_email(&token, PASSWORD).await.unwrap(), ana.to_string());
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
        let answer = app.register_user(email, "another good password", "Eve").await.unwrap();
        assert!(answer.registration_id.parse::<UserId>().is_ok_and(|id| id != ana.session.user_id.parse().unwrap()), "an id of nothing");
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
async fn an_address_that_is_registered_again_within_a_minute_is_mailed_once_whosever_it_is() {
    let app = identity().await;
    app.verified("ben").await;
    app.clock().advance(Duration::from_mins(1));
    let mut last = Vec::new();
    for _ in 0..3 {
        let anas = app.register_user("ana@example.com", PASSWORD, "Ana").await.unwrap().registration_id;
        let bens = app.register_user("ben@example.com", PASSWORD, "Ben").await.unwrap().registration_id;
        last = vec![("ana@example.com", anas), ("ben@example.com", bens)];
    }
    let mailed = app.events::<UserRegistered>().await.into_iter().map(|event| event.mail_wanted).collect::<Vec<_>>();
    assert_eq!(mailed, [true, true, false, false], "ben's first, and of ana's one");
    // What was noted of the two addresses is the same.
    let noted = "SELECT count(*) FROM identity.mail_request WHERE asked = 1";
    assert_eq!(sqlx::query_scalar::<_, i64>(noted).fetch_one(&mut app.sql().await).await.unwrap(), 4, "of who asks, and of all");
    for (email, registration_id) in last {
        app.resend_verification(email, &registration_id).await.unwrap();
        assert_eq!(app.events::<contract::identity::v1::VerificationRequested>().await.len(), 0, "a repeat is a repeat");
    }
    app.clock().advance(Duration::from_mins(1));
    app.register_user("ana@example.com", PASSWORD, "Ana").await.unwrap();
    assert!(app.events::<UserRegistered>().await.pop().unwrap().mail_wanted);
}

/// A registration of ana's address from the network of `from`.
async fn register_from(app: &App, from: &str) {
    let (email, password, display_name) = (address("ana"), PASSWORD.to_owned(), "Ana".to_owned());
    let request = RegisterUserRequest { email, password, display_name, ..Default::default() };
    let channel = app.service("gateway").channel().header("muster-client-address", from);
    AccountServiceClient::new(channel).register_user(request).await.unwrap();
}

#[tokio::test]
async fn a_stranger_who_registers_an_address_does_not_hold_up_the_mail_of_its_owner() {
    let app = identity().await;
    let mailed = async || app.events::<UserRegistered>().await.into_iter().map(|event| event.mail_wanted).collect::<Vec<_>>();
    for from in ["203.0.113.66", "203.0.113.66", "198.51.100.7", "198.51.100.7"] {
        register_from(&app, from).await;
    }
    assert_eq!(mailed().await, [true, false, true, false], "one for each network");
}

#[tokio::test]
async fn however_many_ask_a_mailbox_gets_ten_mails_in_a_row_and_then_one_a_minute() {
    let app = identity().await;
    let mailed = async || app.events::<UserRegistered>().await.into_iter().filter(|event| event.mail_wanted).count();
    let (networks, others): (Vec<_>, Vec<_>) = (0..16).map(|n| (format!("203.0.113.{n}"), format!("198.51.100.{n}"))).unzip();
    futures::future::join_all(networks.iter().map(|from| register_from(&app, from))).await;
    assert_eq!(mailed().await, 10);
    app.clock().advance(Duration::from_mins(1));
    futures::future::join_all(others.iter().map(|from| register_from(&app, from))).await;
    assert_eq!(mailed().await, 11);
}

/// A registration of ana's address: the user, and the token that goes to her mailbox.
async fn registration(app: &App, password: &str, name: &str) -> (String, String) {
    app.register_user("ana@example.com", password, name).await.unwrap();
    let user_id = app.events::<UserRegistered>().await.pop().unwrap().user_id;
    let token = app.issue_verification_token(&user_id).await.unwrap();
    (user_id, token)
}

#[tokio::test]
async fn who_registers_somebody_elses_address_waits_in_vain_for_the_owner_to_prove_it() {
    let app = identity().await;
    let (_, eves) = registration(&app, "the password of eve", "Eve").await;
    // The owner follows the link that eve caused, and enters what she takes for her password.
    assert_fault!(app.verify_email(&eves, PASSWORD).await, InvalidArgument, "VERIFICATION_TOKEN_INVALID");
    let (ana, anas) = registration(&app, PASSWORD, "Ana").await;
    assert_fault!(app.verify_email(&anas, "the password of eve").await, InvalidArgument, "VERIFICATION_TOKEN_INVALID");
    assert_eq!(app.verify_email(&anas, PASSWORD).await.unwrap(), ana);
    assert_fault!(app.create_session("ana@example.com", "the password of eve").await, Unauthenticated, "SIGN_IN_REFUSED");
    assert_eq!(app.sign_in("ana@example.com").await.get_user("").await.unwrap().display_name, "Ana");
    // The address has its owner now: nobody else's registration becomes good any more.
    assert_fault!(app.verify_email(&eves, "the password of eve").await, InvalidArgument, "VERIFICATION_TOKEN_INVALID");
}

#[tokio::test]
async fn of_registrations_of_one_address_that_are_proved_at_once_one_becomes_the_account() {
    let app = identity().await;
    let mut tokens = Vec::new();
    for number in 0..8 {
        tokens.push(registration(&app, &format!("{PASSWORD} {number}"), "Ana").await.1);
    }
    let proofs = tokens.iter().enumerate().map(async |(number, token)| app.verify_email(token, &format!("{PASSWORD} {number}")).await);
    let (good, refused): (Vec<_>, Vec<_>) = futures::future::join_all(proofs).await.into_iter().partition(Result::is_ok);
    assert_eq!((good.len(), refused.len()), (1, 7));
    for answer in refused {
        assert_fault!(answer, InvalidArgument, "VERIFICATION_TOKEN_INVALID");
    }
    let active = "SELECT count(*) FROM identity.user_account WHERE state = 2";
    assert_eq!(sqlx::query_scalar::<_, i64>(active).fetch_one(&mut app.sql().await).await.unwrap(), 1);
    assert_eq!(app.events::<UserVerified>().await.len(), 1);
}

#[tokio::test]
async fn a_proof_that_is_refused_costs_a_hash_whatever_is_wrong_and_a_forged_token_none() {
    let app = identity_with(slow()).await;
    let (_, good) = registration(&app, PASSWORD, "Ana").await;
    let (_, other) = registration(&app, PASSWORD, "Ana").await;
    app.verify_email(&good, PASSWORD).await.unwrap();
    // Neither call has the time for a hash, so each that wants one is sent away; a used token and one of an address that is taken want one.
    for token in [&good, &other] {
        assert_fault!(hurried(&app, token).await, ResourceExhausted, "HASHING_OVERLOADED");
    }
    assert_fault!(hurried(&app, "mvt1_forged").await, InvalidArgument, "VERIFICATION_TOKEN_INVALID");
}

/// A proof in less time than a hash of [`slow`] takes.
async fn hurried(app: &App, token: &str) -> Result<(), Status> {
    let mut request = Request::new(VerifyEmailRequest { verification_token: token.to_owned(), password: PASSWORD.to_owned() });
    request.set_timeout(Duration::from_millis(350));
    AccountServiceClient::new(app.anonymous().channel()).verify_email(request).await.map(drop)
}

#[tokio::test]
async fn a_weak_password_is_refused_before_anything_is_written() {
    let app = identity().await;
    for password in ["kX9#q", "password123", "ana@example.com"] {
        let refused = assert_fault!(app.register_user("ana@example.com", password, "Ana").await, InvalidArgument, "PASSWORD_TOO_WEAK");
        assert_eq!(violated_fields(&refused), ["password"]);
        assert!(!format!("{refused:?}").contains(password), "the refusal repeats the password");
    }
    let refused = assert_fault!(app.register_user("no address", PASSWORD, "Ana").await, InvalidArgument, "FIELD_VIOLATION");
    assert_eq!(violated_fields(&refused), ["email"]);
    assert_eq!(accounts(&app).await, 0);
    assert!(app.emitted().await.is_empty());
}

/// Names that people can't read as they are stored: with a NUL, with what turns the text around, and beyond what a name may have.
fn unreadable(longest: usize) -> [String; 4] {
    ["An\0a".to_owned(), "Ana\u{202e}nimda".to_owned(), "\u{2066}Ana".to_owned(), "a".repeat(longest + 1)]
}

#[tokio::test]
async fn a_name_that_nobody_can_read_is_refused_with_its_field_wherever_one_is_given() {
    let app = identity().await;
    for name in unreadable(200) {
        let refused = assert_fault!(app.register_user("ana@example.com", PASSWORD, &name).await, InvalidArgument, "FIELD_VIOLATION");
        assert_eq!(violated_fields(&refused), ["display_name"], "{name:?}");
    }
    assert_eq!(accounts(&app).await, 0);
    let ana = app.person("ana").await;
    for display_name in unreadable(200) {
        let request = CreateOrganizationRequest { slug: "acme".into(), display_name, ..Default::default() };
        let refused = OrganizationServiceClient::new(ana.channel()).create_organization(request).await;
        assert_eq!(violated_fields(&assert_fault!(refused, InvalidArgument, "FIELD_VIOLATION")), ["display_name"]);
    }
    for display_name in unreadable(64) {
        let refused = FactorServiceClient::new(ana.channel()).enroll_totp(EnrollTotpRequest { display_name }).await;
        assert_eq!(violated_fields(&assert_fault!(refused, InvalidArgument, "FIELD_VIOLATION")), ["display_name"]);
    }
}

#[tokio::test]
async fn a_verification_token_works_once() {
    let app = identity().await;
    let ana = app.pending("ana").await.to_string();
    let (token, again) = (app.issue_verification_token(&ana).await.unwrap(), app.issue_verification_token(&ana).await.unwrap());
    assert_eq!(token, again, "issuing stores nothing and voids nothing");
    app.verify_email(&token, PASSWORD).await.unwrap();
    assert_fault!(app.verify_email(&token, PASSWORD).await, InvalidArgument, "VERIFICATION_TOKEN_INVALID");
    assert_fault!(app.issue_verification_token(&ana).await, NotFound, "USER_NOT_FOUND");
    assert_eq!(app.events::<UserVerified>().await.len(), 1);
}

#[tokio::test]
async fn a_verification_token_that_is_used_twice_at_once_works_once() {
    let app = identity().await;
    let ana = app.pending("ana").await.to_string();
    let token = app.issue_verification_token(&ana).await.unwrap();
    let answers = futures::future::join_all((0..8).map(|_| app.verify_email(&token, PASSWORD))).await;
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
        assert_fault!(app.verify_email(&flipped, PASSWORD).await, InvalidArgument, "VERIFICATION_TOKEN_INVALID");
    }
    assert_fault!(app.verify_email(&token[..token.len() - 1], PASSWORD).await, InvalidArgument, "VERIFICATION_TOKEN_INVALID");
    app.verify_email(&token, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_verification_token_is_good_for_a_day() {
    let app = identity().await;
    let (ana, ben) = (app.pending("ana").await, app.pending("ben").await);
    let for_ana = app.issue_verification_token(&ana.to_string()).await.unwrap();
    let for_ben = app.issue_verification_token(&ben.to_string()).await.unwrap();
    app.clock().advance(Duration::from_hours(24) - Duration::from_secs(1));
    app.verify_email(&for_ana, PASSWORD).await.unwrap();
    app.clock().advance(Duration::from_secs(1));
    assert_fault!(app.verify_email(&for_ben, PASSWORD).await, InvalidArgument, "VERIFICATION_TOKEN_INVALID");
    let fresh = app.issue_verification_token(&ben.to_string()).await.unwrap();
    app.verify_email(&fresh, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_registration_that_nobody_proves_is_forgotten_after_a_week_and_an_account_stays() {
    let app = identity().await;
    let ana = app.verified("ana").await;
    let ben = app.pending("ben").await.to_string();
    app.clock().advance(Duration::from_hours(7 * 24));
    app.retention_round().await;
    assert_eq!(accounts(&app).await, 2);
    app.clock().advance(Duration::from_secs(1));
    app.retention_round().await;
    assert_eq!(accounts(&app).await, 1);
    assert_fault!(app.issue_verification_token(&ben).await, NotFound, "USER_NOT_FOUND");
    assert_eq!(app.sign_in(&address("ana")).await.user_id, ana);
    app.verified("ben").await;
}

#[tokio::test]
async fn the_login_that_deletes_registrations_reaches_no_account_and_reads_no_hash() {
    let app = identity().await;
    app.verified("ana").await;
    app.pending("ben").await;
    let mut worker = sqlx::PgConnection::connect(&app.database_url("identity_worker")).await.unwrap();
    let refused = sqlx::query("SELECT password_hash FROM identity.user_account").execute(&mut worker).await.unwrap_err();
    assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "42501");
    let gone = sqlx::query("DELETE FROM identity.user_account").execute(&mut worker).await.unwrap().rows_affected();
    assert_eq!((gone, accounts(&app).await), (1, 1));
    app.sign_in(&address("ana")).await;
}

#[tokio::test]
async fn only_the_service_that_sends_verification_tokens_gets_them() {
    let app = identity().await;
    let (ana, eve) = (app.pending("ana").await, app.person("eve").await);
    for channel in [app.anonymous().channel(), eve.channel()] {
        let request = IssueVerificationTokenRequest { user_id: ana.to_string() };
        let call = AccountServiceClient::new(channel).issue_verification_token(request).await;
        assert_fault!(call, Unauthenticated, "PEER_TOKEN_INVALID");
    }
    let request = IssueVerificationTokenRequest { user_id: ana.to_string() };
    let call = AccountServiceClient::new(app.service("tasks").channel()).issue_verification_token(request).await;
    assert_fault!(call, PermissionDenied, "PERMISSION_DENIED");
    let nobody = uuid::Uuid::from_u128(1).to_string();
    assert_fault!(app.issue_verification_token(&nobody).await, NotFound, "USER_NOT_FOUND");
}
