//! What hostile clients send to the edge; honest ones, meanwhile, are served.

use std::time::Duration;

use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tonic::Code;

use crate::edge::{Edge, SOON, message};
use crate::upstream;

const BEGIN: &str = "POST /muster.tasks.v1.WorkItemService/GetWorkItem HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web+proto\r\n";

/// What the edge says to `sent` over a plain socket, until it hangs up or says no more for a moment.
async fn told(edge: &Edge, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(edge.address).await.unwrap();
    // It may hang up before all of it is written.
    let _ = stream.write_all(sent).await;
    let (mut answer, mut some) = (Vec::new(), [0; 4096]);
    while let Ok(Ok(read @ 1..)) = timeout(Duration::from_secs(2), stream.read(&mut some)).await {
        answer.extend_from_slice(&some[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

async fn an_honest_caller_is_served(edge: &Edge) {
    assert_eq!(edge.call("GetWorkItem", message(9), &[]).await.status().code(), Code::Ok);
}

#[tokio::test]
async fn requests_that_two_servers_could_read_in_two_ways_reach_nobody() {
    let (address, seen, _) = upstream::start().await;
    let edge = Edge::before(address, &[]).await;
    let smuggled = [
        "content-length: 6\r\ncontent-length: 7\r\n\r\n\0\0\0\0\u{1}x",
        "transfer-encoding: gzip\r\n\r\n\0\0\0\0\u{1}x",
        "content-length: 6x\r\n\r\n\0\0\0\0\u{1}x",
        "x y: z\r\n\r\n",
        "x: a\rb\r\n\r\n",
    ];
    for headers in smuggled {
        let told = told(&edge, format!("{BEGIN}{headers}").as_bytes()).await;
        assert!(told.starts_with("HTTP/1.1 400 "), "{headers:?}: {told}");
    }
    assert_eq!(*seen.calls.lock().unwrap(), 0);
    an_honest_caller_is_served(&edge).await;
}

#[tokio::test]
async fn headers_without_an_end_are_cut_off() {
    let (address, seen, _) = upstream::start().await;
    let edge = Edge::before(address, &[]).await;
    let endless = format!("{BEGIN}{}", "x-filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(20_000));
    let told = told(&edge, endless.as_bytes()).await;
    assert!(told.is_empty() || told.starts_with("HTTP/1.1 431 "), "{told}");
    assert_eq!(*seen.calls.lock().unwrap(), 0);
    an_honest_caller_is_served(&edge).await;
}

#[tokio::test]
async fn one_who_sends_a_letter_at_a_time_is_served_or_shown_out_and_holds_up_nobody() {
    let (address, ..) = upstream::start().await;
    let edge = Edge::before(address, &[]).await;
    let slow = async {
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        for letter in format!("{BEGIN}content-length: 6\r\nconnection: close\r\n\r\n\0\0\0\0\u{1}x").bytes() {
            stream.write_all(&[letter]).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
        let mut answer = Vec::new();
        timeout(SOON, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    let honest = join_all((0..20).map(|_| an_honest_caller_is_served(&edge)));
    let (answer, _) = tokio::join!(slow, honest);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("grpc-status: 0"), "{answer}");
}

#[tokio::test]
async fn who_says_nothing_or_half_of_its_headers_is_hung_up_on() {
    let (address, ..) = upstream::start().await;
    let edge = Edge::hasty(address).await;
    for begin in ["", "PRI * HTTP/2.0\r\n", BEGIN] {
        let mut stream = TcpStream::connect(edge.address).await.unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let ended = timeout(SOON, stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{begin:?} holds a connection");
    }
}

#[tokio::test]
async fn hundreds_who_connect_and_say_nothing_leave_room_for_who_does() {
    let (address, ..) = upstream::start().await;
    let edge = Edge::before(address, &[]).await;
    let idle = join_all((0..400).map(|_| TcpStream::connect(edge.address))).await;
    assert!(idle.iter().all(Result::is_ok));
    an_honest_caller_is_served(&edge).await;
}

#[tokio::test]
async fn frames_that_lie_about_their_length_are_told_from_messages_by_the_owner_alone_and_break_nothing() {
    let (address, seen, _) = upstream::start().await;
    let edge = Edge::before(address, &[]).await;
    for frame in [&[0, 0xff, 0xff, 0xff, 0xff, 1][..], &[0xff; 64], &[], &[0, 0, 0, 0]] {
        // Opaque: the bytes go to the owner as they are, which answers for what it reads.
        let answered = edge.call("GetWorkItem", bytes::Bytes::copy_from_slice(frame), &[]).await;
        assert_eq!(answered.body, frame);
    }
    assert_eq!(*seen.calls.lock().unwrap(), 4);
    an_honest_caller_is_served(&edge).await;
}
