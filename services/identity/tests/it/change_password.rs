use std::time::Duration;

use contract::identity::v1::resolve_recipient_request::Subject;
use contract::identity::v1::{Link, PasswordChanged, PasswordResetRequested, ResolveRecipientRequest, SessionRevoked};
use testkit::{App, assert_fault, fault::violated_fields};

use crate::verbs::{Acts, Door, PASSWORD, address, identity, until};

const NEW: &str = "another good password";

#[tokio::test]
async fn who_knows_the_password_changes_it_and_every_other_session_ends() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let (phone, tablet) = (app.sign_in(&address("ana")).await, app.sign_in(&address("ana")).await);
    let ben = app.person("ben").await;
    phone.change_password(PASSWORD, NEW).await.unwrap();
    assert_fault!(app.create_session(&address("ana"), PASSWORD).await, Unauthenticated, "SIGN_IN_REFUSED");
    app.create_session(&address("ana"), NEW).await.unwrap();
    for ended in [&ana, &tablet] {
        assert_fault!(app.refresh_session(&ended.tokens.refresh_token).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
        until("the access token is refused", async || ended.list_sessions().await.is_err()).await;
    }
    for kept in [&phone, &ben] {
        kept.list_sessions().await.unwrap();
        app.refresh_session(&kept.tokens.refresh_token).await.unwrap();
    }
    let changed = &app.events::<PasswordChanged>().await[0];
    assert_ne!(changed.before.as_ref().unwrap().etag, changed.after.as_ref().unwrap().etag);
    assert_eq!((changed.user_id.clone(), app.events::<SessionRevoked>().await.len()), (ana.user_id.to_string(), 2));
}

#[tokio::test]
async fn a_wrong_or_weak_password_changes_nothing() {
    let app = identity().await;
    let ana = app.person("ana").await;
    assert_fault!(ana.change_password("wrong", NEW).await, PermissionDenied, "PASSWORD_INCORRECT");
    for weak in ["short", "password123", "ana@example.com"] {
        let refused = assert_fault!(ana.change_password(PASSWORD, weak).await, InvalidArgument, "PASSWORD_TOO_WEAK");
        assert_eq!(violated_fields(&refused), ["password"]);
    }
    let again = app.sign_in(&address("ana")).await;
    again.list_sessions().await.unwrap();
    assert!(app.events::<PasswordChanged>().await.is_empty() && app.events::<SessionRevoked>().await.is_empty());
}

#[tokio::test]
async fn whoever_guesses_at_a_session_that_was_left_open_waits_and_the_owner_signs_in_meanwhile() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let mut reasons = Vec::new();
    for _ in 0..16 {
        reasons.push(testkit::fault::reason(&ana.change_password("a guess", NEW).await.unwrap_err()));
    }
    let wrong = reasons.iter().take_while(|reason| *reason == "PASSWORD_INCORRECT").count();
    assert!(wrong > 0 && wrong < 16 && reasons[wrong..].iter().all(|reason| reason == "ATTEMPTS_THROTTLED"), "{reasons:?}");
    assert_fault!(ana.request_email_change("eve@example.com").await, ResourceExhausted, "ATTEMPTS_THROTTLED");
    app.sign_in(&address("ana")).await;
    app.clock().advance(Duration::from_mins(14));
    ana.change_password(PASSWORD, NEW).await.unwrap();
}

#[tokio::test]
async fn of_changes_at_once_one_holds_and_the_others_say_so() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let passwords: Vec<String> = (0..8).map(|number| format!("{NEW} {number}")).collect();
    let answers = futures::future::join_all(passwords.iter().map(|new| ana.change_password(PASSWORD, new))).await;
    let (mut good, mut signs_in) = (0, 0);
    for (new, answer) in passwords.iter().zip(answers) {
        let holds = answer.is_ok();
        good += usize::from(holds);
        if let Err(refused) = answer {
            let reason = testkit::fault::reason(&refused);
            assert!(["CONFLICT", "PASSWORD_INCORRECT"].contains(&reason.as_str()), "{refused:?}");
        }
        signs_in += usize::from(app.create_session(&address("ana"), new).await.is_ok() == holds);
    }
    assert_eq!((good, signs_in), (1, 8), "the one that was told so, and no other");
    assert_eq!(app.events::<PasswordChanged>().await.len(), 1);
}

/// What the mail of the reset that was asked for last resolves to.
async fn reset_mail(app: &App) -> ResolveRecipientRequest {
    let PasswordResetRequested { password_reset_id, user_id } = app.events().await.pop().unwrap();
    ResolveRecipientRequest { subject: Some(Subject::UserId(user_id)), link: Link::ResetPassword.into(), link_id: password_reset_id }
}

#[tokio::test]
async fn links_that_whoever_had_the_former_password_asked_for_are_void() {
    let app = identity().await;
    let ana = app.person("ana").await;
    app.request_password_reset(&address("ana")).await.unwrap();
    ana.request_email_change("eve@example.com").await.unwrap();
    let mail = reset_mail(&app).await;
    let token = app.resolve_recipient(mail.clone()).await.unwrap().link_token;
    let change = crate::change_email::newest(&app, Link::ChangeEmail).await;
    let proof = app.resolve_recipient(change.clone()).await.unwrap().link_token;
    app.clock().advance(Duration::from_secs(1));
    ana.change_password(PASSWORD, NEW).await.unwrap();
    assert_fault!(app.reset_password(&token, PASSWORD).await, InvalidArgument, "PASSWORD_RESET_TOKEN_INVALID");
    assert_fault!(ana.confirm_email_change(&proof).await, InvalidArgument, "EMAIL_CHANGE_TOKEN_INVALID");
    for late in [mail, change] {
        assert_fault!(app.resolve_recipient(late).await, NotFound, "RECIPIENT_NOT_FOUND");
    }
}
