use std::collections::HashSet;
use std::time::Duration;

use contract::identity::v1::revocation_service_client::RevocationServiceClient;
use contract::identity::v1::*;
use testkit::{App, Authenticator, assert_fault, fault};

use crate::verbs::{Acts, Door, Factors, Waits, Watches, address, claims, identity, identity_with, until, with_root};

async fn count(app: &App, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&mut app.sql().await).await.unwrap()
}

#[tokio::test]
async fn a_person_enrols_an_app_and_the_session_rises() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let enrolled = ana.enroll_totp().await.unwrap();
    assert!(enrolled.otpauth_uri.starts_with("otpauth://totp/Muster:ana%40example.com?secret="), "{}", enrolled.otpauth_uri);
    assert_eq!(&enrolled.qr_png[..8], b"\x89PNG\r\n\x1a\n");
    let factor = enrolled.factor.unwrap();
    assert_eq!((factor.state(), &*factor.display_name), (FactorState::Pending, "my phone"));
    app.sign_in(&address("ana")).await;
    let code = Authenticator::of(&enrolled.otpauth_uri).code_at(app.now());
    let confirmed = ana.confirm_totp(&factor, &code).await.unwrap();
    assert_eq!(confirmed.recovery_codes.iter().collect::<HashSet<_>>().len(), 10);
    let session = confirmed.session.unwrap();
    assert_eq!((session.aal, session.amr), (2, ["pwd", "otp", "mfa"].map(str::to_owned).to_vec()));
    assert_eq!((&claims(&confirmed.access_token)["aal"], &claims(&confirmed.access_token)["acr"]), (&2.into(), &"aal2".into()));
    let [told] = app.events::<FactorEnrolled>().await.try_into().unwrap();
    assert_eq!((told.factor_id, told.after.unwrap().display_name.as_str()), (factor.factor_id, ""), "by ids alone");
    let [risen] = app.events::<SessionSteppedUp>().await.try_into().unwrap();
    assert_eq!((risen.before.unwrap().aal, risen.after.unwrap().aal), (1, 2));
    let listed = ana.list_factors().await.unwrap();
    assert_eq!((listed.factors, listed.recovery_codes_left), (vec![confirmed.factor.unwrap()], 10));
}

#[tokio::test]
async fn the_first_code_may_be_a_step_off_and_no_more() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let enrolled = ana.enroll_totp().await.unwrap();
    let (factor, phone) = (enrolled.factor.unwrap(), Authenticator::of(&enrolled.otpauth_uri));
    let at = |seconds| phone.code_at(app.now() + time::Duration::seconds(seconds));
    for off in [-60, 60] {
        assert_fault!(ana.confirm_totp(&factor, &at(off)).await, Unauthenticated, "FACTOR_CODE_REFUSED");
    }
    assert_fault!(ana.confirm_totp(&factor, "12345").await, InvalidArgument, "FIELD_VIOLATION");
    let risen = ana.with_token(&ana.confirm_totp(&factor, &at(30)).await.unwrap().access_token);
    assert_fault!(risen.confirm_totp(&factor, &at(0)).await, NotFound, "FACTOR_NOT_FOUND");
}

#[tokio::test]
async fn what_nobody_confirms_lapses_and_is_swept() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let first = ana.enroll_totp().await.unwrap();
    let second = ana.enroll_totp().await.unwrap();
    let code = Authenticator::of(&first.otpauth_uri).code_at(app.now());
    assert_fault!(ana.confirm_totp(&first.factor.unwrap(), &code).await, NotFound, "FACTOR_NOT_FOUND");
    assert_eq!(ana.list_factors().await.unwrap().factors, [second.factor.clone().unwrap()], "another takes its place");
    app.clock().advance(Duration::from_mins(10));
    let again = app.sign_in(&address("ana")).await;
    let code = Authenticator::of(&second.otpauth_uri).code_at(app.now());
    assert_fault!(again.confirm_totp(&second.factor.unwrap(), &code).await, NotFound, "FACTOR_NOT_FOUND");
    assert!(again.list_factors().await.unwrap().factors.is_empty());
    app.clock().advance(Duration::from_secs(1));
    app.retention_round().await;
    assert_eq!(count(&app, "SELECT count(*) FROM identity.factor").await, 0);
    assert!(app.events::<FactorEnrolled>().await.is_empty());
}

#[tokio::test]
async fn another_app_takes_the_one_there_is_and_five_are_enough() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let refused = assert_fault!(ana.person.enroll_totp().await, Unauthenticated, "STEP_UP_REQUIRED");
    assert_eq!(fault::metadata(&refused)["aal"], "2");
    for n in 2..=5 {
        let enrolled = ana.enroll_totp().await.unwrap();
        let code = Authenticator::of(&enrolled.otpauth_uri).code_at(app.now());
        let confirmed = ana.confirm_totp(&enrolled.factor.unwrap(), &code).await.unwrap();
        assert!(confirmed.recovery_codes.is_empty(), "the former codes stay");
        assert_eq!(ana.list_factors().await.unwrap().factors.len(), n);
    }
    assert_fault!(ana.enroll_totp().await, ResourceExhausted, "TOO_MANY_FACTORS");
}

#[tokio::test]
async fn nothing_of_a_secret_or_a_code_lies_in_the_clear() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let enrolled = ana.enroll_totp().await.unwrap();
    let secret = enrolled.otpauth_uri.split_once("secret=").unwrap().1.split('&').next().unwrap().to_owned();
    let code = Authenticator::of(&enrolled.otpauth_uri).code_at(app.now());
    let codes = ana.confirm_totp(&enrolled.factor.unwrap(), &code).await.unwrap().recovery_codes;
    let sql = "SELECT (SELECT string_agg(f::text || encode(secret, 'escape') || encode(display_name, 'escape'), ' ') FROM identity.factor f) \
               || (SELECT string_agg(encode(digest, 'escape'), ' ') FROM identity.recovery_code)";
    let stored: String = sqlx::query_scalar(sql).fetch_one(&mut app.sql().await).await.unwrap();
    let logged = format!("{:?}", app.logged().await);
    let plain: Vec<String> = codes.iter().map(|code| code.replace('-', "")).collect();
    for canary in codes.iter().chain(&plain).chain([&secret, &"my phone".to_owned()]) {
        assert!(!stored.to_lowercase().contains(&canary.to_lowercase()), "the tables tell {canary}");
        assert!(!logged.to_lowercase().contains(&canary.to_lowercase()), "an event tells {canary}");
    }
}

#[tokio::test]
async fn with_the_last_factor_every_session_falls_and_no_older_token_says_more() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let other = app.answer_by_code(&app.challenge("ana").await, &app.code_of(&ana)).await.unwrap().tokens.unwrap();
    app.clock().advance(Duration::from_secs(1));
    let left = ana.delete_factor(&ana.factor).await.unwrap();
    assert_eq!(left.session.unwrap().aal, 1);
    for token in [&ana.token, &other.access_token] {
        until("the token is refused", async || ana.with_token(token).get_user("").await.is_err()).await;
        assert_fault!(ana.with_token(token).get_user("").await, Unauthenticated, "TOKEN_REVOKED");
    }
    let token = ana.with_token(&left.access_token);
    assert_eq!(token.list_sessions().await.unwrap().iter().map(|session| session.aal).collect::<Vec<_>>(), [1, 1]);
    let refreshed = app.refresh_session(&other.refresh_token).await.unwrap();
    assert_eq!(claims(&refreshed.access_token)["amr"], serde_json::json!(["pwd"]));
    assert_eq!(token.list_factors().await.unwrap(), ListFactorsResponse::default(), "the recovery codes went with it");
    let [told] = app.events::<FactorRemoved>().await.try_into().unwrap();
    let revocation = told.revocation.unwrap();
    assert_eq!((revocation.kind(), &revocation.subject_id), (RevocationKind::User, &ana.user_id.to_string()));
    let listed = app.revocations().list().await.unwrap().revocations;
    assert!(listed.contains(&revocation), "whoever comes late hears of it too: {listed:?}");
    app.sign_in(&address("ana")).await;
}

#[tokio::test]
async fn while_one_factor_is_left_sessions_stay_as_they_are() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let enrolled = ana.enroll_totp().await.unwrap();
    let code = Authenticator::of(&enrolled.otpauth_uri).code_at(app.now());
    ana.confirm_totp(&enrolled.factor.unwrap(), &code).await.unwrap();
    app.clock().advance(Duration::from_secs(1));
    assert_eq!(ana.delete_factor(&ana.factor).await.unwrap().session.unwrap().aal, 2);
    let listed = ana.list_factors().await.unwrap();
    assert_eq!((listed.factors.len(), listed.recovery_codes_left), (1, 10));
    assert_eq!(app.events::<FactorRemoved>().await.pop().unwrap().revocation, None);
}

#[tokio::test]
async fn the_factors_of_somebody_else_are_not_there() {
    let app = identity().await;
    let (ana, eve) = (app.guarded("ana").await, app.guarded("eve").await);
    assert_fault!(eve.delete_factor(&ana.factor).await, NotFound, "FACTOR_NOT_FOUND");
    let pending = ana.enroll_totp().await.unwrap();
    let code = Authenticator::of(&pending.otpauth_uri).code_at(app.now());
    assert_fault!(eve.confirm_totp(&pending.factor.unwrap(), &code).await, NotFound, "FACTOR_NOT_FOUND");
    assert_eq!(eve.list_factors().await.unwrap().factors, std::slice::from_ref(&eve.factor));
    assert_eq!(ana.list_factors().await.unwrap().factors.len(), 2);
    // Nor is a code of theirs good here.
    let challenge = app.challenge("eve").await;
    assert_fault!(app.answer_by_recovery(&challenge, &ana.recovery_codes[0]).await, Unauthenticated, "FACTOR_CODE_REFUSED");
    assert_fault!(app.answer_by_code(&challenge, &app.code_of(&ana)).await, Unauthenticated, "FACTOR_CODE_REFUSED");
}

#[tokio::test]
async fn other_recovery_codes_void_the_former() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let fresh = ana.regenerate_recovery_codes().await.unwrap();
    assert_eq!(fresh.len(), 10);
    let challenge = app.challenge("ana").await;
    assert_fault!(app.answer_by_recovery(&challenge, &ana.recovery_codes[0]).await, Unauthenticated, "FACTOR_CODE_REFUSED");
    app.answer_by_recovery(&challenge, &fresh[0]).await.unwrap();
    assert_eq!(ana.list_factors().await.unwrap().recovery_codes_left, 9);
    assert_eq!(app.events::<RecoveryCodesRegenerated>().await.len(), 1);
}

#[tokio::test]
async fn a_verifier_hears_of_a_person_whose_last_factor_is_gone() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let mut client = RevocationServiceClient::new(app.service("tasks").channel());
    let position = client.list().await.unwrap().position;
    let mut told = client.watch(position).await.unwrap();
    ana.delete_factor(&ana.factor).await.unwrap();
    let heard = loop {
        if let Some(revocation) = told.message().await.unwrap().unwrap().revocations.pop() {
            break revocation;
        }
    };
    assert_eq!((heard.kind(), heard.subject_id), (RevocationKind::User, ana.user_id.to_string()));
}

#[tokio::test]
async fn a_system_admin_resets_the_factors_of_who_lost_them_and_the_trail_says_who() {
    let app = identity_with(with_root()).await;
    let (root, ana, ben) = (app.root().await, app.guarded("ana").await, app.guarded("ben").await);
    let waiting = app.challenge("ana").await;
    app.clock().advance(Duration::from_secs(1));
    root.reset_user_factors(&ana.user_id.to_string()).await.unwrap();
    until("the token is refused", async || ana.get_user("").await.is_err()).await;
    assert_fault!(ana.get_user("").await, Unauthenticated, "TOKEN_REVOKED");
    assert_fault!(app.answer_by_recovery(&waiting, &ana.recovery_codes[0]).await, Unauthenticated, "CHALLENGE_INVALID");
    let refreshed = app.refresh_session(&ana.person.tokens.refresh_token).await.unwrap();
    assert_eq!(claims(&refreshed.access_token)["aal"], 1);
    assert!(app.sign_in(&address("ana")).await.list_factors().await.unwrap().factors.is_empty());
    assert_eq!(ben.list_factors().await.unwrap().factors.len(), 1, "nobody else's");
    root.reset_user_factors(&ana.user_id.to_string()).await.unwrap();
    let [told] = app.events::<UserFactorsReset>().await.try_into().unwrap();
    assert_eq!((told.user_id, told.factors, told.revocation.unwrap().kind()), (ana.user_id.to_string(), 1, RevocationKind::User));
    let envelope = app.envelopes().await.into_iter().find(|envelope| envelope.r#type.ends_with("UserFactorsReset")).unwrap();
    assert_eq!(envelope.actor.unwrap().actor_id, root.user_id.to_string());
    assert_eq!(envelope.audit_action, "identity.user_factors.reset");
    assert_fault!(root.reset_user_factors(&uuid::Uuid::from_u128(1).to_string()).await, NotFound, "USER_NOT_FOUND");
}

#[tokio::test]
async fn nobody_but_a_system_admin_resets_factors_be_it_an_owner_of_the_organization() {
    let app = identity_with(with_root()).await;
    let ana = app.guarded("ana").await;
    let owner = app.founded(&app.person("olga").await, "acme").await;
    owner.add_member(ana.user_id, testkit::BaseRole::Member).await.unwrap();
    for somebody in [&owner, &ana] {
        assert_fault!(somebody.reset_user_factors(&ana.user_id.to_string()).await, PermissionDenied, "PERMISSION_DENIED");
    }
    let sql = "SELECT identity.reset_factors($1)";
    let mut app_role = app.sql().await;
    sqlx::query("SET ROLE identity_app").execute(&mut app_role).await.unwrap();
    let reset: i64 = sqlx::query_scalar(sql).bind(ana.user_id.uuid()).fetch_one(&mut app_role).await.unwrap();
    assert_eq!((reset, ana.list_factors().await.unwrap().factors.len()), (0, 1), "the function looks for itself");
}
