//! The native gRPC lane.

use std::convert::Infallible;

use futures::stream;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tonic::Code;
use tonic_types::StatusExt;

use crate::edge::{Answered, Edge, SOON, message};
use crate::upstream;

#[tokio::test]
async fn a_call_passes_with_its_bytes_headers_and_trailers() {
    let (address, seen, _) = upstream::start().await;
    let edge = Edge::before(address, &[]).await;
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let answered = edge.call("GetWorkItem", message(70_000), &[("authorization", "Bearer x"), ("x-request-id", id)]).await;
    assert_eq!(answered.body, message(70_000));
    assert_eq!((&answered.headers["x-upstream"], &answered.headers["x-request-id"]), (&"tasks".parse().unwrap(), &id.parse().unwrap()));
    assert_eq!((&answered.trailers["grpc-status"], &answered.trailers["x-last-word"]), (&"0".parse().unwrap(), &"bye".parse().unwrap()));
    let headers = seen.headers.lock().unwrap();
    assert_eq!((headers["authorization"].to_str().unwrap(), headers["x-request-id"].to_str().unwrap()), ("Bearer x", id));
    assert!(headers.contains_key("traceparent") && headers.contains_key("muster-peer"));
}

#[tokio::test]
async fn what_only_the_suite_may_say_is_stripped_and_a_stranger_does_not_say_where_he_is() {
    let (address, seen, _) = upstream::start().await;
    let edge = Edge::before(address, &["10.0.0.0/8"]).await;
    let forged = [
        ("muster-client-address", "6.6.6.6"),
        ("muster-peer", "forged"),
        ("muster-anything", "forged"),
        ("x-forwarded-for", "6.6.6.6"),
        ("user-agent", "browser/1"),
    ];
    edge.call("GetWorkItem", message(1), &forged).await;
    let headers = seen.headers.lock().unwrap();
    assert_eq!(
        (&headers["muster-client-address"], &headers["muster-user-agent"]),
        (&"127.0.0.1".parse().unwrap(), &"browser/1".parse().unwrap())
    );
    assert!(headers["muster-peer"] != "forged" && !headers.contains_key("muster-anything") && !headers.contains_key("x-forwarded-for"));
}

#[tokio::test]
async fn a_trusted_proxy_says_where_the_client_is() {
    let (address, seen, _) = upstream::start().await;
    let edge = Edge::before(address, &["127.0.0.0/8"]).await;
    edge.call("GetWorkItem", message(1), &[("x-forwarded-for", "6.6.6.6, 203.0.113.9")]).await;
    assert_eq!(seen.headers.lock().unwrap()["muster-client-address"], "203.0.113.9");
}

#[tokio::test]
async fn an_internal_method_and_an_unknown_one_do_not_exist() {
    let (address, seen, _) = upstream::start().await;
    let edge = Edge::before(address, &[]).await;
    let internal = contract::METHODS.iter().filter(|policy| policy.exposure == contract::Exposure::Internal);
    for path in internal.map(|policy| policy.path).chain(["/muster.tasks.v1.WorkItemService/Paint", "/x.Y/Z"]) {
        let answered = Answered::of(edge.send(path, message(1), &[]).await).await;
        assert_eq!(answered.fault(), (Code::Unimplemented, "METHOD_UNKNOWN".to_owned()), "{path}");
    }
    assert_eq!(*seen.calls.lock().unwrap(), 0);
}

#[tokio::test]
async fn a_service_that_is_away_is_told_of_at_once_with_a_time_to_try_again() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let edge = Edge::before(nobody, &[]).await;
    let answered = edge.call("GetWorkItem", message(1), &[]).await;
    assert_eq!(answered.fault(), (Code::Unavailable, "DEPENDENCY_UNAVAILABLE".to_owned()));
    assert!(answered.status().get_details_retry_info().is_some());
}

#[tokio::test]
async fn an_older_service_that_lacks_the_method_is_told_of_with_a_reason() {
    let (address, ..) = upstream::start().await;
    let edge = Edge::before(address, &[]).await;
    assert_eq!(edge.call("DeleteWorkItem", message(1), &[]).await.fault(), (Code::Unimplemented, "METHOD_UNKNOWN".to_owned()));
}

#[tokio::test]
async fn a_status_with_details_passes_as_it_is() {
    let (address, ..) = upstream::start().await;
    let answered = Edge::before(address, &[]).await.call("CreateWorkItem", message(1), &[]).await;
    assert_eq!(
        (answered.status().code(), &answered.headers["grpc-status-details-bin"]),
        (Code::FailedPrecondition, &"AAAA".parse().unwrap())
    );
}

#[tokio::test]
async fn four_mebibytes_pass_and_one_byte_more_is_refused() {
    const MOST: u32 = 4 * 1024 * 1024;
    let (address, seen, _) = upstream::start().await;
    let edge = Edge::before(address, &[]).await;
    assert_eq!(edge.call("GetWorkItem", message(MOST), &[]).await.body.len(), MOST as usize + 5);
    let answered = edge.call("GetWorkItem", message(MOST + 1), &[]).await;
    assert_eq!(answered.fault(), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned()));
    assert_eq!(*seen.calls.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_message_in_frames_of_one_byte_passes_both_ways() {
    let (address, seen, _) = upstream::start().await;
    let edge = Edge::before(address, &[]).await;
    let frames = (0..305).map(|at| Ok::<_, Infallible>(Frame::data(message(300).slice(at..=at))));
    let request = Request::post(format!("http://{}/muster.tasks.v1.WorkItemService/GetWorkItem", edge.address));
    let request = request.header("content-type", "application/grpc").header("x-then", "drip");
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let call = client.request(request.body(StreamBody::new(stream::iter(frames))).unwrap());
    let answered = Answered::of(tokio::time::timeout(SOON, call).await.unwrap().unwrap()).await;
    assert_eq!((answered.body, &answered.trailers["grpc-status"]), (message(300), &"0".parse().unwrap()));
    assert_eq!(*seen.calls.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_stream_comes_as_it_is_sent_and_its_end_by_the_client_is_felt_behind_the_edge() {
    let (address, _, mut gone) = upstream::start().await;
    let edge = Edge::before(address, &[]).await;
    let mut answer = edge.open("WatchWorkItems", message(1), &[]).await;
    let first = tokio::time::timeout(SOON, answer.body_mut().frame()).await.unwrap().unwrap().unwrap();
    assert_eq!(first.into_data().unwrap().as_ref(), [0, 0, 0, 0, 1, b'x']);
    drop(answer);
    tokio::time::timeout(SOON, gone.recv()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_s_time_is_clamped_passed_on_and_kept() {
    let (address, seen, _) = upstream::start().await;
    let edge = Edge::before(address, &[]).await;
    edge.call("GetWorkItem", message(1), &[("grpc-timeout", "1H")]).await;
    let passed: u64 = seen.headers.lock().unwrap()["grpc-timeout"].to_str().unwrap().strip_suffix('m').unwrap().parse().unwrap();
    assert!(passed <= 30_000, "{passed}");
    let answered = edge.call("TransitionWorkItem", message(1), &[("grpc-timeout", "100m")]).await;
    assert_eq!(answered.fault(), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED".to_owned()));
}

#[tokio::test]
async fn streams_of_many_people_are_not_taken_for_those_of_one() {
    let (address, ..) = upstream::start().await;
    let edge = Edge::before(address, &[]).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut answer = edge.open("WatchWorkItems", message(1), &[]).await;
        assert!(tokio::time::timeout(SOON, answer.body_mut().frame()).await.unwrap().unwrap().unwrap().is_data());
        streams.push(answer);
    }
}
