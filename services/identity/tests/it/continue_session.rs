use std::time::Duration;

use contract::identity::v1::*;
use futures::future::join_all;
use testkit::{Actor, assert_fault, fault};
use tonic::Status;

use crate::verbs::{Acts, Door, Factors, PASSWORD, Waits, address, identity, identity_with, quick};

fn reasons<T>(answers: Vec<Result<T, Status>>) -> (usize, Vec<String>) {
    let good = answers.iter().filter(|answer| answer.is_ok()).count();
    (good, answers.into_iter().filter_map(Result::err).map(|refused| fault::reason(&refused)).collect())
}

#[tokio::test]
async fn who_has_a_second_factor_is_asked_for_a_code_and_gets_no_token_before() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let asked = app.create_session(&address("ana"), PASSWORD).await.unwrap();
    let (session, challenge) = (asked.session.unwrap(), asked.challenge.unwrap());
    assert_eq!((session.state(), asked.tokens), (SessionState::Challenged, None));
    assert_eq!(ana.list_sessions().await.unwrap().len(), 1, "it is no open session");
    let answered = app.answer_by_code(&challenge, &app.code_of(&ana)).await.unwrap();
    let open = answered.session.unwrap();
    assert_eq!((open.state(), open.aal, &open.session_id), (SessionState::Active, 2, &session.session_id));
    let tokens = answered.tokens.unwrap();
    ana.with_token(&tokens.access_token).get_user("").await.unwrap();
    app.refresh_session(&tokens.refresh_token).await.unwrap();
    let [_, created] = app.events::<SessionCreated>().await.try_into().unwrap();
    assert_eq!((created.after.unwrap().amr.len(), app.events::<SessionChallenged>().await.len()), (3, 1));
    assert_fault!(app.answer_by_code(&challenge, &app.code_of(&ana)).await, Unauthenticated, "CHALLENGE_INVALID");
}

#[tokio::test]
async fn a_challenge_token_opens_nothing_else() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let challenge = app.challenge("ana").await;
    let token = &challenge.challenge_token;
    assert_fault!(ana.with_token(token).get_user("").await, Unauthenticated, "TOKEN_INVALID");
    assert_fault!(app.refresh_session(token).await, Unauthenticated, "REFRESH_TOKEN_INVALID");
    for wrong in [&token[1..], &token.replacen("mct1_", "mrt1_", 1), &ana.person.tokens.refresh_token] {
        let wrong = Challenge { challenge_token: wrong.to_owned(), ..challenge.clone() };
        assert_fault!(app.answer_by_code(&wrong, &app.code_of(&ana)).await, Unauthenticated, "CHALLENGE_INVALID");
    }
}

#[tokio::test]
async fn a_code_works_once_though_it_is_good_for_a_while() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let (code, early) = (app.code_of(&ana), ana.app.code_at(app.now() - time::Duration::seconds(30)));
    app.answer_by_code(&app.challenge("ana").await, &code).await.unwrap();
    let again = app.challenge("ana").await;
    assert_fault!(app.answer_by_code(&again, &code).await, Unauthenticated, "FACTOR_CODE_REFUSED");
    assert_fault!(app.answer_by_code(&again, &early).await, Unauthenticated, "FACTOR_CODE_REFUSED");
    app.next_step();
    app.answer_by_code(&again, &app.code_of(&ana)).await.unwrap();
}

#[tokio::test]
async fn a_clock_that_is_a_step_off_is_good_enough() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let at = |seconds: i64| ana.app.code_at(app.now() + time::Duration::seconds(seconds));
    let challenge = app.challenge("ana").await;
    assert_fault!(app.answer_by_code(&challenge, &at(60)).await, Unauthenticated, "FACTOR_CODE_REFUSED");
    app.answer_by_code(&challenge, &at(30)).await.unwrap();
}

#[tokio::test]
async fn of_twenty_who_bring_one_code_at_once_one_gets_in() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let code = app.code_of(&ana);
    let mut challenges = Vec::new();
    for _ in 0..20 {
        challenges.push(app.challenge("ana").await);
    }
    let (good, refused) = reasons(join_all(challenges.iter().map(|challenge| app.answer_by_code(challenge, &code))).await);
    assert_eq!(good, 1);
    assert!(refused.iter().all(|reason| ["FACTOR_CODE_REFUSED", "ATTEMPTS_THROTTLED"].contains(&reason.as_str())), "{refused:?}");
}

#[tokio::test]
async fn of_twenty_who_bring_one_recovery_code_at_once_one_gets_in() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let mut challenges = Vec::new();
    for _ in 0..20 {
        challenges.push(app.challenge("ana").await);
    }
    let code = &ana.recovery_codes[3];
    let (good, refused) = reasons(join_all(challenges.iter().map(|challenge| app.answer_by_recovery(challenge, code))).await);
    assert_eq!((good, refused), (1, vec!["FACTOR_CODE_REFUSED".to_owned(); 19]));
    let [used] = app.events::<RecoveryCodeUsed>().await.try_into().unwrap();
    assert_eq!((used.user_id, used.recovery_codes_left), (ana.user_id.to_string(), 9));
}

#[tokio::test]
async fn a_recovery_code_may_be_typed_as_people_type() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let typed = ana.recovery_codes[0].to_uppercase().replace('-', " ");
    let session = app.answer_by_recovery(&app.challenge("ana").await, &typed).await.unwrap().session.unwrap();
    assert_eq!((session.aal, session.amr), (2, ["pwd", "recovery", "mfa"].map(str::to_owned).to_vec()));
}

#[tokio::test]
async fn the_fifth_wrong_code_ends_the_challenge_and_each_is_told() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let challenge = app.challenge("ana").await;
    for _ in 0..5 {
        assert_fault!(app.answer_by_code(&challenge, &app.wrong_code(&ana)).await, Unauthenticated, "FACTOR_CODE_REFUSED");
    }
    assert_fault!(app.answer_by_code(&challenge, &app.code_of(&ana)).await, Unauthenticated, "CHALLENGE_INVALID");
    let told = app.events::<SignInFailed>().await;
    assert_eq!(told.len(), 5, "the count is committed though the call is refused");
    assert!(told.iter().all(|failed| failed.user_id == ana.user_id.to_string() && !failed.session_id.is_empty()));
    app.answer_by_code(&app.challenge("ana").await, &app.code_of(&ana)).await.unwrap();
}

#[tokio::test]
async fn five_wrong_codes_at_once_are_five() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let (challenge, wrong) = (app.challenge("ana").await, app.wrong_code(&ana));
    let (good, refused) = reasons(join_all((0..8).map(|_| app.answer_by_code(&challenge, &wrong))).await);
    let count = |reason: &str| refused.iter().filter(|refused| *refused == reason).count();
    assert_eq!((good, count("FACTOR_CODE_REFUSED"), count("CHALLENGE_INVALID")), (0, 5, 3));
}

#[tokio::test]
async fn who_guesses_over_many_challenges_waits_longer_and_longer_and_the_owner_gets_in() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    for _ in 0..2 {
        let challenge = app.challenge("ana").await;
        for _ in 0..5 {
            assert_fault!(app.answer_by_code(&challenge, &app.wrong_code(&ana)).await, Unauthenticated, "FACTOR_CODE_REFUSED");
        }
    }
    let challenge = app.challenge("ana").await;
    assert_fault!(app.answer_by_code(&challenge, &app.wrong_code(&ana)).await, Unauthenticated, "FACTOR_CODE_REFUSED");
    let refused = assert_fault!(app.answer_by_code(&challenge, &app.code_of(&ana)).await, ResourceExhausted, "ATTEMPTS_THROTTLED");
    assert_eq!(fault::retry_delay(&refused), Some(Duration::from_secs(1)));
    app.answer_by_recovery(&app.challenge("ana").await, &ana.recovery_codes[0]).await.unwrap();
    app.clock().advance(Duration::from_secs(1));
    app.answer_by_code(&challenge, &app.code_of(&ana)).await.unwrap();
    let challenge = app.challenge("ana").await;
    for _ in 0..2 {
        assert_fault!(app.answer_by_code(&challenge, &app.wrong_code(&ana)).await, Unauthenticated, "FACTOR_CODE_REFUSED");
    }
}

#[tokio::test]
async fn a_challenge_lapses_after_ten_minutes_and_is_swept() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let (late, good) = (app.challenge("ana").await, app.challenge("ana").await);
    app.clock().advance(Duration::from_secs(599));
    app.answer_by_code(&good, &app.code_of(&ana)).await.unwrap();
    app.clock().advance(Duration::from_secs(1));
    assert_fault!(app.answer_by_recovery(&late, &ana.recovery_codes[0]).await, Unauthenticated, "CHALLENGE_INVALID");
    app.clock().advance(Duration::from_secs(1));
    app.retention_round().await;
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM identity.session").fetch_one(&mut app.sql().await).await.unwrap();
    assert_eq!(left, 2, "the two that were opened stay");
}

#[tokio::test]
async fn another_password_ends_challenges_too() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let challenge = app.challenge("ana").await;
    app.request_password_reset(&address("ana")).await.unwrap();
    let asked = app.events::<PasswordResetRequested>().await.pop().unwrap();
    let subject = Some(resolve_recipient_request::Subject::UserId(ana.user_id.to_string()));
    let link = ResolveRecipientRequest { subject, link: Link::ResetPassword.into(), link_id: asked.password_reset_id };
    let token = app.resolve_recipient(link).await.unwrap().link_token;
    app.reset_password(&token, "another good password").await.unwrap();
    assert_fault!(app.answer_by_code(&challenge, &app.code_of(&ana)).await, Unauthenticated, "CHALLENGE_INVALID");
    let asked = app.create_session(&address("ana"), "another good password").await.unwrap();
    assert!(asked.challenge.is_some(), "a reset does not get around the second factor");
}

#[tokio::test]
async fn a_session_that_waits_can_be_ended_by_its_owner() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let asked = app.create_session(&address("ana"), PASSWORD).await.unwrap();
    let who: &Actor = &ana;
    assert_eq!(who.revoke_session(&asked.session.unwrap().session_id).await.unwrap().state(), SessionState::Revoked);
    assert_fault!(app.answer_by_code(&asked.challenge.unwrap(), &app.code_of(&ana)).await, Unauthenticated, "CHALLENGE_INVALID");
}

#[tokio::test]
async fn an_answered_challenge_makes_room_as_a_sign_in_does() {
    let app = identity_with(identity::Config { sessions_per_user: 1, ..quick() }).await;
    let ana = app.guarded("ana").await;
    let challenge = app.challenge("ana").await;
    assert_eq!(ana.list_factors().await.unwrap().factors.len(), 1, "a challenge alone ends nothing");
    app.answer_by_code(&challenge, &app.code_of(&ana)).await.unwrap();
    let [revoked] = app.events::<SessionRevoked>().await.try_into().unwrap();
    assert_eq!(revoked.session_id, ana.session_id.to_string());
}
