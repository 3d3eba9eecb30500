use std::time::Duration;

use contract::identity::v1::account_service_client::AccountServiceClient;
use contract::identity::v1::resolve_recipient_request::Subject;
use contract::identity::v1::{
    ConfirmEmailChangeRequest, EmailChangeRequested, EmailChanged, Link, PasswordResetRequested, RequestEmailChangeRequest,
    ResolveRecipientRequest,
};
use identity::Config;
use identity::throttle::config::ThrottleConfig;
use testkit::{App, assert_fault, fault::violated_fields};

use crate::verbs::{Acts, Door, PASSWORD, Person, address, identity, identity_with, quick};

/// What the mail of the change that was asked for last resolves to.
pub(crate) async fn newest(app: &App, link: Link) -> ResolveRecipientRequest {
    let EmailChangeRequested { email_change_id, user_id } = app.events().await.pop().unwrap();
    ResolveRecipientRequest { subject: Some(Subject::UserId(user_id)), link: link.into(), link_id: email_change_id }
}

/// Asks for another address and gives the token of the mail that goes there.
pub(crate) async fn mailed(app: &App, who: &Person, email: &str) -> String {
    who.request_email_change(email).await.unwrap();
    let mail = app.resolve_recipient(newest(app, Link::ChangeEmail).await).await.unwrap();
    assert_eq!(mail.email, email);
    mail.link_token
}

#[tokio::test]
async fn an_address_is_changed_by_a_link_to_the_new_one_and_the_former_one_is_told() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let token = mailed(&app, &ana, "Lovelace@example.org").await;
    app.create_session(&address("ana"), PASSWORD).await.unwrap();
    ana.confirm_email_change(&token).await.unwrap();
    assert_fault!(app.create_session(&address("ana"), PASSWORD).await, Unauthenticated, "SIGN_IN_REFUSED");
    app.create_session("lovelace@example.org", PASSWORD).await.unwrap();
    assert_eq!(ana.get_user("").await.unwrap().email, "Lovelace@example.org", "the session goes on");
    let told = app.resolve_recipient(newest(&app, Link::EmailChanged).await).await.unwrap();
    assert_eq!((told.email, told.display_name, told.link_token.as_str()), (address("ana"), "ana".to_owned(), ""));
    let changed = &app.events::<EmailChanged>().await[0];
    assert_eq!(changed.user_id, ana.user_id.to_string());
    assert_ne!(changed.before.as_ref().unwrap().etag, changed.after.as_ref().unwrap().etag);
    // The former address is anybody's again, and what is asked for goes to the new one.
    app.verified("ana").await;
}

#[tokio::test]
async fn a_session_that_was_left_open_is_not_enough() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let request = RequestEmailChangeRequest { email: "eve@example.com".to_owned(), current_password: "a guess".to_owned() };
    let refused = AccountServiceClient::new(ana.channel()).request_email_change(request).await;
    assert_fault!(refused, PermissionDenied, "PASSWORD_INCORRECT");
    let refused = assert_fault!(ana.request_email_change("no address").await, InvalidArgument, "FIELD_VIOLATION");
    assert_eq!(violated_fields(&refused), ["email"]);
    assert!(app.events::<EmailChangeRequested>().await.is_empty());
}

#[tokio::test]
async fn whose_the_new_address_is_is_told_to_nobody() {
    let app = identity().await;
    let (ana, _) = (app.person("ana").await, app.person("ben").await);
    ana.request_email_change("BEN@example.com").await.unwrap();
    assert_eq!(app.events::<EmailChangeRequested>().await.len(), 1, "as for any other");
    assert_fault!(app.resolve_recipient(newest(&app, Link::ChangeEmail).await).await, NotFound, "RECIPIENT_NOT_FOUND");
}

#[tokio::test]
async fn who_proves_the_address_first_has_it() {
    let app = identity().await;
    let (ana, ben) = (app.person("ana").await, app.person("ben").await);
    let anas = mailed(&app, &ana, &address("prize")).await;
    let bens = mailed(&app, &ben, &address("prize")).await;
    let (first, second) = tokio::join!(ana.confirm_email_change(&anas), ben.confirm_email_change(&bens));
    assert_eq!(usize::from(first.is_ok()) + usize::from(second.is_ok()), 1);
    assert_fault!(if first.is_ok() { second } else { first }, InvalidArgument, "EMAIL_CHANGE_TOKEN_INVALID");
    let having = "SELECT count(DISTINCT email_index) FROM identity.user_account WHERE state = 2";
    assert_eq!(sqlx::query_scalar::<_, i64>(having).fetch_one(&mut app.sql().await).await.unwrap(), 2);
    assert_eq!(app.events::<EmailChanged>().await.len(), 1);
}

#[tokio::test]
async fn a_link_is_good_once_for_a_day_and_until_the_next_one() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let first = mailed(&app, &ana, &address("one")).await;
    let second = mailed(&app, &ana, &address("two")).await;
    assert_fault!(ana.confirm_email_change(&first).await, InvalidArgument, "EMAIL_CHANGE_TOKEN_INVALID");
    let answers = futures::future::join_all((0..8).map(|_| ana.confirm_email_change(&second))).await;
    let (good, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((good.len(), refused.len()), (1, 7));
    for answer in refused {
        assert_fault!(answer, InvalidArgument, "EMAIL_CHANGE_TOKEN_INVALID");
    }
    let third = mailed(&app, &ana, &address("three")).await;
    app.clock().advance(Duration::from_hours(24));
    let ana = app.sign_in(&address("two")).await;
    assert_fault!(ana.confirm_email_change(&third).await, InvalidArgument, "EMAIL_CHANGE_TOKEN_INVALID");
    assert_fault!(app.resolve_recipient(newest(&app, Link::ChangeEmail).await).await, NotFound, "RECIPIENT_NOT_FOUND");
}

/// Pre-hijacking: the account is a stranger's, and the mailbox its owner's.
#[tokio::test]
async fn who_reads_the_mail_proves_the_address_for_no_account_but_their_own() {
    let app = identity().await;
    let (eve, ana) = (app.person("eve").await, app.person("ana").await);
    let token = mailed(&app, &eve, &address("ana-at-work")).await;
    let request = ConfirmEmailChangeRequest { email_change_token: token.clone() };
    let nobody = AccountServiceClient::new(app.anonymous().channel()).confirm_email_change(request).await;
    assert_fault!(nobody, Unauthenticated, "CREDENTIALS_MISSING");
    assert_fault!(ana.confirm_email_change(&token).await, InvalidArgument, "EMAIL_CHANGE_TOKEN_INVALID");
    assert_eq!(eve.get_user("").await.unwrap().email, address("eve"));
    assert!(app.events::<EmailChanged>().await.is_empty());
    eve.confirm_email_change(&token).await.unwrap();
}

#[tokio::test]
async fn a_person_has_an_address_mailed_once_a_minute_and_holds_up_nobody_else() {
    let app = identity().await;
    let (ana, ben) = (app.person("ana").await, app.person("ben").await);
    let token = mailed(&app, &ana, &address("victim")).await;
    for who in [&ana, &ben, &ana, &ben] {
        who.request_email_change("Victim@example.com").await.unwrap();
    }
    let asked: Vec<String> = app.events::<EmailChangeRequested>().await.into_iter().map(|event| event.user_id).collect();
    assert_eq!(asked, [ana.user_id.to_string(), ben.user_id.to_string()]);
    ana.confirm_email_change(&token).await.unwrap();
}

#[tokio::test]
async fn a_link_to_another_address_is_void_though_the_new_one_waits_to_be_mailed() {
    let app = identity().await;
    let ana = app.person("ana").await;
    mailed(&app, &ana, &address("right")).await;
    let wrong = mailed(&app, &ana, &address("wrong")).await;
    ana.request_email_change(&address("right")).await.unwrap();
    assert_eq!(app.events::<EmailChangeRequested>().await.len(), 2, "the third one is in the minute");
    assert_fault!(ana.confirm_email_change(&wrong).await, InvalidArgument, "EMAIL_CHANGE_TOKEN_INVALID");
}

#[tokio::test]
async fn the_right_password_costs_no_attempt_where_mails_are_refused() {
    let throttle = ThrottleConfig { attempts: 2, mails_per_user: 1, ..ThrottleConfig::default() };
    let app = identity_with(Config { throttle, ..quick() }).await;
    let ana = app.person("ana").await;
    let mut refused = 0;
    for number in 0..8 {
        refused += usize::from(ana.request_email_change(&address(&format!("new-{number}"))).await.is_err());
    }
    assert!(refused > 4, "{refused}");
    ana.change_password(PASSWORD, "another good password").await.unwrap();
}

#[tokio::test]
async fn a_reset_link_at_the_former_address_is_void_and_the_new_password_stays_the_owners() {
    let app = identity().await;
    let ana = app.person("ana").await;
    app.request_password_reset(&address("ana")).await.unwrap();
    let PasswordResetRequested { password_reset_id, user_id } = app.events().await.pop().unwrap();
    let mail =
        ResolveRecipientRequest { subject: Some(Subject::UserId(user_id)), link: Link::ResetPassword.into(), link_id: password_reset_id };
    let reset = app.resolve_recipient(mail.clone()).await.unwrap().link_token;
    let token = mailed(&app, &ana, &address("new")).await;
    app.clock().advance(Duration::from_secs(1));
    ana.confirm_email_change(&token).await.unwrap();
    assert_fault!(app.reset_password(&reset, "the password of eve").await, InvalidArgument, "PASSWORD_RESET_TOKEN_INVALID");
    assert_fault!(app.resolve_recipient(mail).await, NotFound, "RECIPIENT_NOT_FOUND");
}

#[tokio::test]
async fn a_forged_token_and_one_of_another_kind_change_nothing() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let token = mailed(&app, &ana, &address("new")).await;
    let proof = app.issue_verification_token(&app.pending("cy").await.to_string()).await.unwrap();
    for forged in [&proof, &format!("{token}0"), &token[..token.len() - 1].to_owned(), &proof.replacen("mvt1_", "mec1_", 1)] {
        assert_fault!(ana.confirm_email_change(forged).await, InvalidArgument, "EMAIL_CHANGE_TOKEN_INVALID");
    }
    ana.confirm_email_change(&token).await.unwrap();
}

#[tokio::test]
async fn a_change_is_forgotten_after_a_week_and_a_day() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let token = mailed(&app, &ana, &address("new")).await;
    ana.confirm_email_change(&token).await.unwrap();
    let kept =
        async || -> i64 { sqlx::query_scalar("SELECT count(*) FROM identity.email_change").fetch_one(&mut app.sql().await).await.unwrap() };
    app.clock().advance(Duration::from_hours(8 * 24));
    app.retention_round().await;
    assert_eq!(kept().await, 1);
    app.clock().advance(Duration::from_secs(1));
    app.retention_round().await;
    assert_eq!(kept().await, 0);
}
