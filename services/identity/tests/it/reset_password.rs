use std::time::Duration;

use contract::identity::v1::resolve_recipient_request::Subject;
use contract::identity::v1::{
    Link, MailRequestMissed, PasswordReset, PasswordResetRequested, RequestPasswordResetResponse, ResolveRecipientRequest, SessionRevoked,
};
use sqlx::Connection;
use testkit::{App, assert_fault, fault::violated_fields};

use crate::verbs::{Acts, Door, NOTHING, PASSWORD, address, identity, until};

const NEW: &str = "another good password";

/// What the mail of the reset that was asked for last resolves to.
fn newest(mut requested: Vec<PasswordResetRequested>) -> ResolveRecipientRequest {
    let PasswordResetRequested { password_reset_id, user_id } = requested.pop().unwrap();
    ResolveRecipientRequest { subject: Some(Subject::UserId(user_id)), link: Link::ResetPassword.into(), link_id: password_reset_id }
}

/// The token of the reset that was asked for last, as the mail would hold it.
pub(crate) async fn mailed_token(app: &App) -> String {
    app.resolve_recipient(newest(app.events().await)).await.unwrap().link_token
}

/// Asks for a link and gives its token, as the mail would hold it.
pub(crate) async fn mailed(app: &App, name: &str) -> String {
    app.request_password_reset(&address(name)).await.unwrap();
    mailed_token(app).await
}

#[tokio::test]
async fn who_forgot_the_password_chooses_another_and_every_session_ends() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let (phone, ben) = (app.sign_in(&address("ana")).await, app.person("ben").await);
    let token = mailed(&app, "ana").await;
    app.reset_password(&token, NEW).await.unwrap();
    assert_fault!(app.create_session(&address("ana"), PASSWORD).await, Unauthenticated, "SIGN_IN_REFUSED");
    app.create_session(&address("ana"), NEW).await.unwrap();
    for session in [&ana, &phone] {
        assert_fault!(app.refresh_session(&session.tokens.refresh_token).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
        until("the access token is refused", async || session.list_sessions().await.is_err()).await;
    }
    ben.list_sessions().await.unwrap();
    let reset = &app.events::<PasswordReset>().await[0];
    assert_eq!(reset.user_id, ana.user_id.to_string());
    assert_ne!(reset.before.as_ref().unwrap().etag, reset.after.as_ref().unwrap().etag);
    assert_eq!(app.events::<SessionRevoked>().await.len(), 2);
}

#[tokio::test]
async fn who_guessed_at_their_own_password_before_may_give_the_new_one_at_once() {
    let app = identity().await;
    let ana = app.person("ana").await;
    while testkit::fault::reason(&ana.change_password("a guess", NEW).await.unwrap_err()) == "PASSWORD_INCORRECT" {}
    let token = mailed(&app, "ana").await;
    app.reset_password(&token, PASSWORD).await.unwrap();
    app.sign_in(&address("ana")).await.change_password(PASSWORD, NEW).await.unwrap();
}

#[tokio::test]
async fn an_address_that_is_nobodys_gets_the_same_answer_after_the_same_commit() {
    let app = identity().await;
    app.verified("ana").await;
    app.pending("ben").await;
    let before = app.emitted().await.len();
    for (name, events) in [("ana", 1), ("ben", 2), ("nobody", 3)] {
        assert_eq!(app.request_password_reset(&address(name)).await.unwrap(), RequestPasswordResetResponse {}, "{name}");
        assert_eq!(app.emitted().await.len(), before + events, "{name}: one event each");
    }
    assert_eq!(app.events::<PasswordResetRequested>().await.len(), 1);
    assert_eq!(app.events::<MailRequestMissed>().await.len(), 2);
}

#[tokio::test]
async fn within_a_minute_one_mail_is_caused_and_the_other_kind_of_mail_is_not_held_up() {
    let app = identity().await;
    app.verified("ana").await;
    let email = address("ana");
    for answer in futures::future::join_all((0..8).map(|_| app.request_password_reset(&email))).await {
        answer.unwrap();
    }
    assert_eq!(app.events::<PasswordResetRequested>().await.len(), 1);
    app.clock().advance(Duration::from_secs(59));
    app.request_password_reset(&email).await.unwrap();
    assert_eq!(app.events::<PasswordResetRequested>().await.len(), 1);
    app.clock().advance(Duration::from_secs(1));
    app.resend_verification(&email, NOTHING).await.unwrap();
    assert_eq!(app.events::<MailRequestMissed>().await.len(), 1);
    app.request_password_reset(&email).await.unwrap();
    assert_eq!(app.events::<PasswordResetRequested>().await.len(), 2);
}

#[tokio::test]
async fn a_link_is_good_once_and_takes_every_other_one_with_it() {
    let app = identity().await;
    app.verified("ana").await;
    let first = mailed(&app, "ana").await;
    app.clock().advance(Duration::from_mins(2));
    let second = mailed(&app, "ana").await;
    assert_ne!(first, second);
    app.reset_password(&first, NEW).await.unwrap();
    for token in [&first, &second] {
        assert_fault!(app.reset_password(token, PASSWORD).await, InvalidArgument, "PASSWORD_RESET_TOKEN_INVALID");
    }
    app.create_session(&address("ana"), NEW).await.unwrap();
}

#[tokio::test]
async fn a_mail_that_comes_after_another_link_was_used_brings_no_link() {
    let app = identity().await;
    app.verified("ana").await;
    let first = mailed(&app, "ana").await;
    app.clock().advance(Duration::from_mins(2));
    app.request_password_reset(&address("ana")).await.unwrap();
    let late = newest(app.events().await);
    app.clock().advance(Duration::from_secs(1));
    app.reset_password(&first, NEW).await.unwrap();
    assert_fault!(app.resolve_recipient(late).await, NotFound, "RECIPIENT_NOT_FOUND");
    app.clock().advance(Duration::from_mins(1));
    let asked_since = mailed(&app, "ana").await;
    app.reset_password(&asked_since, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_token_from_a_switch_just_before_the_refresh_token_lapsed_does_not_outlive_the_reset() {
    let app = identity().await;
    let ana = app.person("ana").await;
    app.clock().advance(Duration::from_hours(7 * 24) - Duration::from_mins(15));
    let kept = app.sign_in(&address("ana")).await;
    app.clock().advance(Duration::from_mins(14));
    // The token of the first sign-in lapsed long ago; what it switched to a moment before the end is good for a quarter of an hour.
    sqlx::query("UPDATE identity.session SET refresh_expire_time = $1 WHERE session_id = $2::uuid")
        .bind(app.now() + time::Duration::seconds(30))
        .bind(&kept.session.session_id)
        .execute(&mut app.sql().await)
        .await
        .unwrap();
    let switched = kept.entering(runtime::OrganizationId::SYSTEM).await;
    app.clock().advance(Duration::from_mins(2));
    switched.list_sessions().await.unwrap();
    let token = mailed(&app, "ana").await;
    app.reset_password(&token, NEW).await.unwrap();
    until("the access token is refused", async || switched.list_sessions().await.is_err()).await;
    let revoked: Vec<String> = app.events::<SessionRevoked>().await.into_iter().map(|event| event.session_id).collect();
    assert_eq!(revoked.iter().filter(|id| **id == kept.session.session_id).count(), 1);
    assert!(revoked.len() <= 2 && ana.session.session_id != kept.session.session_id);
}

#[tokio::test]
async fn a_link_that_is_used_twice_at_once_works_once() {
    let app = identity().await;
    app.verified("ana").await;
    let token = mailed(&app, "ana").await;
    let answers = futures::future::join_all((0..8).map(|_| app.reset_password(&token, NEW))).await;
    let (good, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!((good.len(), refused.len()), (1, 7));
    for answer in refused {
        assert_fault!(answer, InvalidArgument, "PASSWORD_RESET_TOKEN_INVALID");
    }
    assert_eq!(app.events::<PasswordReset>().await.len(), 1);
}

#[tokio::test]
async fn a_link_is_good_for_an_hour_from_when_it_was_asked_for_however_late_it_is_mailed() {
    let app = identity().await;
    app.verified("ana").await;
    let token = mailed(&app, "ana").await;
    app.clock().advance(Duration::from_secs(3_599));
    let mail = newest(app.events().await);
    assert_eq!(app.resolve_recipient(mail.clone()).await.unwrap().link_token, token, "as often as it is asked");
    app.clock().advance(Duration::from_secs(1));
    assert_fault!(app.resolve_recipient(mail).await, NotFound, "RECIPIENT_NOT_FOUND");
    assert_fault!(app.reset_password(&token, NEW).await, InvalidArgument, "PASSWORD_RESET_TOKEN_INVALID");
    app.create_session(&address("ana"), PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_weak_password_and_a_forged_token_change_nothing_and_leave_the_link_good() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let token = mailed(&app, "ana").await;
    for password in ["short", "ana@example.com"] {
        let refused = assert_fault!(app.reset_password(&token, password).await, InvalidArgument, "PASSWORD_TOO_WEAK");
        assert_eq!(violated_fields(&refused), ["password"]);
    }
    let proof = app.issue_verification_token(&app.pending("ben").await.to_string()).await.unwrap();
    for forged in [&proof, &format!("{token}0"), &token.replacen("mpr1_", "mvt1_", 1)] {
        assert_fault!(app.reset_password(forged, NEW).await, InvalidArgument, "PASSWORD_RESET_TOKEN_INVALID");
    }
    ana.list_sessions().await.unwrap();
    app.reset_password(&token, NEW).await.unwrap();
}

#[tokio::test]
async fn a_registration_that_waits_has_no_password_to_reset() {
    let app = identity().await;
    app.verified("ana").await;
    let ben = app.pending("ben").await.to_string();
    app.request_password_reset(&address("ana")).await.unwrap();
    let mail = ResolveRecipientRequest { subject: Some(Subject::UserId(ben)), ..newest(app.events().await) };
    assert_fault!(app.resolve_recipient(mail).await, NotFound, "RECIPIENT_NOT_FOUND");
}

/// A sign-in that checked the old password before the reset must not open a session after it.
#[tokio::test]
async fn a_sign_in_that_the_reset_overtakes_opens_no_session() {
    let app = identity().await;
    let ana = app.verified("ana").await;
    let mut sql = app.sql().await;
    let mut reset = sql.begin().await.unwrap();
    sqlx::query("UPDATE identity.user_account SET version = version + 1 WHERE user_id = $1").bind(ana).execute(&mut *reset).await.unwrap();
    let waits = async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR NO KEY UPDATE%'";
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut app.sql().await).await.unwrap() > 0
    };
    let email = address("ana");
    let (answer, ()) = tokio::join!(app.create_session(&email, PASSWORD), async {
        until("the sign-in waits for the account", waits).await;
        reset.commit().await.unwrap();
    });
    assert_fault!(answer, Unauthenticated, "SIGN_IN_REFUSED");
}
