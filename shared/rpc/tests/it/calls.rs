//! What becomes of a call that goes wrong.

use contract::identity::v1::WatchRevocationsRequest;
use rpc::server::Limits;
use tonic::{Code, Request};
use tonic_types::StatusExt;

use crate::app::{App, With, header, is, outcome, peer_token, plain, reason};

fn internal() -> (Code, String) {
    is(Code::Internal, "INTERNAL")
}

#[tokio::test]
async fn a_panic_ends_one_call_and_tells_nothing() {
    let app = App::start().await;
    let mut products = app.products();
    let panicked = products.get_product(app.get().with("does", "panic")).await;
    assert_eq!(outcome(&panicked), internal());
    assert_eq!(panicked.unwrap_err().message(), "internal error");
    assert_eq!(outcome(&products.get_product(app.get()).await), is(Code::Ok, "OK"), "the connection and the server go on");
}

#[tokio::test]
async fn a_panic_in_a_stream_ends_the_stream() {
    let app = App::start().await;
    let peer = peer_token(&app.peers["identity"], "tasks");
    let request = Request::new(WatchRevocationsRequest::default()).with("muster-peer", &peer).with("does", "panic");
    let mut stream = app.revocation_service().watch_revocations(request).await.unwrap().into_inner();
    // The message before may be lost: tonic gathers what is ready into one frame.
    let status = loop {
        match stream.message().await {
            Ok(message) => assert!(message.is_some(), "the stream ended well"),
            Err(status) => break status,
        }
    };
    assert_eq!((status.code(), reason(&status)), internal());
}

#[tokio::test]
async fn a_status_without_a_reason_does_not_leave_the_server() {
    let app = App::start().await;
    let bare = app.products().get_product(app.get().with("does", "bare")).await;
    assert_eq!(outcome(&bare), internal());
    assert!(!bare.unwrap_err().message().contains("secret"));
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_refused() {
    let app = App::start().await;
    assert_eq!(app.outcome(app.get().with("does", "large")).await, is(Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
}

#[tokio::test]
async fn every_broken_field_is_named_and_none_is_echoed() {
    let app = App::start().await;
    let mut request = app.get();
    *request.get_mut() = contract::tasks::v1::GetProductRequest { workspace_id: "hunter2".into(), product_id: "\u{202e}swordfish".into() };
    let status = app.products().get_product(request).await.unwrap_err();
    let details = status.get_error_details();
    assert_eq!((status.code(), reason(&status)), is(Code::InvalidArgument, "FIELD_VIOLATION"));
    let fields: std::collections::BTreeSet<&str> =
        details.bad_request().unwrap().field_violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["product_id", "workspace_id"].into());
    let told = format!("{status:?} {details:?}");
    assert!(!told.contains("hunter2") && !told.contains("swordfish"), "{told}");
    assert_eq!(details.error_info().unwrap().domain, "muster");
    assert_eq!(details.request_info().unwrap().request_id, header(status.metadata(), "x-request-id"));
    assert_eq!(app.ran(), 0);
}

#[tokio::test]
async fn text_comes_trimmed_and_in_nfc_and_a_repeat_has_the_same_fingerprint() {
    let app = App::start().await;
    let create = async |display_name: &str, request_id: &str| {
        let (workspace_id, key) = (app.workspace.to_string(), "ABC".to_owned());
        let message = contract::tasks::v1::CreateProductRequest {
            workspace_id,
            key,
            display_name: display_name.into(),
            request_id: request_id.into(),
        };
        let request = Request::new(message).with("authorization", &format!("Bearer {}", app.token(app.member)));
        assert_eq!(outcome(&app.products().create_product(request).await), is(Code::Ok, "OK"));
        app.seen()
    };
    let key = "01890a5d-ac96-774b-bcce-b302099a8057";
    let (first, again, other) = (create(" Cafe\u{301} ", key).await, create("Caf\u{e9}", key).await, create("Tea", key).await);
    assert!(first.text.contains("\"Caf\u{e9}\""), "{}", first.text);
    assert_eq!(first.caller.request(), again.caller.request());
    assert_eq!(first.caller.request().unwrap().request_id.to_string(), key);
    assert_ne!(first.caller.request().unwrap().body_sha256, other.caller.request().unwrap().body_sha256);
    assert_eq!(create("Tea", "").await.caller.request(), None);
}

#[tokio::test]
async fn one_call_too_many_is_refused_with_the_time_to_come_again_and_health_is_not() {
    let app = App::with(Limits { calls_max: 1, queue_wait_ms: 20, ..Limits::default() }).await;
    let (mut one, mut two) = (app.products(), app.products());
    let busy = one.get_product(app.get().with("does", "sleep").with("grpc-timeout", "5S"));
    let shed = async {
        while app.ran() == 0 {
            tokio::task::yield_now().await;
        }
        let shed = two.get_product(app.get()).await.unwrap_err();
        let mut health = tonic_health::pb::health_client::HealthClient::with_origin(plain(), app.uri());
        let check = health.check(tonic_health::pb::HealthCheckRequest { service: String::new() }).await;
        (shed, check)
    };
    let (shed, check) = tokio::select! {
        _ = busy => panic!("the busy call ended before"),
        answers = shed => answers,
    };
    assert_eq!((shed.code(), reason(&shed)), is(Code::ResourceExhausted, "OVERLOADED"));
    assert!(shed.get_error_details().retry_info().unwrap().retry_delay.is_some());
    assert!(check.is_ok());
    assert_eq!(app.ran(), 1);
}
