//! Those who would take all the room: half-sent messages, open streams, calls that never end. Others are served meanwhile.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use contract::identity::v1::{ListRevocationsRequest, WatchRevocationsRequest, WatchRevocationsResponse};
use futures::{StreamExt, stream};
use http::{Method, Request as HttpRequest, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rpc::server::Limits;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_types::StatusExt;

use crate::app::{App, GET_PRODUCT, SOON, With, is, outcome, peer_token, plain, reason};

const KEY_SET: &str = "/muster.identity.v1.KeyService/GetJsonWebKeySet";
const WATCH_REVOCATIONS: &str = "/muster.identity.v1.RevocationService/WatchRevocations";
const WATCH_HEALTH: &str = "/grpc.health.v1.Health/Watch";

/// Few places, so that a test can take them all.
fn narrow() -> Limits {
    Limits { calls_max: 2, queue_max: 2, streams_max: 2, public_streams_max: 1, caller_streams_max: 2, ..Limits::default() }
}

/// A call whose message is announced with `bytes` and of which 3 arrive.
async fn half(app: &App, path: &str, bytes: u8, authorization: Option<String>) -> Response<Incoming> {
    let first = stream::iter([Ok::<_, Status>(Frame::data(vec![0, 0, 0, 0, bytes, 1, 2, 3].into()))]);
    let body = Body::new(StreamBody::new(first.chain(stream::pending())));
    let uri = format!("http://{}{path}", app.address);
    let mut request = HttpRequest::builder().method(Method::POST).uri(uri).header("content-type", "application/grpc");
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    plain().request(request.body(body).unwrap()).await.unwrap()
}

async fn watch(app: &App, peer: &str) -> Result<Streaming<WatchRevocationsResponse>, Status> {
    let request = Request::new(WatchRevocationsRequest::default()).with("muster-peer", &peer_token(&app.peers[peer], "tasks"));
    Ok(app.revocation_service().watch_revocations(request).await?.into_inner())
}

async fn reflect(app: &App) -> Result<Streaming<tonic_reflection::pb::v1::ServerReflectionResponse>, Status> {
    let open = Request::new(stream::pending::<ServerReflectionRequest>());
    Ok(ServerReflectionClient::with_origin(plain(), app.uri()).server_reflection_info(open).await?.into_inner())
}

/// Waits until it is so.
async fn soon(is_so: impl AsyncFn() -> bool) {
    let waited = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(SOON, waited).await.expect("it becomes so");
}

fn overloaded<T>(answer: Result<T, Status>) {
    let status = answer.err().expect("one too many is refused");
    assert_eq!((status.code(), reason(&status)), is(Code::ResourceExhausted, "OVERLOADED"));
    assert!(status.get_error_details().retry_info().is_some());
}

#[tokio::test]
async fn half_sent_messages_hold_no_place_whoever_sends_them() {
    let app = std::sync::Arc::new(App::with(narrow()).await);
    let (mut crowd, bearer) = (JoinSet::new(), format!("Bearer {}", app.token(app.viewer)));
    for n in 0..64 {
        let (app, bearer) = (app.clone(), bearer.clone());
        let by_a_user = n % 2 == 0;
        crowd.spawn(async move {
            let (path, authorization) = if by_a_user { (GET_PRODUCT, Some(bearer)) } else { (KEY_SET, None) };
            half(&app, path, 200, authorization).await
        });
    }
    for _ in 0..50 {
        assert_eq!(app.outcome(app.get()).await, is(Code::Ok, "OK"), "an honest caller goes on");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(crowd.try_join_next().is_none(), "they all wait still");
}

#[tokio::test]
async fn a_message_that_does_not_arrive_is_not_waited_for_until_the_deadline() {
    let app = App::with(Limits { request_read_ms: 100, ..Limits::default() }).await;
    let answer = half(&app, KEY_SET, 200, None).await;
    assert_eq!(answer.headers()["grpc-status"], (Code::DeadlineExceeded as i32).to_string().as_str());
    assert_eq!(app.ran(), 0);
}

#[tokio::test]
async fn what_services_ask_goes_on_while_users_fill_the_server() {
    let app = App::with(narrow()).await;
    let (mut first, mut second) = (app.products(), app.products());
    let stuck = || app.get().with("does", "sleep").with("grpc-timeout", "2S");
    let filled = async {
        soon(async || app.ran() == 2).await;
        assert_eq!(app.outcome(app.get()).await, is(Code::ResourceExhausted, "OVERLOADED"));
        let request = Request::new(ListRevocationsRequest {}).with("muster-peer", &peer_token(&app.peers["identity"], "tasks"));
        assert_eq!(outcome(&app.revocation_service().list_revocations(request).await), is(Code::Ok, "OK"));
        watch(&app, "identity").await.unwrap();
    };
    let (_, _, ()) = tokio::join!(first.get_product(stuck()), second.get_product(stuck()), filled);
}

/// A client that has little room for an answer, or none.
struct Unreading {
    requests: SendRequest<Full<Bytes>>,
    address: SocketAddr,
    _connection: JoinSet<hyper::Result<()>>,
}

impl Unreading {
    async fn connect(app: &App) -> Unreading {
        Self::with_room(app, 0).await
    }

    async fn with_room(app: &App, bytes: u32) -> Unreading {
        let stream = TcpStream::connect(app.address).await.unwrap();
        let mut client = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (requests, connection) = client.initial_stream_window_size(bytes).handshake(TokioIo::new(stream)).await.unwrap();
        let mut connections = JoinSet::new();
        connections.spawn(connection);
        Unreading { requests, address: app.address, _connection: connections }
    }

    /// The answer to an empty message; none of it but its headers comes.
    async fn call(&mut self, path: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
        let mut request = HttpRequest::builder().method(Method::POST).uri(format!("http://{}{path}", self.address));
        for (name, value) in [("content-type", "application/grpc")].iter().chain(headers) {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from_static(&[0; 5]))).unwrap();
        tokio::time::timeout(SOON, self.requests.send_request(request)).await.expect("it is answered").unwrap()
    }
}

/// Waits until the server resets the stream of `answer`.
async fn reset(answer: Response<Incoming>) {
    let end = tokio::time::timeout(SOON, answer.into_body().collect()).await.expect("it is not left open");
    assert!(end.is_err(), "it is cut off");
}

#[tokio::test]
async fn who_does_not_read_an_answer_holds_no_place() {
    let app = App::with(narrow()).await;
    let (mut client, mut unread) = (Unreading::connect(&app).await, Vec::new());
    for _ in 0..6 {
        let answer = client.call(KEY_SET, &[]).await;
        assert!(answer.headers().get("grpc-status").is_none(), "it is served: {answer:?}");
        unread.push(answer);
    }
    drop(unread);
}

#[tokio::test]
async fn large_answers_that_nobody_reads_share_a_budget_and_beyond_it_keep_their_places() {
    let app = App::with(Limits { answer_unread_bytes_max: 300_000, ..narrow() }).await;
    *app.handlers.key_set.lock().unwrap() = "x".repeat(200_000);
    let (mut client, mut unread) = (Unreading::connect(&app).await, Vec::new());
    // One is counted and gives its place back; the two after it keep both that there are.
    for _ in 0..3 {
        let answer = client.call(KEY_SET, &[]).await;
        assert!(answer.headers().get("grpc-status").is_none(), "it is served: {answer:?}");
        unread.push(answer);
    }
    assert_eq!(app.outcome(app.get()).await, is(Code::ResourceExhausted, "OVERLOADED"));
    drop(unread);
    soon(async || app.outcome(app.get()).await == is(Code::Ok, "OK")).await;
}

#[tokio::test]
async fn streams_that_nobody_reads_hold_their_places_for_their_time_and_no_longer() {
    let app = App::with(Limits { public_streams_max: 64, answer_read_ms: 500, ..Limits::default() }).await;
    let (mut client, mut unread) = (Unreading::connect(&app).await, Vec::new());
    for _ in 0..64 {
        unread.push(client.call(WATCH_HEALTH, &[]).await);
    }
    let health = || HealthClient::with_origin(plain(), app.uri());
    let watch = async || health().watch(HealthCheckRequest { service: String::new() }).await;
    soon(async || watch().await.is_ok()).await;
    for answer in unread {
        reset(answer).await;
    }
    let shown = runtime::telemetry::init_for_tests().metrics().render();
    assert!(shown.contains("muster_rpc_answers_unread_total{service=\"tasks\"}"));
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_let_go_too() {
    let app = App::with(Limits { answer_read_ms: 200, ..narrow() }).await;
    let answer = Unreading::connect(&app).await.call(KEY_SET, &[]).await;
    reset(answer).await;
}

#[tokio::test]
async fn a_long_answer_that_is_read_in_drops_is_cut_off_some_time_after_its_deadline() {
    let app = App::with(Limits { answer_read_ms: 300, ..narrow() }).await;
    *app.handlers.key_set.lock().unwrap() = "x".repeat(400_000);
    let mut client = Unreading::with_room(&app, 16_384).await;
    let mut answer = client.call(KEY_SET, &[("grpc-timeout", "300m")]).await.into_body();
    let read = async {
        while let Some(drop) = answer.frame().await {
            drop?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok::<_, hyper::Error>(())
    };
    assert!(tokio::time::timeout(SOON, read).await.expect("it is not left open").is_err(), "it is cut off");
}

#[tokio::test]
async fn a_stream_that_is_quiet_for_longer_than_a_client_may_read_goes_on() {
    let app = App::with(Limits { answer_read_ms: 100, ..narrow() }).await;
    let mut feed = watch(&app, "identity").await.unwrap();
    assert!(feed.message().await.unwrap().is_some());
    assert!(tokio::time::timeout(Duration::from_millis(600), feed.message()).await.is_err(), "it is open still");
}

#[tokio::test]
async fn a_stream_that_nobody_reads_ends_with_its_time_and_with_the_server() {
    let app = App::with(Limits { drain_ms: 60_000, ..Limits::default() }).await;
    let (mut client, token) = (Unreading::connect(&app).await, peer_token(&app.peers["identity"], "tasks"));
    let flood = [("muster-peer", token.as_str()), ("does", "flood")];
    let timed = [&flood[..], &[("grpc-timeout", "300m")]].concat();
    reset(client.call(WATCH_REVOCATIONS, &timed).await).await;
    let endless = client.call(WATCH_REVOCATIONS, &flood).await;
    app.shutdown.request();
    reset(endless).await;
    app.stopped().await;
}

#[tokio::test]
async fn who_takes_nothing_from_its_socket_is_hung_up_on() {
    let app = App::with(Limits { answer_read_ms: 300, ..Limits::default() }).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(app.address).await.unwrap();
    // More room than any socket has, and then calls whose answers nobody takes.
    let (room, most) = (0x7fff_ffff_u32.to_be_bytes(), (0x7fff_ffff_u32 - 65_535).to_be_bytes());
    let settings = [&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4][..], &room].concat();
    let window = [&[0, 0, 4, 8, 0, 0, 0, 0, 0][..], &most].concat();
    stream.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..], &window].concat()).await.unwrap();
    // It may be hung up on before all of it is written.
    let ping = [&[0, 0, 8, 6, 0, 0, 0, 0, 0][..], &[7; 8]].concat().repeat(1000);
    let hung_up = async { while stream.write_all(&ping).await.is_ok() {} };
    tokio::time::timeout(SOON, hung_up).await.expect("it is hung up on");
}

#[tokio::test]
async fn strangers_with_open_streams_take_no_place_of_a_feed() {
    let app = App::with(narrow()).await;
    let health = || HealthClient::with_origin(plain(), app.uri());
    let open = health().watch(HealthCheckRequest { service: String::new() }).await.unwrap();
    overloaded(reflect(&app).await);
    overloaded(health().watch(HealthCheckRequest { service: String::new() }).await);
    assert!(health().check(HealthCheckRequest { service: "liveness".to_owned() }).await.is_ok(), "a probe is asked for no place");
    let mut feed = watch(&app, "identity").await.unwrap();
    assert!(feed.message().await.unwrap().is_some());
    drop(open);
}

#[tokio::test]
async fn one_peer_can_not_take_the_streams_of_another() {
    let app = App::with(narrow()).await;
    let (first, _second) = (watch(&app, "identity").await.unwrap(), watch(&app, "identity").await.unwrap());
    overloaded(watch(&app, "identity").await);
    assert!(watch(&app, "tasks").await.is_ok());
    drop(first);
    soon(async || watch(&app, "identity").await.is_ok()).await;
}
