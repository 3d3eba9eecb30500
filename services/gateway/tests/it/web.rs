//! gRPC-Web, as browsers speak it: over HTTP/1.1 and HTTP/2, binary and text; and which pages may.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use gateway::Config;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::edge::{Edge, SOON, message};
use crate::upstream;

const PAGE: &str = "https://console.example";
const BINARY: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text";

/// An edge that lets pages of [`PAGE`] call.
async fn edge(upstream: std::net::SocketAddr) -> Edge {
    Edge::with(upstream, Config { allowed_origins: vec![PAGE.to_owned()], ..Config::default() }).await
}

/// A browser's call of `method` of the work items; the answer's headers are there.
async fn fetch(edge: &Edge, http2: bool, method: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response<Incoming> {
    let uri = format!("http://{}/muster.tasks.v1.WorkItemService/{method}", edge.address);
    let request = headers.iter().fold(Request::post(uri), |request, (name, value)| request.header(*name, *value));
    let client = Client::builder(TokioExecutor::new()).http2_only(http2).build_http();
    let call = client.request(request.body(Full::new(body.into())).unwrap());
    tokio::time::timeout(SOON, call).await.unwrap().unwrap()
}

/// The whole body of an answer.
async fn body(answer: Response<Incoming>) -> Bytes {
    tokio::time::timeout(SOON, answer.into_body().collect()).await.unwrap().unwrap().to_bytes()
}

/// The frames of a gRPC-Web body: flag and content of each.
fn frames(mut body: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = body.split_at_checked(5) {
        let (content, rest) = rest.split_at(u32::from_be_bytes(head[1..].try_into().unwrap()) as usize);
        frames.push((head[0], content.to_vec()));
        body = rest;
    }
    assert!(body.is_empty(), "half a frame is left");
    frames
}

/// A body of text mode: pieces of base64, each with its padding.
fn from_text(text: &[u8]) -> Vec<u8> {
    let pieces = text.chunks(4).map(|group| STANDARD.decode(group).unwrap());
    pieces.collect::<Vec<_>>().concat()
}

/// The trailers in the last frame.
fn trailers(frames: &[(u8, Vec<u8>)]) -> String {
    let (flag, content) = frames.last().unwrap();
    assert_eq!(*flag, 0x80);
    String::from_utf8(content.clone()).unwrap()
}

#[tokio::test]
async fn a_page_calls_in_binary_over_either_http_and_reads_trailers_as_the_last_frame() {
    let (address, seen, _) = upstream::start().await;
    let edge = edge(address).await;
    for http2 in [false, true] {
        let headers =
            [("content-type", BINARY), ("origin", PAGE), ("authorization", "Bearer x"), ("cookie", "a=b"), ("muster-peer", "forged")];
        let answer = fetch(&edge, http2, "GetWorkItem", &headers, message(70_000)).await;
        let head = answer.headers().clone();
        assert_eq!(
            (answer.status(), &head["content-type"], &head["access-control-allow-origin"]),
            (StatusCode::OK, &BINARY.parse().unwrap(), &PAGE.parse().unwrap())
        );
        assert!(
            head["access-control-expose-headers"].to_str().unwrap().contains("grpc-status-details-bin")
                && head.contains_key("x-request-id")
        );
        let frames = frames(&body(answer).await);
        assert_eq!((frames.len(), frames[0].0, frames[0].1.len()), (2, 0, 70_000));
        let trailers = trailers(&frames);
        assert!(trailers.contains("grpc-status: 0\r\n") && trailers.contains("x-last-word: bye\r\n"), "{trailers}");
        let sent = seen.headers.lock().unwrap().clone();
        assert_eq!((&sent["content-type"], &sent["authorization"]), (&"application/grpc".parse().unwrap(), &"Bearer x".parse().unwrap()));
        assert!(!sent.contains_key("cookie") && !sent.contains_key("origin") && sent["muster-peer"] != "forged");
    }
}

#[tokio::test]
async fn a_page_calls_in_text_and_is_answered_in_text() {
    let (address, ..) = upstream::start().await;
    let edge = edge(address).await;
    // Two pieces, each padded, as a client writes that encodes frame by frame.
    let whole = message(1_000);
    let sent = [STANDARD.encode(&whole[..7]), STANDARD.encode(&whole[7..])].concat();
    for http2 in [false, true] {
        let answer = fetch(&edge, http2, "GetWorkItem", &[("content-type", TEXT), ("accept", TEXT)], sent.clone()).await;
        assert_eq!(answer.headers()["content-type"], "application/grpc-web-text+proto");
        let frames = frames(&from_text(&body(answer).await));
        assert_eq!(frames[0].1, whole[5..]);
        assert!(trailers(&frames).contains("grpc-status: 0\r\n"));
    }
}

#[tokio::test]
async fn a_stream_comes_as_it_is_sent_in_both_modes_and_its_end_by_the_page_is_felt() {
    let (address, _, mut gone) = upstream::start().await;
    let edge = edge(address).await;
    for (mode, sent) in [(BINARY, message(1)), (TEXT, STANDARD.encode(message(1)).into())] {
        let mut answer = fetch(&edge, false, "WatchWorkItems", &[("content-type", mode)], sent).await;
        let first = tokio::time::timeout(SOON, answer.body_mut().frame()).await.unwrap().unwrap().unwrap().into_data().unwrap();
        let first = if mode == TEXT { from_text(&first) } else { first.to_vec() };
        assert_eq!(first, [0, 0, 0, 0, 1, b'x'], "{mode}");
        drop(answer);
        tokio::time::timeout(SOON, gone.recv()).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_drain_ends_a_page_s_stream_with_a_status_in_its_last_frame() {
    let (address, ..) = upstream::start().await;
    let edge = edge(address).await;
    let answer = fetch(&edge, false, "WatchWorkItems", &[("content-type", BINARY)], message(1)).await;
    edge.running.stop().await;
    let frames = frames(&body(answer).await);
    assert_eq!(frames[0].1, b"x");
    assert!(trailers(&frames).contains("grpc-status: 14\r\n"));
}

#[tokio::test]
async fn a_refusal_stands_in_headers_that_the_page_may_read() {
    let (address, ..) = upstream::start().await;
    let edge = edge(address).await;
    let answer = fetch(&edge, false, "CreateWorkItem", &[("content-type", BINARY), ("origin", PAGE)], message(1)).await;
    assert_eq!(
        (&answer.headers()["grpc-status"], &answer.headers()["grpc-status-details-bin"]),
        (&"9".parse().unwrap(), &"AAAA".parse().unwrap())
    );
    let internal = fault(&fetch(&edge, false, "Paint", &[("content-type", BINARY)], message(1)).await);
    assert_eq!(internal, (Code::Unimplemented, "METHOD_UNKNOWN".to_owned()));
}

/// Code and reason in the headers of an answer.
fn fault(answer: &Response<Incoming>) -> (Code, String) {
    let status = Status::from_header_map(answer.headers()).unwrap();
    (status.code(), status.get_error_details().error_info().unwrap().reason.clone())
}

#[tokio::test]
async fn what_is_too_large_or_no_base64_is_refused_with_a_reason_before_anybody_behind_hears_of_it() {
    const MOST: u32 = 4 * 1024 * 1024;
    let (address, seen, _) = upstream::start().await;
    let edge = edge(address).await;
    for (mode, sent) in [(BINARY, message(MOST + 1)), (TEXT, STANDARD.encode(message(MOST + 1)).into())] {
        let answer = fetch(&edge, true, "GetWorkItem", &[("content-type", mode)], sent).await;
        assert_eq!(fault(&answer), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE".to_owned()), "{mode}");
    }
    let answer = fetch(&edge, false, "GetWorkItem", &[("content-type", TEXT)], "A*==").await;
    assert_eq!(fault(&answer), (Code::InvalidArgument, "MALFORMED_REQUEST".to_owned()));
    assert_eq!(*seen.calls.lock().unwrap(), 0);
    let text = STANDARD.encode(message(MOST));
    assert_eq!(
        frames(&from_text(&body(fetch(&edge, true, "GetWorkItem", &[("content-type", TEXT)], text).await).await))[0].1.len(),
        MOST as usize
    );
}

#[tokio::test]
async fn a_page_of_another_origin_may_not_call_in_any_way() {
    let (address, seen, _) = upstream::start().await;
    let edge = edge(address).await;
    for origin in ["https://evil.example", "null", "https://console.example.evil.example", "http://console.example"] {
        for content_type in [BINARY, TEXT, "application/grpc"] {
            let answer = fetch(
                &edge,
                content_type == "application/grpc",
                "GetWorkItem",
                &[("content-type", content_type), ("origin", origin)],
                message(1),
            )
            .await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{origin} {content_type}");
            assert!(!answer.headers().contains_key("access-control-allow-origin"));
        }
    }
    assert_eq!(*seen.calls.lock().unwrap(), 0);
}

#[tokio::test]
async fn a_browser_that_asks_first_is_told_what_a_page_may() {
    let (address, ..) = upstream::start().await;
    let edge = edge(address).await;
    let ask = async |origin: &str, method: &str| -> (StatusCode, HeaderMap) {
        let uri = format!("http://{}/muster.tasks.v1.WorkItemService/GetWorkItem", edge.address);
        let request = Request::builder().method(Method::OPTIONS).uri(uri).header("origin", origin);
        let request = request
            .header("access-control-request-method", method)
            .header("access-control-request-headers", "authorization,content-type,x-grpc-web");
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let answer = client.request(request.body(Full::default()).unwrap()).await.unwrap();
        (answer.status(), answer.headers().clone())
    };
    let (status, headers) = ask(PAGE, "POST").await;
    assert_eq!((status, &headers["access-control-allow-origin"]), (StatusCode::NO_CONTENT, &PAGE.parse().unwrap()));
    let allowed = headers["access-control-allow-headers"].to_str().unwrap();
    assert!(["authorization", "content-type", "x-grpc-web", "x-user-agent", "grpc-timeout"].iter().all(|name| allowed.contains(name)));
    assert!(!headers.contains_key("access-control-allow-credentials"));
    assert_eq!(ask("https://evil.example", "POST").await.0, StatusCode::FORBIDDEN);
    assert_eq!(ask(PAGE, "DELETE").await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_is_no_grpc_web_is_not_taken_for_it() {
    let (address, seen, _) = upstream::start().await;
    let edge = edge(address).await;
    for content_type in ["application/grpc-web+json", "application/grpc-webby", "application/json"] {
        let status = fetch(&edge, false, "GetWorkItem", &[("content-type", content_type)], message(1)).await.status();
        assert!(status.is_client_error(), "{content_type}: {status}");
    }
    // Native gRPC needs trailers, which HTTP/1.1 has not.
    assert!(fetch(&edge, false, "GetWorkItem", &[("content-type", "application/grpc")], message(1)).await.status().is_client_error());
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(b"this is no HTTP at all, by any reading\r\n\r\n").await.unwrap();
    let mut told = String::new();
    tokio::time::timeout(SOON, stream.read_to_string(&mut told)).await.unwrap().unwrap();
    assert!(told.starts_with("HTTP/1.1 400 "), "{told}");
    assert_eq!(*seen.calls.lock().unwrap(), 0);
}
