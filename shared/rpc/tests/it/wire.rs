//! Bytes that no client of ours sends.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::app::{App, GET_PRODUCT, is, plain, reason};

/// A gRPC frame around `message`.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], message].concat()
}

async fn post(app: &App, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Response<Incoming> {
    let token = format!("Bearer {}", app.token(app.member));
    let request = Request::post(format!("http://{}{path}", app.address)).header("authorization", token).header("te", "trailers");
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    plain().request(request.body(Body::new(Full::new(Bytes::from(body)))).unwrap()).await.unwrap()
}

/// What the server says to these bytes as a gRPC call.
async fn says(app: &App, path: &str, body: Vec<u8>) -> (Code, String) {
    let answer = post(app, path, &[("content-type", "application/grpc")], body).await;
    let (parts, body) = answer.into_parts();
    let trailers = body.collect().await.unwrap().trailers().cloned();
    let end: HeaderMap = if parts.headers.contains_key("grpc-status") { parts.headers } else { trailers.unwrap_or_default() };
    let status = Status::from_header_map(&end).expect("a status");
    (status.code(), reason(&status))
}

#[tokio::test]
async fn what_is_no_message_is_malformed() {
    let app = App::start().await;
    let malformed = is(Code::InvalidArgument, "MALFORMED_REQUEST");
    let invalid_utf8 = framed(&[0x0a, 0x02, 0xff, 0xfe]);
    let wrong_wire_type = framed(&[0x08, 0x01]);
    let truncated = framed(&[0x0a, 0x24, b'x']);
    let short_of_its_length = framed(&[0; 100])[..50].to_vec();
    let endless_groups = framed(&[0x1b; 2000]);
    for body in [invalid_utf8, wrong_wire_type, truncated, short_of_its_length, endless_groups, b"hello, world".to_vec(), vec![]] {
        assert_eq!(says(&app, GET_PRODUCT, body.clone()).await, malformed, "{:?}", &body[..body.len().min(16)]);
    }
    assert_eq!(app.ran(), 0);
}

#[tokio::test]
async fn a_compressed_message_is_not_supported() {
    let app = App::start().await;
    let mut body = framed(b"");
    body[0] = 1;
    assert_eq!(says(&app, GET_PRODUCT, body).await.1, "MALFORMED_REQUEST");
}

#[tokio::test]
async fn a_message_is_as_large_as_its_method_takes_and_no_larger() {
    let app = App::start().await;
    let field = |bytes: usize| [&[0x1a][..], &prost_varint(bytes), &vec![b'x'; bytes]].concat();
    let list = "/muster.tasks.v1.ProductService/ListProducts";
    let (large, too_large) = (is(Code::InvalidArgument, "FIELD_VIOLATION"), is(Code::ResourceExhausted, "MESSAGE_TOO_LARGE"));
    let exactly = |bytes: usize| framed(&field(bytes - 4));
    assert_eq!(exactly(1024 * 1024).len(), 1024 * 1024 + 5);
    assert_eq!(says(&app, GET_PRODUCT, framed(&field(1024 * 1024))).await, too_large);
    assert_eq!(says(&app, list, exactly(1024 * 1024 + 1)).await, large, "this one is granted more: it is read, and its field is too long");
    assert_eq!(says(&app, list, exactly(2 * 1024 * 1024)).await, large);
    assert_eq!(says(&app, list, framed(&field(2 * 1024 * 1024))).await, too_large);
    assert_eq!(app.ran(), 0);
}

#[tokio::test]
async fn a_method_that_this_server_has_not_is_unknown() {
    let app = App::start().await;
    let unknown = is(Code::Unimplemented, "METHOD_UNKNOWN");
    for path in [
        "/muster.tasks.v1.ProductService/DropProducts",
        "/muster.audit.v1.AuditService/ListRecords",
        "/muster.tasks.v1.WorkItemService/GetWorkItem",
        "/",
    ] {
        assert_eq!(says(&app, path, framed(b"")).await, unknown, "{path}");
    }
}

#[tokio::test]
async fn what_is_no_grpc_is_turned_away() {
    let app = App::start().await;
    assert_eq!(post(&app, GET_PRODUCT, &[("content-type", "application/json")], b"{}".to_vec()).await.status(), 415);
    assert_eq!(post(&app, "/metrics", &[], vec![]).await.status(), 415, "the main port shows no metrics");
}

fn prost_varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap());
    bytes
}
