//! Connections, below and above the level of HTTP/2 frames: traps 3, 6, 7 and 7b, and streams that a client resets as soon as they are there.

use std::fs::File;
use std::process::Command;

use contract::tasks::v1::product_service_client::ProductServiceClient;
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rpc::server::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use crate::app::{App, SOON, With, is, outcome};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: u8 = 4;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

struct Raw(TcpStream);

struct Frame {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Raw {
    async fn connect(app: &App) -> Self {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
        Self(stream)
    }

    /// The next frame; `None` when the server has closed.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        tokio::time::timeout(SOON, self.0.read_exact(&mut head)).await.expect("the server answers").ok()?;
        let mut payload = vec![0; usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2])];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind: head[3], stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload })
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// POST / over http with a content type of gRPC, from the static table of HPACK and one literal.
fn headers(stream: u32, end: bool) -> Vec<u8> {
    let block = [&[0x83, 0x86, 0x84, 0x01, 1, b'x', 0x0f, 0x10, 16], &b"application/grpc"[..]].concat();
    frame(1, 4 | u8::from(end), stream, &block)
}

#[tokio::test]
async fn streams_and_headers_of_a_connection_are_limited() {
    let app = App::start().await;
    let settings = Raw::connect(&app).await.next().await.unwrap();
    assert_eq!(settings.kind, SETTINGS);
    let value = |id: u16| {
        let found = settings.payload.chunks(6).find(|setting| setting[..2] == id.to_be_bytes());
        found.map(|setting| u32::from_be_bytes([setting[2], setting[3], setting[4], setting[5]]))
    };
    assert_eq!((value(3), value(6)), (Some(100), Some(16 * 1024)), "MAX_CONCURRENT_STREAMS and MAX_HEADER_LIST_SIZE");
}

#[tokio::test]
async fn a_client_that_makes_the_server_reset_streams_is_shown_out() {
    let app = App::start().await;
    let mut raw = Raw::connect(&app).await;
    // A window that grows beyond its maximum is an error of the stream, which the server must reset.
    let flood: Vec<u8> = (0..1_000_u32)
        .map(|n| n * 2 + 1)
        .flat_map(|id| [headers(id, false), frame(WINDOW_UPDATE, 0, id, &0x7fff_ffff_u32.to_be_bytes())].concat())
        .collect();
    // The server may hang up before all of it is written.
    let _ = raw.0.write_all(&flood).await;
    let (mut resets, mut goaway) = (0, None);
    while let Some(frame) = raw.next().await {
        match frame.kind {
            RST_STREAM => resets += 1,
            GOAWAY => goaway = Some(u32::from_be_bytes(frame.payload[4..8].try_into().unwrap())),
            _ => assert!(frame.stream < 2_001),
        }
    }
    assert_eq!(goaway, Some(ENHANCE_YOUR_CALM), "after {resets} resets");
    assert_eq!(app.outcome(app.get()).await, is(Code::Ok, "OK"), "others are served");
}

#[tokio::test]
async fn a_client_that_begins_calls_and_takes_them_back_is_shown_out() {
    let app = App::start().await;
    let mut raw = Raw::connect(&app).await;
    // Rapid reset, CVE-2023-44487: what is taken back makes room for more at once, whatever MAX_CONCURRENT_STREAMS says.
    let flood: Vec<u8> =
        (0..2_000_u32).map(|n| n * 2 + 1).flat_map(|id| [headers(id, true), frame(RST_STREAM, 0, id, &CANCEL)].concat()).collect();
    let _ = raw.0.write_all(&flood).await;
    let mut goaway = None;
    while let Some(frame) = raw.next().await {
        if frame.kind == GOAWAY {
            goaway = Some(u32::from_be_bytes(frame.payload[4..8].try_into().unwrap()));
        }
    }
    assert_eq!(goaway, Some(ENHANCE_YOUR_CALM));
    assert_eq!(app.outcome(app.get()).await, is(Code::Ok, "OK"), "others are served");
}

#[tokio::test]
async fn one_connection_too_many_waits_until_another_ends() {
    let app = App::with(Limits { connections_max: 1, ..Limits::default() }).await;
    let mut first = Raw::connect(&app).await;
    assert!(first.next().await.is_some());
    let mut second = Raw::connect(&app).await;
    let mut byte = [0; 1];
    let early = tokio::time::timeout(std::time::Duration::from_millis(200), second.0.peek(&mut byte)).await;
    assert!(early.is_err(), "it is not served yet");
    drop(first);
    assert!(second.next().await.is_some());
}

#[tokio::test]
async fn a_connection_is_asked_to_end_at_its_age_and_is_not_torn() {
    let app = App::with(Limits { connection_age_ms: 300, ..Limits::default() }).await;
    let mut raw = Raw::connect(&app).await;
    let mut kinds = Vec::new();
    while !kinds.contains(&GOAWAY) {
        kinds.push(raw.next().await.expect("a GOAWAY before the end").kind);
    }
}

#[tokio::test]
async fn a_call_that_runs_when_its_connection_is_asked_to_end_is_finished_on_it() {
    let app = App::with(Limits { connection_age_ms: 300, ..Limits::default() }).await;
    let socket = TokioIo::new(TcpStream::connect(app.address).await.unwrap());
    let (calls, connection) = handshake(TokioExecutor::new(), socket).await.unwrap();
    let products = ProductServiceClient::with_origin(tower::service_fn(move |call| calls.clone().send_request(call)), app.uri());
    let (mut first, mut others) = (products.clone(), products);
    let running = first.get_product(app.get().with("does", "wait"));
    let growing_old = async {
        // A client that was told GOAWAY refuses to begin a call.
        while others.get_product(app.get()).await.is_ok() {}
        app.handlers.go.notify_one();
    };
    let all = async { tokio::join!(running, growing_old, connection) };
    let (answer, (), ended) = tokio::time::timeout(SOON, all).await.expect("the connection grows old");
    assert_eq!(outcome(&answer), is(Code::Ok, "OK"));
    assert!(ended.is_ok(), "the connection ends in good order");
}

#[tokio::test]
async fn a_process_out_of_file_descriptors_serves_again_when_some_come_free() {
    const CHILD: &str = "MUSTER_TEST_FEW_DESCRIPTORS";
    if std::env::var_os(CHILD).is_none() {
        // In a process of its own: the other tests of this one need theirs.
        let name = "connections::a_process_out_of_file_descriptors_serves_again_when_some_come_free";
        let mut child = Command::new("prlimit");
        let child = child.arg("--nofile=64").arg(std::env::current_exe().unwrap()).args(["--exact", name]).env(CHILD, "1");
        let output = child.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && told.contains("1 passed"), "{told}{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let app = App::start().await;
    let mut descriptors: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    // One for the client, none for the server.
    descriptors.pop();
    let mut waiting = Raw::connect(&app).await;
    let metrics = runtime::telemetry::init_for_tests().metrics();
    let refused = async {
        while !metrics.render().contains("muster_rpc_accept_failures_total{service=\"tasks\"}") {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, refused).await.expect("the server finds no descriptor");
    drop(descriptors);
    assert_eq!(waiting.next().await.expect("it is accepted at last").kind, SETTINGS);
    assert_eq!(app.outcome(app.get()).await, is(Code::Ok, "OK"), "and so are others");
}

#[tokio::test]
async fn a_socket_that_says_nothing_is_closed() {
    let app = App::with(Limits { handshake_ms: 100, ..Limits::default() }).await;
    let mut silent = TcpStream::connect(app.address).await.unwrap();
    let read = tokio::time::timeout(SOON, silent.read(&mut [0; 1])).await.expect("the server hangs up");
    assert_eq!(read.unwrap_or(0), 0);
}
