use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::identity::v1::session_service_client::SessionServiceClient;
use contract::identity::v1::{SessionCreated, SessionState, SignInFailed, UserRegistered};
use identity::Error;
use identity::hashing::Hashing;
use identity::key::ops::Ops as Keys;
use identity::sealed::Sealed;
use identity::session::ops::Ops;
use identity::session::{Identifier, Lifetimes};
use identity::throttle::Throttle;
use identity::token::challenge::ChallengeTokens;
use identity::token::refresh::RefreshTokens;
use runtime::OrganizationId;
use testkit::{App, assert_fault, fault};
use tonic::{Request, Status};

use crate::verbs::{Acts, Door, PASSWORD, address, build_with, by_email, identity, identity_with, quick, slow};

/// Everything of a refusal that a caller can tell from another.
fn told(refused: &Status) -> (tonic::Code, String, String, String) {
    (refused.code(), refused.message().to_owned(), fault::reason(refused), fault::domain(refused))
}

#[tokio::test]
async fn a_sign_in_opens_a_session_that_acts_nowhere_yet() {
    let app = identity().await;
    let ana = app.person("ana").await;
    let session = &ana.session;
    assert_eq!((session.state(), session.organization_id.as_str()), (SessionState::Active, "00000000-0000-0000-0000-000000000000"));
    assert_eq!(ana.list_sessions().await.unwrap(), std::slice::from_ref(session));
    assert_eq!((session.aal, &*session.amr, session.auth_time), (1, &["pwd".to_owned()][..], session.create_time));
    let created = &app.events::<SessionCreated>().await[0];
    assert_eq!((&created.session_id, created.after.as_ref().unwrap().user_id.as_str()), (&session.session_id, session.user_id.as_str()));
    let envelope = app.envelopes().await.pop().unwrap();
    assert_eq!((envelope.actor.unwrap().actor_id, envelope.organization_id), (ana.user_id.to_string(), session.organization_id.clone()));
}

#[tokio::test]
async fn whatever_is_wrong_a_sign_in_is_refused_in_the_same_words_and_told_without_the_address() {
    let app = identity().await;
    let ana = app.verified("ana").await;
    app.pending("ben").await;
    let mut refusals = Vec::new();
    for (email, password) in [("nobody@example.com", PASSWORD), ("ana@example.com", "wrong"), ("ben@example.com", PASSWORD)] {
        let refused = assert_fault!(app.create_session(email, password).await, Unauthenticated, "SIGN_IN_REFUSED");
        refusals.push(told(&refused));
    }
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");
    let failed = app.events::<SignInFailed>().await;
    let users: Vec<&str> = failed.iter().map(|event| event.user_id.as_str()).collect();
    assert_eq!(users, ["", ana.to_string().as_str(), ""], "who proved no address is nobody yet");
    for event in app.logged().await {
        assert!(!contains(&event.body, b"@example.com"), "{} holds an address", event.envelope.r#type);
    }
    assert!(failed.iter().all(|event| event.subject_key.len() == 64));
}

fn contains(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn an_address_signs_in_in_any_spelling_and_a_password_in_one() {
    let app = identity().await;
    app.verified("ana").await;
    app.create_session(" ANA@Example.com", PASSWORD).await.unwrap();
    for password in ["Correct horse battery", "correct horse battery ", " correct horse battery"] {
        assert_fault!(app.create_session(&address("ana"), password).await, Unauthenticated, "SIGN_IN_REFUSED");
    }
}

#[tokio::test]
async fn a_password_is_taken_byte_for_byte() {
    let app = identity().await;
    // An ä in two code points, a tab, and a blank at the end: nothing of it is put in order.
    let password = "pa\u{308}ss\twort ";
    app.register_user(&address("ana"), password, "Ana").await.unwrap();
    let registered = app.events::<UserRegistered>().await.remove(0);
    let token = app.issue_verification_token(&registered.user_id).await.unwrap();
    app.verify_email(&token, password).await.unwrap();
    app.create_session(&address("ana"), password).await.unwrap();
    for other in ["p\u{e4}ss\twort ", "pa\u{308}ss\twort", "pa\u{308}ss wort "] {
        assert_fault!(app.create_session(&address("ana"), other).await, Unauthenticated, "SIGN_IN_REFUSED");
    }
}

#[tokio::test]
async fn a_token_of_another_key_or_past_its_time_is_refused() {
    let app = identity().await;
    let ana = app.person("ana").await;
    assert_fault!(app.user("the fixture authority's").get_user("").await, Unauthenticated, "TOKEN_INVALID");
    app.clock().advance(Duration::from_mins(16));
    assert_fault!(ana.get_user("").await, Unauthenticated, "TOKEN_EXPIRED");
    assert_fault!(app.anonymous().get_user("").await, Unauthenticated, "CREDENTIALS_MISSING");
}

#[tokio::test]
async fn a_call_without_the_time_for_a_hash_is_sent_away_at_once_whoever_it_is_for() {
    let app = identity_with(slow()).await;
    app.verified("ana").await;
    for email in ["ana@example.com", "nobody@example.com"] {
        let mut request = Request::new(by_email(email));
        // A tenth of a second is kept for the database.
        request.set_timeout(Duration::from_millis(350));
        let call = SessionServiceClient::new(app.anonymous().channel()).create_session(request).await;
        assert_fault!(call, ResourceExhausted, "HASHING_OVERLOADED");
    }
    assert!(app.events::<SignInFailed>().await.is_empty(), "nothing was tried");
    // 5 is of mails, and of the registration.
    let charged = "SELECT count(*) FROM identity.auth_throttle WHERE scope <> 5 AND failures > 0";
    let charged: i64 = sqlx::query_scalar(charged).fetch_one(&mut app.sql().await).await.unwrap();
    assert_eq!(charged, 0, "and nothing is charged");
}

/// How many passwords are hashed for a sign-in by `name`, an address or a username, with a wrong password.
pub(crate) async fn hashes(app: &App, name: &str) -> u64 {
    let (db, minute) = (app.deps().db.clone(), time::Duration::minutes(1));
    let sealer = db.sealer().clone();
    let hashing = Hashing::start(quick().hashing.cost(), 1, 8, identity::hashing::Pepper::none()).unwrap();
    let sessions = Ops {
        sealed: Sealed::new(sealer.clone()),
        hashing: hashing.clone(),
        throttle: Throttle::new(db.clone(), quick().throttle),
        keys: Keys::start(db.clone(), quick().signing_algorithm, minute).await.unwrap(),
        challenge_tokens: ChallengeTokens::new(&sealer),
        refresh_tokens: RefreshTokens::new(sealer),
        lifetimes: Lifetimes { access_token: minute, refresh_token: minute, session: minute, refresh_grace: minute },
        sessions_max: 1,
        db,
    };
    let caller = rpc::Caller::background(identity::NAME, OrganizationId::SYSTEM, None);
    let identifier = if name.contains('@') { Identifier::Email(name.to_owned()) } else { Identifier::Username(name.to_owned()) };
    let refused = sessions.create(&caller, &identifier, "wrong".into(), "").await;
    assert!(matches!(refused, Err(Error::SignInRefused)));
    hashing.done()
}

#[tokio::test]
async fn an_address_that_nobody_proved_costs_a_sign_in_a_hash_as_a_known_one_does() {
    let app = identity().await;
    app.verified("ana").await;
    app.pending("ben").await;
    for name in ["ana", "ben", "nobody"] {
        assert_eq!(hashes(&app, &address(name)).await, 1, "{name}");
    }
}

async fn stored_hash(app: &App) -> Vec<u8> {
    sqlx::query_scalar("SELECT password_hash FROM identity.user_account").fetch_one(&mut app.sql().await).await.unwrap()
}

#[tokio::test]
async fn a_hash_of_another_cost_is_replaced_when_its_owner_signs_in() {
    let config = Arc::new(Mutex::new(quick()));
    let shared = config.clone();
    let mut app = build_with(async move |deps| {
        let config = shared.lock().unwrap_or_else(PoisonError::into_inner).clone();
        identity::build(deps, &config).await
    })
    .await;
    let before_sign_in = app.person("ana").await.get_user("").await.unwrap();
    let first = stored_hash(&app).await;
    app.sign_in(&address("ana")).await;
    assert_eq!(stored_hash(&app).await, first, "a hash of the cost that is set stays");

    config.lock().unwrap().hashing.memory_kib = 128;
    app.restart().await;
    assert_fault!(app.create_session(&address("ana"), "wrong").await, Unauthenticated, "SIGN_IN_REFUSED");
    assert_eq!(stored_hash(&app).await, first, "only who knows the password replaces its hash");
    let ana = app.sign_in(&address("ana")).await;
    let second = stored_hash(&app).await;
    assert_ne!(second, first);
    assert_eq!(ana.get_user("").await.unwrap(), before_sign_in, "the account is as it was");
    app.sign_in(&address("ana")).await;
    assert_eq!(stored_hash(&app).await, second, "once is enough");
}
