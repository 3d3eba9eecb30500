use std::time::Duration;

use contract::identity::v1::step_up_session_request::Code;
use contract::identity::v1::*;
use testkit::{assert_fault, fault};

use crate::verbs::{Acts, Door, Factors, PASSWORD, Waits, address, claims, identity, until};

#[tokio::test]
async fn a_change_of_factors_needs_a_session_that_was_authenticated_lately() {
    let app = identity().await;
    let ana = app.person("ana").await;
    app.clock().advance(Duration::from_secs(600));
    ana.enroll_totp().await.unwrap();
    app.clock().advance(Duration::from_secs(1));
    let refused = assert_fault!(ana.enroll_totp().await, Unauthenticated, "STEP_UP_REQUIRED");
    let needed = fault::metadata(&refused);
    assert_eq!((needed["aal"].as_str(), needed["max_age_seconds"].as_str()), ("1", "600"));
    let risen = ana.step_up_by_password(PASSWORD).await.unwrap();
    assert_eq!(claims(&risen.access_token)["auth_time"], app.now().unix_timestamp());
    ana.with_token(&risen.access_token).enroll_totp().await.unwrap();
    assert_fault!(ana.enroll_totp().await, Unauthenticated, "STEP_UP_REQUIRED");
    let [told] = app.events::<SessionSteppedUp>().await.try_into().unwrap();
    assert_ne!(told.after.unwrap().auth_time, told.before.unwrap().auth_time);
}

#[tokio::test]
async fn a_refresh_does_not_make_a_session_fresh() {
    let app = identity().await;
    let ana = app.person("ana").await;
    app.clock().advance(Duration::from_secs(601));
    let refreshed = app.refresh_session(&ana.tokens.refresh_token).await.unwrap();
    assert_fault!(ana.with_token(&refreshed.access_token).enroll_totp().await, Unauthenticated, "STEP_UP_REQUIRED");
    ana.step_up_by_password(PASSWORD).await.unwrap();
    let refreshed = app.refresh_session(&refreshed.refresh_token).await.unwrap();
    ana.with_token(&refreshed.access_token).enroll_totp().await.unwrap();
}

#[tokio::test]
async fn a_factor_is_taken_away_by_a_fresh_second_factor_alone() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let first = &ana.person;
    let refused = assert_fault!(first.delete_factor(&ana.factor).await, Unauthenticated, "STEP_UP_REQUIRED");
    assert_eq!(fault::metadata(&refused)["aal"], "2");
    assert_fault!(first.regenerate_recovery_codes().await, Unauthenticated, "STEP_UP_REQUIRED");
    app.clock().advance(Duration::from_secs(600));
    assert_fault!(ana.delete_factor(&ana.factor).await, Unauthenticated, "STEP_UP_REQUIRED");
    let risen = ana.step_up_by_code(&app.code_of(&ana)).await.unwrap();
    assert_eq!(risen.session.unwrap().aal, 2);
    ana.with_token(&risen.access_token).delete_factor(&ana.factor).await.unwrap();
}

#[tokio::test]
async fn who_has_a_second_factor_steps_up_by_it_and_a_password_beside_it_must_be_right() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    assert_fault!(ana.step_up_by_password(PASSWORD).await, FailedPrecondition, "FACTOR_CODE_REQUIRED");
    assert_fault!(ana.step_up_by(StepUpSessionRequest::default()).await, FailedPrecondition, "FACTOR_CODE_REQUIRED");
    let both = |password: &str, code: String| StepUpSessionRequest { password: password.to_owned(), code: Some(Code::TotpCode(code)) };
    assert_fault!(ana.step_up_by(both("wrong", app.code_of(&ana))).await, Unauthenticated, "STEP_UP_REFUSED");
    ana.step_up_by(both(PASSWORD, app.code_of(&ana))).await.unwrap();
    assert_fault!(ana.step_up_by_code(&app.code_of(&ana)).await, Unauthenticated, "STEP_UP_REFUSED");
    let recovery = Some(Code::RecoveryCode(ana.recovery_codes[0].clone()));
    ana.step_up_by(StepUpSessionRequest { password: String::new(), code: recovery.clone() }).await.unwrap();
    assert_fault!(
        ana.step_up_by(StepUpSessionRequest { password: String::new(), code: recovery }).await,
        Unauthenticated,
        "STEP_UP_REFUSED"
    );
}

#[tokio::test]
async fn who_has_none_steps_up_by_password_and_no_code_is_theirs() {
    let app = identity().await;
    let ana = app.person("ana").await;
    assert_fault!(ana.step_up_by(StepUpSessionRequest::default()).await, FailedPrecondition, "FACTOR_CODE_REQUIRED");
    assert_fault!(ana.step_up_by_code("123456").await, Unauthenticated, "STEP_UP_REFUSED");
    assert_fault!(ana.step_up_by_password("wrong").await, Unauthenticated, "STEP_UP_REFUSED");
    assert_eq!(ana.step_up_by_password(PASSWORD).await.unwrap().session.unwrap().aal, 1);
}

#[tokio::test]
async fn the_fifth_refusal_in_a_row_ends_the_session() {
    let app = identity().await;
    let ana = app.person("ana").await;
    for _ in 0..4 {
        assert_fault!(ana.step_up_by_password("wrong").await, Unauthenticated, "STEP_UP_REFUSED");
    }
    ana.step_up_by_password(PASSWORD).await.unwrap();
    for _ in 0..5 {
        assert_fault!(ana.step_up_by_password("wrong").await, Unauthenticated, "STEP_UP_REFUSED");
    }
    until("the token is refused", async || ana.get_user("").await.is_err()).await;
    assert_fault!(ana.get_user("").await, Unauthenticated, "TOKEN_REVOKED");
    assert_fault!(app.refresh_session(&ana.tokens.refresh_token).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
    assert_eq!(app.events::<SessionRevoked>().await.len(), 1);
    let told = app.events::<SignInFailed>().await;
    assert_eq!((told.len(), &told[0].session_id), (9, &ana.session_id.to_string()));
}

#[tokio::test]
async fn another_session_of_the_person_stays_as_it_was() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let other = app.sign_in(&crate::verbs::address("ana")).await;
    app.clock().advance(Duration::from_secs(601));
    ana.step_up_by_password(PASSWORD).await.unwrap();
    assert_fault!(other.enroll_totp().await, Unauthenticated, "STEP_UP_REQUIRED");
}

#[tokio::test]
async fn who_has_a_second_factor_changes_password_and_address_after_a_fresh_code_alone() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    app.clock().advance(Duration::from_mins(10));
    // The one never showed a code, the other one more than ten minutes ago.
    for session in [&*ana.person, &*ana] {
        let of_password = session.change_password("a guess", "another good password").await.map(drop);
        for refused in [of_password, session.request_email_change("ada@example.org").await] {
            let needed = fault::metadata(&assert_fault!(refused, Unauthenticated, "STEP_UP_REQUIRED"));
            assert_eq!((needed["aal"].as_str(), needed["max_age_seconds"].as_str()), ("2", "600"));
        }
    }
    let risen = ana.step_up_by_code(&app.code_of(&ana)).await.unwrap();
    let risen = ana.with_token(&risen.access_token);
    risen.request_email_change("ada@example.org").await.unwrap();
    assert_fault!(risen.change_password("a guess", "another good password").await, PermissionDenied, "PASSWORD_INCORRECT");
    risen.change_password(PASSWORD, "another good password").await.unwrap();
}

#[tokio::test]
async fn who_resets_the_password_by_mail_needs_no_code_for_it_and_one_to_come_in() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let token = crate::reset_password::mailed(&app, "ana").await;
    app.reset_password(&token, "another good password").await.unwrap();
    let asked = app.create_session(&address("ana"), "another good password").await.unwrap();
    assert_eq!(asked.tokens, None);
    app.answer_by_code(&asked.challenge.unwrap(), &app.code_of(&ana)).await.unwrap();
}
