use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use contract::identity::v1::key_service_client::KeyServiceClient;
use contract::identity::v1::{GetOpenIdConfigurationRequest, SigningKeyRotated, SigningKeyState};
use identity::Config;
use identity::key::{Algorithm, ops::Ops};
use identity::session::assurance::Methods;
use identity::token::access::AccessToken;
use runtime::Shutdown;
use serde_json::Value;
use testkit::{App, assert_fault, fault};

use crate::verbs::{Acts, Door, Person, ROOT, Watches, address, build_with, identity_with, key_of, request_id, until, with_root};

/// How long a key is in the set before it signs.
const PUBLISHED: Duration = Duration::from_mins(2);

async fn published_ids(app: &App) -> Vec<String> {
    app.key_set().await["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_key_set_holds_the_public_halves_of_the_key_that_signs_and_of_the_next() {
    let app = identity_with(with_root()).await;
    let ana = app.person("ana").await;
    let set = app.key_set().await;
    let keys = set["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 2);
    assert!(published_ids(&app).await.contains(&key_of(&ana.token)));
    for key in keys {
        assert_eq!((key["kty"].as_str(), key["crv"].as_str(), key["alg"].as_str()), (Some("OKP"), Some("Ed25519"), Some("EdDSA")));
        assert!(key.get("d").is_none(), "a private half is published");
    }
}

#[tokio::test]
async fn after_each_rotation_old_tokens_are_good_and_new_ones_are_signed_by_the_key_published_before() {
    let app = identity_with(with_root()).await;
    let (root, ana) = (app.root().await, app.person("ana").await);
    let mut signed_by = vec![key_of(&ana.token)];
    // The second rotation activates a key that the verifier meets for the first time in a token.
    for _ in 0..2 {
        app.clock().advance(PUBLISHED);
        let keys = root.list_signing_keys().await.unwrap();
        let next = keys.iter().find(|key| key.state() == SigningKeyState::Published).unwrap();
        let active = root.rotate_signing_key("").await.unwrap();
        assert_eq!((&active.key_id, active.state()), (&next.key_id, SigningKeyState::Active));
        let fresh = app.sign_in(&address("ana")).await;
        assert_eq!(key_of(&fresh.token), next.key_id);
        fresh.get_user("").await.unwrap();
        ana.get_user("").await.unwrap();
        signed_by.push(next.key_id.clone());
    }
    assert_eq!(published_ids(&app).await.len(), 4, "retired ones verify on");
    let rotated = app.events::<SigningKeyRotated>().await;
    let told: Vec<(&str, &str)> =
        rotated.iter().map(|event| (event.before.as_ref().unwrap().key_id.as_str(), event.key_id.as_str())).collect();
    assert_eq!(told, [(signed_by[0].as_str(), signed_by[1].as_str()), (&signed_by[1], &signed_by[2])]);

    app.clock().advance(Duration::from_mins(16));
    let left = published_ids(&app).await;
    assert!(left.len() == 2 && left.contains(&signed_by[2]), "no token of the retired ones lives any more");
}

#[tokio::test]
async fn a_key_that_no_longer_signs_has_no_private_half_and_no_half_lies_in_the_clear() {
    let app = identity_with(with_root()).await;
    for _ in 0..2 {
        app.clock().advance(PUBLISHED);
        app.root().await.rotate_signing_key("").await.unwrap();
    }
    // The last of them is the only one that still verifies: the others are past their time.
    app.clock().advance(Duration::from_mins(16));
    app.root().await.rotate_signing_key("").await.unwrap();
    app.sign_in(ROOT).await.rotate_in_emergency().await.unwrap();
    let rows: Vec<(i16, Option<Vec<u8>>)> =
        sqlx::query_as("SELECT state, private_key FROM identity.signing_key ORDER BY state").fetch_all(&mut app.sql().await).await.unwrap();
    let halves: Vec<(i16, bool)> = rows.iter().map(|(state, half)| (*state, half.is_some())).collect();
    assert_eq!(halves, [(1, true), (2, true), (3, false), (3, false), (4, false), (4, false)]);
    // PKCS #8 of an Ed25519 key begins with a sequence and holds this identifier.
    let identifier = [0x06, 0x03, 0x2b, 0x65, 0x70];
    let clear = |half: &Vec<u8>| half.windows(identifier.len()).any(|window| window == identifier);
    assert!(!rows.iter().filter_map(|(_, half)| half.as_ref()).any(clear));
}

#[tokio::test]
async fn a_repeated_rotation_rotates_once() {
    let app = identity_with(with_root()).await;
    let root = app.root().await;
    app.clock().advance(PUBLISHED);
    let first = root.rotate_signing_key(&request_id(1)).await.unwrap();
    assert_eq!(root.rotate_signing_key(&request_id(1)).await.unwrap(), first);
    assert_eq!(root.list_signing_keys().await.unwrap().len(), 3);
    app.clock().advance(PUBLISHED);
    assert_ne!(root.rotate_signing_key(&request_id(2)).await.unwrap().key_id, first.key_id);
}

#[tokio::test]
async fn a_key_that_verifiers_may_not_have_signs_in_an_emergency_alone() {
    let app = identity_with(with_root()).await;
    let root = app.root().await;
    let keys = root.list_signing_keys().await.unwrap();
    app.clock().advance(PUBLISHED - Duration::from_secs(1));
    let refused = assert_fault!(root.rotate_signing_key("").await, FailedPrecondition, "SIGNING_KEY_TOO_YOUNG");
    assert_eq!(fault::retry_delay(&refused), Some(Duration::from_secs(1)));
    assert_eq!(root.list_signing_keys().await.unwrap(), keys, "nothing was changed");
    app.clock().advance(Duration::from_secs(1));
    root.rotate_signing_key("").await.unwrap();
    assert_fault!(root.rotate_signing_key("").await, FailedPrecondition, "SIGNING_KEY_TOO_YOUNG");
    let active = root.rotate_in_emergency().await.unwrap();
    let fresh = app.sign_in(ROOT).await;
    assert_eq!(key_of(&fresh.token), active.key_id);
    fresh.get_user("").await.unwrap();
}

#[tokio::test]
async fn in_an_emergency_whatever_signed_is_out_of_the_set_and_its_tokens_are_refused() {
    let app = identity_with(with_root()).await;
    let (root, ana) = (app.root().await, app.person("ana").await);
    app.clock().advance(PUBLISHED);
    root.rotate_signing_key("").await.unwrap();
    let ben = app.person("ben").await;
    let signed = [key_of(&ana.token), key_of(&ben.token)];
    let active = root.rotate_in_emergency().await.unwrap();
    for somebody in [&root, &ana, &ben] {
        until("the token is refused", async || somebody.get_user("").await.is_err()).await;
        assert_fault!(somebody.get_user("").await, Unauthenticated, "TOKEN_REVOKED");
    }
    let left = published_ids(&app).await;
    assert!(left.len() == 2 && left.contains(&active.key_id) && !signed.iter().any(|key| left.contains(key)), "{left:?}");
    let told = app.events::<SigningKeyRotated>().await.pop().unwrap();
    let mut revoked: Vec<String> = told.revocations.into_iter().map(|revocation| revocation.subject_id).collect();
    revoked.sort_by_key(|key| signed.iter().position(|signed| signed == key));
    assert_eq!(revoked, signed);
    assert_eq!((told.before.unwrap().key_id, told.key_id), (signed[1].clone(), active.key_id.clone()));
    let listed: Vec<String> = app.revocations().list().await.unwrap().revocations.into_iter().map(|told| told.subject_id).collect();
    assert!(listed.len() == 2 && signed.iter().all(|key| listed.contains(key)), "who starts now hears of it too: {listed:?}");
    let tokens = app.refresh_session(&ben.tokens.refresh_token).await.unwrap();
    assert_eq!(key_of(&tokens.access_token), active.key_id, "the session is good");
    ben.with_token(&tokens.access_token).get_user("").await.unwrap();
}

#[tokio::test]
async fn a_rotation_that_is_no_emergency_tells_of_nothing_to_refuse() {
    let app = identity_with(with_root()).await;
    let root = app.root().await;
    app.clock().advance(PUBLISHED);
    root.rotate_signing_key("").await.unwrap();
    let [told] = app.events::<SigningKeyRotated>().await.try_into().unwrap();
    assert!(told.revocations.is_empty() && told.before.unwrap().state() == SigningKeyState::Retired);
    assert!(app.revocations().list().await.unwrap().revocations.is_empty());
    root.get_user("").await.unwrap();
}

#[tokio::test]
async fn who_does_not_trust_the_next_key_either_says_so_twice() {
    let app = identity_with(with_root()).await;
    let first = app.root().await.rotate_in_emergency().await.unwrap();
    let second = app.sign_in(ROOT).await.rotate_in_emergency().await.unwrap();
    let left = published_ids(&app).await;
    assert!(left.contains(&second.key_id) && !left.contains(&first.key_id));
    let root = app.sign_in(ROOT).await;
    root.get_user("").await.unwrap();
    let states: Vec<SigningKeyState> = root.list_signing_keys().await.unwrap().iter().map(|key| key.state()).collect();
    assert_eq!(states.iter().filter(|state| **state == SigningKeyState::Revoked).count(), 2, "{states:?}");
}

/// EdDSA at the first start, RS256 at every later one.
async fn that_changes_its_algorithm() -> App {
    let starts = AtomicU32::new(0);
    build_with(async move |deps| {
        let signing_algorithm = if starts.fetch_add(1, Ordering::Relaxed) == 0 { Algorithm::EdDsa } else { Algorithm::Rs256 };
        identity::build(deps, &Config { signing_algorithm, ..with_root() }).await
    })
    .await
}

/// Algorithm and state of all keys.
async fn keys_of(app: &App) -> Vec<(String, i16)> {
    let all = "SELECT algorithm, state FROM identity.signing_key ORDER BY algorithm, state";
    sqlx::query_as(all).fetch_all(&mut app.sql().await).await.unwrap()
}

fn stand(keys: &[(&str, i16)]) -> Vec<(String, i16)> {
    keys.iter().map(|(algorithm, state)| ((*algorithm).to_owned(), *state)).collect()
}

/// Calls by tokens of ana's, new ones and that of `held`, until so many of the new ones were signed by another key than `first`.
async fn no_call_fails_until_another_key_signed(app: &App, held: &Person, first: &str, times: usize) {
    let mut rotated = 0;
    while rotated < times {
        let fresh = app.sign_in(&address("ana")).await;
        let (new, old) = futures::join!(fresh.get_user(""), held.get_user(""));
        new.unwrap();
        old.unwrap();
        rotated += usize::from(key_of(&fresh.token) != first);
        // Or the hundred-and-first sign-in, where they come faster than the service looks, ends the session that is held.
        fresh.revoke_session(&fresh.session_id.to_string()).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_of_another_algorithm_is_published_before_it_signs_and_no_call_fails_meanwhile() {
    let mut app = that_changes_its_algorithm().await;
    let held = app.person("ana").await;
    let first = key_of(&held.token);
    app.restart().await;
    assert_eq!(keys_of(&app).await, stand(&[("EdDSA", 2), ("EdDSA", 4), ("RS256", 1)]));
    assert_eq!(key_of(&app.sign_in(&address("ana")).await.token), first, "verifiers may not have the other one");
    app.clock().advance(PUBLISHED);
    no_call_fails_until_another_key_signed(&app, &held, &first, 5).await;
    assert_eq!(keys_of(&app).await, stand(&[("EdDSA", 3), ("EdDSA", 4), ("RS256", 1), ("RS256", 2)]));
    app.clock().advance(Duration::from_mins(16));
    assert!(app.key_set().await["keys"].as_array().unwrap().iter().all(|key| key["alg"] == "RS256"), "nothing is left of the former");
    app.restart().await;
    assert_eq!(keys_of(&app).await.len(), 4, "it is set once");
}

#[tokio::test]
async fn an_emergency_while_the_algorithm_changes_leaves_no_key_of_the_former() {
    let mut app = that_changes_its_algorithm().await;
    let ana = app.person("ana").await;
    app.restart().await;
    let active = app.root().await.rotate_in_emergency().await.unwrap();
    assert_eq!(active.algorithm, "RS256");
    assert_eq!(keys_of(&app).await, stand(&[("EdDSA", 4), ("EdDSA", 4), ("RS256", 1), ("RS256", 2)]));
    until("the former key's token is refused", async || ana.get_user("").await.is_err()).await;
    app.sign_in(&address("ana")).await.get_user("").await.unwrap();
}

#[tokio::test]
async fn signing_keys_are_the_system_admins_matter() {
    let app = identity_with(with_root()).await;
    let person = app.person("ana").await;
    let owner = app.founded(&person, "acme").await;
    for somebody in [&*person, &owner] {
        assert_fault!(somebody.rotate_signing_key("").await, PermissionDenied, "PERMISSION_DENIED");
        assert_fault!(somebody.list_signing_keys().await, PermissionDenied, "PERMISSION_DENIED");
    }
    assert_fault!(app.anonymous().rotate_signing_key("").await, Unauthenticated, "CREDENTIALS_MISSING");
    assert!(app.events::<SigningKeyRotated>().await.is_empty());
}

#[tokio::test]
async fn tokens_are_signed_by_rsa_when_so_configured() {
    let app = identity_with(Config { signing_algorithm: Algorithm::Rs256, ..with_root() }).await;
    let ana = app.person("ana").await;
    ana.get_user("").await.unwrap();
    assert_eq!(app.key_set().await["keys"][0]["alg"], "RS256");
}

#[tokio::test]
async fn another_replica_takes_up_the_rotation() {
    let app = identity_with(with_root()).await;
    let (root, ana) = (app.root().await, app.person("ana").await);
    let (db, now) = (app.deps().db.clone(), app.now());
    let replica = Ops::start(db, Algorithm::EdDsa, time::Duration::minutes(15)).await.unwrap();
    let token = AccessToken {
        user_id: ana.user_id,
        session_id: ana.session_id,
        organization_id: ana.organization_id,
        workspace_id: None,
        roles: Vec::new(),
        methods: Methods::PASSWORD,
        auth_time: now,
        token_id: uuid::Uuid::from_u128(1),
        issue_time: now,
        expire_time: now + time::Duration::minutes(15),
    };
    let before = replica.sign(&token).unwrap();
    assert_eq!(key_of(&before), key_of(&ana.token));
    let shutdown = Shutdown::new();
    app.clock().advance(PUBLISHED);
    let revoked = app.deps().verifier.signing_keys_revoked();
    let rotating = async {
        let active = root.rotate_signing_key("").await.unwrap();
        until("the replica signs with the new key", async || key_of(&replica.sign(&token).unwrap()) == active.key_id).await;
        shutdown.request();
    };
    tokio::join!(replica.clone().keep(Duration::from_millis(10), time::Duration::ZERO, revoked, shutdown.clone()), rotating);
    for signed in [before, replica.sign(&token).unwrap()] {
        ana.with_token(&signed).get_user("").await.unwrap();
    }
}

/// With a key that signs for a day, looked at every second.
fn daily(algorithm: Algorithm) -> Config {
    Config { signing_key_rotation_days: 1, signing_algorithm: algorithm, ..with_root() }
}

#[tokio::test]
async fn a_key_that_signed_for_as_long_as_is_set_is_rotated_by_the_service_and_no_call_fails_meanwhile() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Rs256] {
        let app = identity_with(daily(algorithm)).await;
        let first = key_of(&app.person("ana").await.token);
        app.clock().advance(Duration::from_hours(24));
        // Opened before the rotation, used through it.
        let held = app.sign_in(&address("ana")).await;
        no_call_fails_until_another_key_signed(&app, &held, &first, 20).await;
        let [told] = app.events::<SigningKeyRotated>().await.try_into().unwrap();
        assert_eq!((told.before.unwrap().key_id, told.after.unwrap().activate_time.is_some()), (first, true));
    }
}

#[tokio::test]
async fn of_replicas_that_find_a_key_due_at_once_one_rotates_it() {
    let app = identity_with(Config { signing_key_rotation_days: 0, ..with_root() }).await;
    let first = key_of(&app.person("ana").await.token);
    app.clock().advance(Duration::from_hours(24));
    let shutdown = Shutdown::new();
    let ending = shutdown.clone();
    let rotating = app.inside(move |deps| async move {
        let replica = async || Ops::start(deps.db.clone(), Algorithm::EdDsa, time::Duration::minutes(15)).await.unwrap();
        let revoked = || deps.verifier.signing_keys_revoked();
        let keep = |replica: Ops| replica.keep(Duration::from_millis(10), time::Duration::DAY, revoked(), ending.clone());
        tokio::join!(keep(replica().await), keep(replica().await), keep(replica().await));
    });
    let noticed = async {
        until("a key is rotated", async || !app.events::<SigningKeyRotated>().await.is_empty()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        shutdown.request();
    };
    tokio::join!(rotating, noticed);
    assert_eq!(app.events::<SigningKeyRotated>().await.len(), 1);
    assert_eq!(published_ids(&app).await.len(), 3);
    until("the service follows", async || key_of(&app.sign_in(&address("ana")).await.token) != first).await;
}

#[tokio::test]
async fn anybody_is_told_who_issues_tokens_and_where_the_key_set_is() {
    let app = identity_with(Config { public_url: "https://muster.example".to_owned(), ..with_root() }).await;
    let ana = app.person("ana").await;
    let mut keys = KeyServiceClient::new(app.anonymous().channel());
    let answer = keys.get_open_id_configuration(GetOpenIdConfigurationRequest {}).await.unwrap().into_inner();
    let told: Value = serde_json::from_str(&answer.openid_configuration).unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(ana.token.split('.').nth(1).unwrap()).unwrap()).unwrap();
    assert_eq!(told["issuer"], claims["iss"]);
    let named: Vec<&str> = told["claims_supported"].as_array().unwrap().iter().map(|claim| claim.as_str().unwrap()).collect();
    assert!(claims.as_object().unwrap().keys().all(|claim| named.contains(&claim.as_str())), "{claims} against {named:?}");
    assert_eq!(told["jwks_uri"], "https://muster.example/.well-known/jwks.json");
    assert!(answer.max_age_seconds > 0);
}
