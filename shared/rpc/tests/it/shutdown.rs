//! Stopping: trap 4 (a graceful stop may never return).

use std::time::Duration;

use contract::identity::v1::WatchRevocationsRequest;
use rpc::server::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Request};

use crate::app::{App, SOON, With, is, outcome, peer_token, reason};

fn quick() -> Limits {
    Limits { drain_ms: 300, ..Limits::default() }
}

#[tokio::test]
async fn sockets_that_say_nothing_do_not_hold_the_server() {
    let app = App::with(Limits { drain_ms: 60_000, ..Limits::default() }).await;
    let mut idle = TcpStream::connect(app.address).await.unwrap();
    let mut half = TcpStream::connect(app.address).await.unwrap();
    half.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    app.shutdown.request();
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0, "it is closed");
    app.stopped().await;
}

#[tokio::test]
async fn a_client_that_falls_silent_after_the_handshake_is_cut_off() {
    let app = App::with(quick()).await;
    let mut silent = TcpStream::connect(app.address).await.unwrap();
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    assert!(silent.read(&mut [0; 64]).await.unwrap() > 0, "the server's settings");
    app.shutdown.request();
    app.stopped().await;
}

#[tokio::test]
async fn a_silent_client_of_the_admin_port_does_not_have_a_drain_of_its_own() {
    let app = App::with(Limits { drain_ms: 60_000, ..Limits::default() }).await;
    let mut silent = TcpStream::connect(app.admin_address).await.unwrap();
    silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    assert!(silent.read(&mut [0; 64]).await.unwrap() > 0, "the server's settings");
    app.shutdown.request();
    app.stopped().await;
}

#[tokio::test]
async fn an_open_stream_is_ended_with_a_reason() {
    let app = App::with(Limits { drain_ms: 60_000, ..Limits::default() }).await;
    let peer = peer_token(&app.peers["identity"], "tasks");
    let request = Request::new(WatchRevocationsRequest::default()).with("muster-peer", &peer);
    let mut stream = app.revocation_service().watch_revocations(request).await.unwrap().into_inner();
    assert!(stream.message().await.unwrap().is_some());
    app.shutdown.request();
    let status = stream.message().await.unwrap_err();
    assert_eq!((status.code(), reason(&status)), is(Code::Unavailable, "NOT_READY"));
    app.stopped().await;
}

#[tokio::test]
async fn a_call_that_runs_is_finished_and_a_new_one_is_not_begun() {
    let app = App::with(Limits { drain_ms: 60_000, ..Limits::default() }).await;
    let mut products = app.products();
    let running = products.get_product(app.get().with("does", "sleep").with("grpc-timeout", "700m"));
    let stop = async {
        while app.ran() == 0 {
            tokio::task::yield_now().await;
        }
        app.shutdown.request();
        while TcpStream::connect(app.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (answer, ()) = tokio::join!(running, stop);
    assert_eq!(outcome(&answer), is(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), "it had its time");
    app.stopped().await;
}

#[tokio::test]
async fn a_call_that_does_not_end_is_cut_off_and_nothing_of_it_runs_on() {
    let app = App::with(quick()).await;
    let handlers = app.handlers.clone();
    let mut products = app.products();
    let stuck = products.get_product(app.get().with("does", "sleep").with("grpc-timeout", "30S"));
    let stop = async {
        while app.ran() == 0 {
            tokio::task::yield_now().await;
        }
        app.shutdown.request();
    };
    let (answer, ()) = tokio::time::timeout(SOON, async { tokio::join!(stuck, stop) }).await.expect("the call ends");
    assert!(answer.is_err());
    app.stopped().await;
    handlers.seen.lock().unwrap().clear();
    assert_eq!(std::sync::Arc::strong_count(&handlers), 1, "no task holds the handlers any more");
}
