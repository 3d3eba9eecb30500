//! Clients that do not read what they asked for: what they hold is let go, and others are served meanwhile.

use std::net::Ipv4Addr;

use bytes::Bytes;
use gateway::Config;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rpc::server::Limits;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::Code;

use crate::edge::{Answered, Edge, SOON, message};
use crate::upstream;

/// What is asked for without being read: messages without end.
const FLOOD: &str = "/muster.tasks.v1.WorkItemService/ListWorkItems";
/// What anybody may ask for; it is answered with what was sent.
const KEY_SET: &str = "/muster.identity.v1.KeyService/GetJsonWebKeySet";
const SIGN_IN: &str = "/muster.identity.v1.SessionService/CreateSession";

/// Clients that have room for a few bytes of each answer.
#[derive(Default)]
struct Unreading {
    connections: JoinSet<hyper::Result<()>>,
    answers: Vec<Response<Incoming>>,
}

impl Unreading {
    /// A connection from an address that ends in `from`.
    async fn connect(&mut self, edge: &Edge, from: u8) -> SendRequest<Full<Bytes>> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::new(127, 0, 0, from), 0).into()).unwrap();
        let socket = socket.connect(edge.address).await.unwrap();
        socket.set_nodelay(true).unwrap();
        let mut client = http2::Builder::new(TokioExecutor::new());
        let (requests, connection) = client.initial_stream_window_size(100).handshake(TokioIo::new(socket)).await.unwrap();
        self.connections.spawn(connection);
        requests
    }

    /// Asks for `count` answers over one connection, each of them until it has begun; those that were refused are told.
    async fn ask(&mut self, edge: &Edge, from: u8, path: &str, sent: &Bytes, count: usize) -> Vec<Answered> {
        let (mut requests, mut refused) = (self.connect(edge, from).await, Vec::new());
        for _ in 0..count {
            let request = Request::post(format!("http://{}{path}", edge.address)).header("content-type", "application/grpc");
            let answer = requests.send_request(request.body(Full::new(sent.clone())).unwrap());
            let answer = timeout(SOON, answer).await.expect("it is begun").unwrap();
            match answer.headers().contains_key("grpc-status") {
                true => refused.push(Answered::of(answer).await),
                false => self.answers.push(answer),
            }
        }
        refused
    }

    /// Asks for `count` answers without end.
    async fn flood(&mut self, edge: &Edge, count: usize) {
        assert!(self.ask(edge, 1, FLOOD, &message(1), count).await.is_empty(), "they are served");
    }
}

/// One refusal, for there is too much already.
fn is_overloaded(refused: &[Answered]) {
    assert_eq!(refused.iter().map(Answered::fault).collect::<Vec<_>>(), [(Code::ResourceExhausted, "OVERLOADED".to_owned())]);
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_ended_behind_the_edge_too() {
    let (address, _, mut gone) = upstream::start().await;
    let edge = Edge::impatient(address).await;
    let mut unreading = Unreading::default();
    unreading.flood(&edge, 3).await;
    for _ in 0..3 {
        timeout(SOON, gone.recv()).await.expect("it is let go").unwrap();
    }
}

#[tokio::test]
async fn a_page_that_does_not_read_is_hung_up_on() {
    let (address, _, mut gone) = upstream::start().await;
    let edge = Edge::impatient(address).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut page = socket.connect(edge.address).await.unwrap();
    let head = format!("POST {FLOOD} HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc-web+proto\r\ncontent-length: 6\r\n\r\n");
    page.write_all(&[head.as_bytes(), &message(1)].concat()).await.unwrap();
    timeout(SOON, gone.recv()).await.expect("it is let go").unwrap();
}

#[tokio::test]
async fn what_some_do_not_read_keeps_no_other_waiting() {
    let (address, ..) = upstream::start().await;
    let edge = Edge::with(address, Config { address_answers_max: 1_000, ..Config::default() }).await;
    let mut unreading = Unreading::default();
    // Beside others on the connections to a service, and then more than its first four have room for.
    for more in [40, 50, 90, 90, 90, 90] {
        unreading.flood(&edge, more).await;
        for _ in 0..4 {
            let answered = edge.call("GetWorkItem", message(1_000_000), &[]).await;
            assert_eq!((answered.status().code(), answered.body.len()), (Code::Ok, 1_000_005));
        }
    }
    assert_eq!(unreading.answers.len(), 450);
}

#[tokio::test]
async fn answers_that_are_here_in_full_hold_no_place_of_a_sign_in_though_nobody_reads_them() {
    let (address, ..) = upstream::start().await;
    // Nine calls on each of 64 connections to a service: 576 places.
    let limits = Limits { connection_streams_max: 10, ..Limits::default() };
    let edge = Edge::at(0, address, Config::default(), limits).await;
    let mut unreading = Unreading::default();
    for _ in 0..65 {
        assert!(unreading.ask(&edge, 1, KEY_SET, &message(1_000), 10).await.is_empty(), "they are served");
    }
    assert!(unreading.ask(&edge, 2, SIGN_IN, &message(9), 1).await.is_empty(), "and so is who signs in elsewhere");
    assert_eq!(edge.call("GetWorkItem", message(9), &[]).await.status().code(), Code::Ok, "and who reads");
}

#[tokio::test]
async fn of_long_answers_that_nobody_reads_an_address_has_its_share() {
    let (address, ..) = upstream::start().await;
    let edge = Edge::with(address, Config { address_answers_max: 3, ..Config::default() }).await;
    let mut unreading = Unreading::default();
    is_overloaded(&unreading.ask(&edge, 1, FLOOD, &message(1), 4).await);
    assert!(unreading.ask(&edge, 2, FLOOD, &message(1), 3).await.is_empty(), "another address has its own");
    assert_eq!(edge.call("GetWorkItem", message(9), &[]).await.status().code(), Code::Ok, "short ones are not counted");
    for _ in 0..4 {
        let changed = edge.call("UpdateWorkItem", message(1_000_000), &[]).await;
        assert_eq!((changed.status().code(), changed.body.len()), (Code::Ok, 1_000_005), "what was done is not said to have failed");
    }
    unreading.answers.clear();
    let again = async { while edge.call("GetWorkItem", message(1_000_000), &[]).await.status().code() != Code::Ok {} };
    timeout(SOON, again).await.expect("what was let go is the address's again");
}

#[tokio::test]
async fn what_is_read_ahead_is_bounded_and_beyond_that_an_answer_keeps_its_place_within_the_share_too() {
    let (address, ..) = upstream::start().await;
    let limits = Limits { answer_unread_bytes_max: 100_000, ..Limits::default() };
    let edge = Edge::at(0, address, Config { address_answers_max: 1, ..Config::default() }, limits).await;
    let mut unreading = Unreading::default();
    is_overloaded(&unreading.ask(&edge, 1, KEY_SET, &message(60_000), 3).await);
    assert!(unreading.ask(&edge, 1, KEY_SET, &message(1_000), 3).await.is_empty(), "short ones are not counted");
    let read = edge.call("GetWorkItem", message(30_000), &[]).await;
    assert_eq!((read.status().code(), read.body), (Code::Ok, message(30_000)), "and what fits beside it has room");
}
