//! What is sent a second time, and what is not.

use bytes::Bytes;
use contract::tasks::v1::CreateWorkItemRequest;
use contract::{Exposure, Idempotency};
use futures::future::{join, join_all};
use prost::Message;
use tokio::time::Instant;
use tonic::Code;

use crate::edge::{Answered, Edge, message};
use crate::upstream::{self, Mortal, STANDSTILL, Seen};

/// The name of a code on the wire, as a header wants it.
const UNAVAILABLE: &str = "14";
const RESOURCE_EXHAUSTED: &str = "8";

/// An edge, and what its upstream sees.
async fn edge() -> (Edge, Seen) {
    let (address, seen, gone) = upstream::start().await;
    std::mem::forget(gone);
    (Edge::before(address, &[]).await, seen)
}

fn calls(seen: &Seen) -> usize {
    *seen.calls.lock().unwrap()
}

/// The frame of a request to create an item.
fn create(request_id: &str) -> Bytes {
    let request =
        CreateWorkItemRequest { title: "paint the shed".into(), request_id: request_id.into(), ..CreateWorkItemRequest::default() };
    let mut frame = vec![0];
    frame.extend(u32::try_from(request.encoded_len()).unwrap().to_be_bytes());
    request.encode(&mut frame).unwrap();
    frame.into()
}

#[tokio::test]
async fn a_read_that_is_refused_for_now_is_sent_again_once_and_says_so() {
    let (edge, seen) = edge().await;
    let answered = edge.call("GetWorkItem", message(9), &[("x-fail-once", UNAVAILABLE)]).await;
    assert_eq!((answered.status().code(), answered.body, calls(&seen)), (Code::Ok, message(9), 2));
    assert_eq!(seen.headers.lock().unwrap()["grpc-previous-rpc-attempts"], "1");
    let answered = edge.call("GetWorkItem", message(9), &[("x-fail", UNAVAILABLE)]).await;
    assert_eq!((answered.status().code(), calls(&seen)), (Code::Unavailable, 4));
}

#[tokio::test]
async fn a_change_is_sent_again_with_a_request_id_and_not_without() {
    let (edge, seen) = edge().await;
    let answered = edge.call("CreateWorkItem", create(""), &[("x-fail-once", UNAVAILABLE)]).await;
    assert_eq!((answered.status().code(), calls(&seen)), (Code::Unavailable, 1));
    let answered = edge.call("CreateWorkItem", create("01890a5d-ac96-774b-bcce-b302099a8057"), &[("x-fail-once", UNAVAILABLE)]).await;
    assert_eq!((answered.status().code(), calls(&seen)), (Code::FailedPrecondition, 3), "the second try was answered");
}

#[tokio::test]
async fn a_method_whose_every_call_has_an_effect_is_never_sent_again() {
    let (edge, seen) = edge().await;
    let edges = contract::METHODS.iter().filter(|policy| policy.exposure == Exposure::Edge);
    let mut count = 0;
    for policy in edges.filter(|policy| policy.idempotency == Idempotency::None) {
        let answered = Answered::of(edge.send(policy.path, message(0), &[("x-fail-once", UNAVAILABLE)]).await).await;
        count += 1;
        assert_eq!((answered.status().code(), calls(&seen)), (Code::Unavailable, count), "{}", policy.path);
    }
    assert!(count > 0, "there are such methods");
}

#[tokio::test]
async fn what_is_overloaded_too_large_or_begun_is_not_sent_again() {
    let (edge, seen) = edge().await;
    let answered = edge.call("GetWorkItem", message(9), &[("x-fail-once", RESOURCE_EXHAUSTED)]).await;
    assert_eq!((answered.status().code(), calls(&seen)), (Code::ResourceExhausted, 1));
    let answered = edge.call("GetWorkItem", message(70_000), &[("x-fail-once", UNAVAILABLE)]).await;
    assert_eq!((answered.status().code(), calls(&seen)), (Code::Unavailable, 2));
    let answered = edge.call("GetWorkItem", message(9), &[("x-then", "break")]).await;
    assert_eq!((answered.fault().1.as_str(), calls(&seen)), ("DEPENDENCY_UNAVAILABLE", 3));
    assert_eq!(answered.body.as_ref(), [0, 0, 0, 0, 1, b'x']);
}

#[tokio::test]
async fn a_service_that_is_down_or_answers_too_late_is_sent_at_most_three_tenths_more() {
    const CALLS: usize = 200;
    let (edge, seen) = edge().await;
    for _ in 0..CALLS {
        assert_eq!(edge.call("GetWorkItem", message(1), &[("x-fail", UNAVAILABLE)]).await.status().code(), Code::Unavailable);
    }
    let down = calls(&seen);
    assert!(down > CALLS && down * 10 <= CALLS * 13, "{CALLS} calls became {down}");
    let frozen = join_all((0..50).map(|_| edge.call("GetWorkItem", message(1), &[("x-then", "freeze"), ("grpc-timeout", "200m")]))).await;
    assert!(frozen.iter().all(|answered| answered.fault() == (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned())));
    assert_eq!(calls(&seen) - down, 50, "time that ran out does not come back");
}

#[tokio::test]
async fn a_service_that_stands_still_for_five_seconds_is_sent_at_most_three_tenths_more() {
    let upstream = Mortal::start(0);
    let edge = Edge::before(upstream.address, &[]).await;
    let (began, get) = (Instant::now(), async |headers: &[(&'static str, &str)]| edge.call("GetWorkItem", message(1), headers).await);
    let standing = get(&[("x-then", "stand"), ("grpc-timeout", "20S")]);
    // Twenty callers who give up after a fifth of a second and ask anew, until it moves again.
    let asking = join_all((0..20).map(async |_| {
        let mut outcomes = Vec::new();
        while began.elapsed() < STANDSTILL {
            outcomes.push(get(&[("grpc-timeout", "200m")]).await.status().code());
        }
        outcomes
    }));
    let (stood, outcomes) = join(standing, asking).await;
    assert_eq!(stood.status().code(), Code::Ok, "it was slow, not gone");
    let outcomes = outcomes.concat();
    let late = outcomes.iter().filter(|code| **code == Code::DeadlineExceeded).count();
    assert!(late > 100, "it stood still: {late} of {} were late", outcomes.len());
    // What came in over a connection before this has been taken from it when this is answered.
    for _ in 0..8 {
        assert_eq!(get(&[]).await.status().code(), Code::Ok, "it moves again");
    }
    let (sent, seen) = (outcomes.len() + 9, calls(&upstream.seen));
    assert!(seen > late / 2 && seen * 10 <= sent * 13, "{sent} calls became {seen}");
}
