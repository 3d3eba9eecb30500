//! The time of a call: trap 1 (tonic answers CANCELLED, and for unary calls alone).

use std::time::Duration;

use contract::identity::v1::WatchRevocationsRequest;
use tonic::{Code, Request, Status, Streaming};

use crate::app::{App, With, is, outcome, peer_token, reason};

fn exceeded() -> (Code, String) {
    is(Code::DeadlineExceeded, "DEADLINE_EXCEEDED")
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_cut_off() {
    let app = App::start().await;
    assert_eq!(app.outcome(app.get().with("does", "sleep").with("grpc-timeout", "100m")).await, exceeded());
    assert_eq!(app.ran(), 1);
}

#[tokio::test]
async fn a_stream_ends_with_its_time_and_says_why() {
    let app = App::start().await;
    let ended = drained(watch(&app, "", "200m").await).await;
    assert_eq!((ended.code(), reason(&ended)), exceeded());
}

#[tokio::test]
async fn a_stream_that_never_rests_ends_with_its_time_too() {
    let app = App::start().await;
    let ended = drained(watch(&app, "flood", "200m").await).await;
    assert_eq!((ended.code(), reason(&ended)), exceeded());
}

#[tokio::test]
async fn who_reads_a_stream_late_is_told_that_its_time_is_over() {
    let app = App::start().await;
    let stream = watch(&app, "flood", "200m").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let ended = drained(stream).await;
    assert_eq!((ended.code(), reason(&ended)), exceeded());
}

#[tokio::test]
async fn work_without_time_left_never_reaches_the_handler() {
    let app = App::start().await;
    for none in ["0m", "0n"] {
        assert_eq!(app.outcome(app.get().with("grpc-timeout", none)).await, exceeded(), "{none}");
    }
    assert_eq!(app.ran(), 0);
}

#[tokio::test]
async fn the_caller_s_time_is_clamped_to_the_policy_s() {
    let app = App::start().await;
    let left = async |asked: Option<&str>| {
        let request = if let Some(asked) = asked { app.get().with("grpc-timeout", asked) } else { app.get() };
        assert_eq!(app.outcome(request).await, is(Code::Ok, "OK"));
        app.seen().left
    };
    let (default, max) = (Duration::from_secs(5), Duration::from_secs(30));
    assert!((Duration::from_secs(1)..=default).contains(&left(None).await), "the default of the method");
    assert!((Duration::from_secs(6)..=max).contains(&left(Some("1H")).await), "the maximum of the method");
    assert!((Duration::from_secs(6)..=Duration::from_secs(20)).contains(&left(Some("20S")).await), "what was asked for");
}

#[tokio::test]
async fn a_timeout_that_can_t_be_read_is_refused() {
    let app = App::start().await;
    assert_eq!(app.outcome(app.get().with("grpc-timeout", "soon")).await, is(Code::InvalidArgument, "MALFORMED_REQUEST"));
}

async fn watch(app: &App, does: &str, timeout: &str) -> Streaming<contract::identity::v1::WatchRevocationsResponse> {
    let peer = peer_token(&app.peers["identity"], "tasks");
    let request = Request::new(WatchRevocationsRequest { from_position: 0 }).with("muster-peer", &peer).with("does", does);
    let answer = app.revocation_service().watch_revocations(request.with("grpc-timeout", timeout)).await;
    assert_eq!(outcome(&answer), is(Code::Ok, "OK"));
    answer.unwrap().into_inner()
}

/// Reads a stream to its end, which must be an error.
async fn drained<T>(mut stream: Streaming<T>) -> Status {
    loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the stream ended well"),
            Err(status) => return status,
        }
    }
}
