//! The key set and the revocation set, replicated over the contract's own RPCs.

use std::time::Duration;

use contract::identity::v1::{GetJsonWebKeySetRequest, Revocation, RevocationKind};
use rpc::authn::{KeySet, Revocations, replicate_keys, replicate_revocations};
use rpc::client::channel;
use runtime::feed::{Feed, Options};
use runtime::{Clock, Shutdown};
use tonic::Code;

use crate::app::{App, NOW, SOON, is, outcome};
use crate::tokens::Signer;

#[tokio::test]
async fn a_set_that_holds_no_usable_key_is_refused_and_the_old_one_stays() {
    let app = App::start().await;
    let foreign =
        r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"e","x":"AA","y":"AA"},{"kty":"oct","kid":"o","k":"c2VjcmV0","alg":"HS256"}]}"#;
    for set in ["", "{}", r#"{"keys":[]}"#, foreign] {
        assert!(app.keys.install(set).is_err(), "{set}");
    }
    assert_eq!(app.outcome(app.get()).await, is(Code::Ok, "OK"));
}

/// An identity that publishes the key of the other service, which has fetched it and goes on to until shutdown.
#[expect(clippy::disallowed_methods, reason = "the loop of a test; it ends with the test")]
async fn following() -> (App, App, Shutdown) {
    let (identity, app, shutdown) = (App::start().await, App::start().await, Shutdown::new());
    *identity.handlers.key_set.lock().unwrap() = Signer::json_web_key_set(&[&app.signer]);
    let to_identity = channel("tasks", &format!("http://{}", identity.address), &identity.peers["identity"]).unwrap();
    tokio::spawn(replicate_keys(app.keys.clone(), app.revocations.clone(), to_identity, shutdown.clone()));
    while identity.ran() == 0 {
        tokio::task::yield_now().await;
    }
    (identity, app, shutdown)
}

#[tokio::test]
async fn a_key_that_was_just_rotated_in_is_fetched_by_the_first_token_that_names_it() {
    let (identity, app, shutdown) = following().await;
    let next = Signer::ed25519("k2");
    *identity.handlers.key_set.lock().unwrap() = Signer::json_web_key_set(&[&app.signer, &next]);
    let token = next.sign(&app.claims(app.member));
    assert_eq!(app.outcome(app.get_by(&token)).await, is(Code::Ok, "OK"));
    let fetched = identity.ran();
    for n in 0..20 {
        let forged = Signer::ed25519(&format!("made-up-{n}")).sign(&app.claims(app.member));
        assert_eq!(app.outcome(app.get_by(&forged)).await, is(Code::Unauthenticated, "TOKEN_INVALID"));
    }
    assert_eq!(identity.ran(), fetched, "made-up keys are not asked for, one after the other");
    shutdown.request();
}

#[tokio::test]
async fn a_revoked_key_opens_nothing_any_more_and_the_set_is_fetched_at_once() {
    let (identity, app, shutdown) = following().await;
    let next = Signer::ed25519("k2");
    let (known, unknown) = (app.token(app.member), app.token(app.viewer));
    assert_eq!(app.outcome(app.get_by(&known)).await, is(Code::Ok, "OK"));
    *identity.handlers.key_set.lock().unwrap() = Signer::json_web_key_set(&[&next]);
    let revoked = Revocation { kind: RevocationKind::SigningKey.into(), subject_id: "k1".to_owned(), ..Revocation::default() };
    app.revocations.apply(&[revoked]);
    // Before the set is there, and after.
    for token in [&known, &unknown] {
        assert_eq!(app.outcome(app.get_by(token)).await, is(Code::Unauthenticated, "TOKEN_REVOKED"));
    }
    tokio::time::timeout(SOON, async {
        while identity.ran() == 1 {
            tokio::task::yield_now().await
        }
    })
    .await
    .expect("it is fetched");
    for token in [&known, &unknown] {
        assert_eq!(app.outcome(app.get_by(token)).await, is(Code::Unauthenticated, "TOKEN_REVOKED"));
    }
    assert_eq!(app.outcome(app.get_by(&next.sign(&app.claims(app.member)))).await, is(Code::Ok, "OK"));
    assert_eq!(identity.ran(), 2, "and nobody who comes with a token of it makes it be fetched once more");
    shutdown.request();
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the loop of a test; it ends with the test")]
async fn the_revocation_set_is_ready_with_its_first_snapshot() {
    let app = App::start().await;
    let revocations = Revocations::new(Clock::fixed(NOW).0);
    let to_identity = channel("tasks", &format!("http://{}", app.address), &app.peers["identity"]).unwrap();
    let (feed, shutdown) = (Feed::new("audit", "revocations", Options::default()), Shutdown::new());
    let status = feed.status();
    assert!(!revocations.is_ready());
    tokio::spawn(replicate_revocations(feed, revocations.clone(), to_identity, shutdown.clone()));
    tokio::time::timeout(SOON, revocations.ready()).await.expect("a snapshot arrives");
    assert!(status.wait_for(7, SOON).await);
    shutdown.request();
}

#[tokio::test]
async fn lapsed_revocations_are_forgotten() {
    let (clock, handle) = Clock::fixed(NOW);
    let revocations = Revocations::new(clock);
    let revoke = |n: u32, lives: Duration| Revocation {
        kind: RevocationKind::Session.into(),
        subject_id: uuid::Uuid::from_u128(n.into()).to_string(),
        not_before: Some(contract::time::timestamp(NOW)),
        expire_time: Some(contract::time::timestamp(NOW + lives)),
    };
    let short: Vec<Revocation> = (1..=2_000).map(|n| revoke(n, Duration::from_secs(60))).collect();
    revocations.install(&short);
    assert_eq!(revocations.len(), 2_000);
    handle.advance(Duration::from_secs(61));
    let more: Vec<Revocation> = (3_000..5_100).map(|n| revoke(n, Duration::from_secs(3600))).collect();
    revocations.apply(&more);
    assert_eq!(revocations.len(), 2_100);
}

#[tokio::test]
async fn the_keys_are_public_also_for_a_caller_with_a_stale_token() {
    let app = App::start().await;
    let request = crate::app::With::with(tonic::Request::new(GetJsonWebKeySetRequest {}), "authorization", "Bearer stale");
    assert_eq!(outcome(&app.key_service().get_json_web_key_set(request).await), is(Code::Ok, "OK"));
    let keys = KeySet::new();
    assert!(!keys.is_ready());
}
