//! Peer tokens, and what is believed beside them.

use contract::identity::v1::ListRevocationsRequest;
use rpc::Subject;
use rpc::authn::{PeerKeys, generate_keys};
use runtime::Clock;
use time::Duration;
use tonic::{Code, Request};

use crate::app::{App, NOW, With, is, outcome, peer_token};

fn invalid() -> (Code, String) {
    is(Code::Unauthenticated, "PEER_TOKEN_INVALID")
}

async fn says(app: &App, peer: Option<&str>) -> (Code, String) {
    let request = Request::new(ListRevocationsRequest {});
    let request = if let Some(peer) = peer { request.with("muster-peer", peer) } else { request };
    outcome(&app.revocation_service().list_revocations(request).await)
}

#[tokio::test]
async fn a_service_is_known_by_its_peer_token() {
    let app = App::start().await;
    assert_eq!(says(&app, Some(&peer_token(&app.peers["identity"], "tasks"))).await, is(Code::Ok, "OK"));
    let caller = app.seen().caller;
    assert_eq!(caller.subject(), &Subject::Service("identity".into()));
    assert!(caller.user_id().is_err() && caller.organization_id().is_nil());
}

#[tokio::test]
async fn a_method_for_services_refuses_everybody_else() {
    let app = App::start().await;
    assert_eq!(says(&app, None).await, invalid());
    assert_eq!(says(&app, Some("x.y.z")).await, invalid());
    assert_eq!(says(&app, Some(&app.token(app.admin))).await, invalid(), "an access token is no peer token");
    let user = Request::new(ListRevocationsRequest {}).with("authorization", &format!("Bearer {}", app.token(app.admin)));
    assert_eq!(outcome(&app.revocation_service().list_revocations(user).await), invalid());
    assert_eq!(app.ran(), 0);
}

#[tokio::test]
async fn a_trusted_peer_that_the_method_does_not_name_is_denied() {
    let app = App::start().await;
    assert_eq!(says(&app, Some(&peer_token(&app.peers["gateway"], "tasks"))).await, is(Code::PermissionDenied, "PERMISSION_DENIED"));
    assert_eq!(app.ran(), 0);
    assert_eq!(says(&app, Some(&peer_token(&app.peers["identity"], "tasks"))).await, is(Code::Ok, "OK"));
}

#[tokio::test]
async fn a_token_for_another_service_can_t_be_replayed_here() {
    let app = App::start().await;
    assert_eq!(says(&app, Some(&peer_token(&app.peers["identity"], "audit"))).await, invalid());
}

#[tokio::test]
async fn a_service_that_is_not_in_the_trust_file_is_nobody() {
    let app = App::start().await;
    let clock = Clock::fixed(NOW).0;
    let strangers = PeerKeys::generate(&["billing", "identity"], &clock).unwrap();
    assert_eq!(says(&app, Some(&peer_token(&strangers["billing"], "tasks"))).await, invalid());
    assert_eq!(
        says(&app, Some(&peer_token(&strangers["identity"], "tasks"))).await,
        invalid(),
        "a known name with a key of its own making"
    );
}

#[tokio::test]
async fn a_peer_token_lives_a_minute_and_is_signed_anew_in_time() {
    let app = App::start().await;
    let keys = &app.peers["identity"];
    let first = peer_token(keys, "tasks");
    app.clock.set(NOW + Duration::seconds(30));
    assert_eq!(peer_token(keys, "tasks"), first, "half of its life is left");
    app.clock.set(NOW + Duration::seconds(31));
    assert_ne!(peer_token(keys, "tasks"), first);
    app.clock.set(NOW + Duration::seconds(69));
    assert_eq!(says(&app, Some(&first)).await, is(Code::Ok, "OK"), "clocks may differ by 10 seconds");
    app.clock.set(NOW + Duration::seconds(70));
    assert_eq!(says(&app, Some(&first)).await, invalid(), "also when it was verified before");
}

#[tokio::test]
async fn a_wrong_peer_token_is_refused_also_where_none_is_needed() {
    let app = App::start().await;
    assert_eq!(app.outcome(app.get().with("muster-peer", "forged")).await, invalid());
}

#[tokio::test]
async fn address_and_agent_are_the_gateway_s_word_and_nobody_else_s() {
    let app = App::start().await;
    let spoofed =
        || app.get().with("user-agent", "acme/1").with("muster-client-address", "203.0.113.9").with("muster-user-agent", "curl/8");
    let seen = || {
        let caller = app.seen().caller;
        (caller.client_address().unwrap().to_owned(), caller.user_agent().unwrap_or_default().to_owned())
    };
    assert_eq!(app.outcome(spoofed()).await, is(Code::Ok, "OK"));
    assert_eq!(seen(), ("127.0.0.1".to_owned(), "acme/1".to_owned()));
    let service = peer_token(&app.peers["identity"], "tasks");
    assert_eq!(app.outcome(spoofed().with("muster-peer", &service)).await, is(Code::Ok, "OK"));
    assert_eq!((seen().0.as_str(), app.seen().caller.peer()), ("127.0.0.1", Some("identity")));
    let gateway = peer_token(&app.peers["gateway"], "tasks");
    assert_eq!(app.outcome(spoofed().with("muster-peer", &gateway)).await, is(Code::Ok, "OK"));
    assert_eq!(seen(), ("203.0.113.9".to_owned(), "curl/8".to_owned()));
}

#[test]
fn processes_that_make_the_keys_at_once_have_the_same_ones() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let names = ["audit", "identity", "tasks"];
        let read = |file: &str| std::fs::read(dir.path().join(file)).unwrap();
        let make = || {
            generate_keys(dir.path(), &names).unwrap();
            [read("audit.key"), read("identity.key"), read("tasks.key"), read("trust.json")]
        };
        let made: Vec<_> = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        assert!(made.iter().all(|keys| *keys == made[0]));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 4, "no draft is left");
    }
}

#[tokio::test]
async fn keys_are_made_once_read_back_and_private() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (key, trust) = (dir.path().join("tasks.key"), dir.path().join("trust.json"));
    generate_keys(dir.path(), &["tasks", "identity"]).unwrap();
    let made = (std::fs::read(&key).unwrap(), std::fs::read(&trust).unwrap());
    generate_keys(dir.path(), &["tasks", "identity"]).unwrap();
    assert_eq!(made, (std::fs::read(&key).unwrap(), std::fs::read(&trust).unwrap()));
    assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let load = |service: &str| PeerKeys::load(service, &dir.path().join(format!("{service}.key")), &trust, Clock::fixed(NOW).0);
    let token = peer_token(&load("identity").unwrap(), "tasks");
    assert_eq!(&*load("tasks").unwrap().verify(&token.parse().unwrap()).unwrap(), "identity");
    std::fs::write(&key, "no key").unwrap();
    assert!(load("tasks").is_err());
}
