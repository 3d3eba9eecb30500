//! The connection under a channel: how it ends, and what becomes of the calls on it.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::Reason;
use h2::server::{Connection, SendResponse};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use rpc::authn::PeerKeys;
use rpc::client::{Channel, InTime, channel};
use runtime::Clock;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use crate::app::{GET_PRODUCT, SOON, listener};

/// The header that tells the number of a connection.
pub(crate) const NUMBER: &str = "connection-number";

/// A peer that speaks HTTP/2 and nothing above it. It answers with the number of the connection, and what is `held` it hands over in place of that.
pub(crate) struct Peer {
    listener: TcpListener,
    serving: JoinSet<()>,
    held: (mpsc::UnboundedSender<SendResponse<Bytes>>, mpsc::UnboundedReceiver<SendResponse<Bytes>>),
    pub(crate) connections: usize,
}

impl Peer {
    pub(crate) async fn start() -> Peer {
        Peer { listener: listener().await, serving: JoinSet::new(), held: mpsc::unbounded_channel(), connections: 0 }
    }

    fn channel(&self) -> Channel {
        channel("tasks", &format!("http://{}", self.address()), &keys()).unwrap()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Takes one connection, and serves it with `serve` and its number.
    pub(crate) async fn accept<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        serve: impl FnOnce(Connection<TcpStream, Bytes>, mpsc::UnboundedSender<SendResponse<Bytes>>, usize) -> F,
    ) {
        let (socket, _) = timeout(SOON, self.listener.accept()).await.expect("it connects").unwrap();
        self.connections += 1;
        // As many as a service of the suite takes.
        let connection = h2::server::Builder::new().max_concurrent_streams(100).handshake(socket).await.unwrap();
        self.serving.spawn(serve(connection, self.held.0.clone(), self.connections));
    }

    /// The next call that is held.
    pub(crate) async fn held(&mut self) -> SendResponse<Bytes> {
        timeout(SOON, self.held.1.recv()).await.expect("a call comes").unwrap()
    }

    /// Answers the next call that is held and was not given up.
    async fn answer_one(&mut self) {
        let mut held = self.held().await;
        while futures::poll!(std::future::poll_fn(|cx| held.poll_reset(cx))).is_ready() {
            held = self.held().await;
        }
        answer(held, 1);
    }
}

pub(crate) fn keys() -> PeerKeys {
    PeerKeys::generate(&["tasks", "identity"], &Clock::system()).unwrap()["identity"].clone()
}

/// Answers all calls, and asks to end when one is held.
pub(crate) async fn serve(mut connection: Connection<TcpStream, Bytes>, held: mpsc::UnboundedSender<SendResponse<Bytes>>, number: usize) {
    while let Some(Ok((request, respond))) = connection.accept().await {
        if request.headers().contains_key("held") {
            held.send(respond).unwrap();
            connection.graceful_shutdown();
        } else {
            answer(respond, number);
        }
    }
}

/// Hands over all calls.
async fn hold(mut connection: Connection<TcpStream, Bytes>, held: mpsc::UnboundedSender<SendResponse<Bytes>>, _: usize) {
    while let Some(Ok((_, respond))) = connection.accept().await {
        held.send(respond).unwrap();
    }
}

/// Breaks off at the first call.
async fn die(mut connection: Connection<TcpStream, Bytes>, _: mpsc::UnboundedSender<SendResponse<Bytes>>, _: usize) {
    drop(connection.accept().await);
}

fn answer(mut respond: SendResponse<Bytes>, number: usize) {
    let mut frames = respond.send_response(Response::builder().header(NUMBER, number).body(()).unwrap(), false).unwrap();
    frames.send_data(Bytes::from_static(b"frame"), false).unwrap();
    frames.send_trailers(HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))])).unwrap();
}

pub(crate) async fn call(mut channel: Channel, held: bool, message: Bytes) -> Result<Response<InTime>, Status> {
    let mut request = Request::post(GET_PRODUCT).header("grpc-timeout", "1H").body(Body::new(Full::new(message))).unwrap();
    if held {
        request.headers_mut().insert("held", HeaderValue::from_static("1"));
    }
    channel.call(request).await
}

/// The number of the connection that a call is answered over, in full.
pub(crate) async fn number(answer: Result<Response<InTime>, Status>) -> Result<usize, Code> {
    let answer = answer.map_err(|status| status.code())?;
    let number = answer.headers()[NUMBER].to_str().unwrap().parse().unwrap();
    let whole = answer.into_body().collect().await.map_err(|status| status.code())?;
    assert_eq!(whole.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(whole.to_bytes(), "frame");
    Ok(number)
}

pub(crate) async fn ask(channel: &Channel) -> Result<usize, Code> {
    number(timeout(SOON, call(channel.clone(), false, Bytes::new())).await.expect("it is answered")).await
}

#[tokio::test]
async fn a_crowd_that_comes_at_once_shares_one_connection_and_none_is_refused() {
    let mut peer = Peer::start().await;
    let channel = peer.channel();
    let crowd = futures::future::join_all((0..150).map(|_| ask(&channel)));
    let (numbers, ()) = tokio::join!(crowd, peer.accept(serve));
    assert_eq!(numbers, vec![Ok(1); 150]);
}

#[tokio::test]
async fn a_connection_that_its_peer_asks_to_end_takes_no_further_call_and_loses_none() {
    let mut peer = Peer::start().await;
    let (channel, mut calls) = (peer.channel(), JoinSet::new());
    calls.spawn(call(channel.clone(), true, Bytes::new()));
    peer.accept(serve).await;
    let held = peer.held().await;
    let next = async {
        // Until the news is here the old one may be asked, and answers.
        while ask(&channel).await.unwrap() == 1 {}
        ask(&channel).await
    };
    let (next, ()) = tokio::join!(next, peer.accept(serve));
    assert_eq!(next, Ok(2));
    answer(held, 1);
    assert_eq!(number(calls.join_next().await.unwrap().unwrap()).await, Ok(1), "it came to its end");
}

#[tokio::test]
async fn a_peer_that_dies_mid_call_is_unavailable_and_the_next_call_goes_over_a_new_connection() {
    let mut peer = Peer::start().await;
    let channel = peer.channel();
    let (lost, ()) = tokio::join!(ask(&channel), peer.accept(die));
    assert_eq!(lost, Err(Code::Unavailable));
    let (next, ()) = tokio::join!(ask(&channel), peer.accept(serve));
    assert_eq!(next, Ok(2));
}

#[tokio::test]
async fn a_peer_that_was_away_is_reached_by_the_first_call_after_it_is_back() {
    let mut peer = Peer::start().await;
    let (address, channel) = (peer.address(), peer.channel());
    peer.listener = listener().await;
    assert_eq!([ask(&channel).await, ask(&channel).await], [Err(Code::Unavailable); 2]);
    peer.listener = TcpListener::bind(address).await.unwrap();
    let (back, ()) = tokio::join!(ask(&channel), peer.accept(serve));
    assert_eq!(back, Ok(1));
}

#[tokio::test]
async fn a_call_that_is_given_up_ends_its_stream() {
    let mut peer = Peer::start().await;
    let mut calls = JoinSet::new();
    calls.spawn(call(peer.channel(), true, Bytes::new()));
    peer.accept(serve).await;
    let mut held = peer.held().await;
    calls.shutdown().await;
    let reset = timeout(SOON, std::future::poll_fn(|cx| held.poll_reset(cx))).await.expect("it is told");
    assert_eq!(reset.unwrap(), Reason::CANCEL);
}

#[tokio::test]
async fn calls_beyond_what_a_peer_takes_at_once_wait_their_turn_and_one_that_is_given_up_keeps_nobody_waiting() {
    let mut peer = Peer::start().await;
    let (channel, mut calls, mut held) = (peer.channel(), JoinSet::new(), Vec::new());
    let given_up = calls.spawn(call(channel.clone(), true, Bytes::from_static(b"message")));
    (1..100).for_each(|_| drop(calls.spawn(call(channel.clone(), true, Bytes::new()))));
    peer.accept(hold).await;
    for _ in 0..100 {
        held.push(peer.held().await);
    }
    let waiting = || Box::pin(call(channel.clone(), true, Bytes::from_static(b"message")));
    let [mut leaves, mut next, mut last] = [waiting(), waiting(), waiting()];
    assert!(futures::poll!(&mut leaves).is_pending() && futures::poll!(&mut next).is_pending() && futures::poll!(&mut last).is_pending());
    drop(leaves);
    given_up.abort();
    let (answered, ()) = tokio::join!(timeout(SOON, next), peer.answer_one());
    assert_eq!(number(answered.expect("it has the place of the one that was given up")).await, Ok(1));
    let (answered, ()) = tokio::join!(timeout(SOON, last), peer.answer_one());
    assert_eq!(number(answered.expect("it has the place of the one that was answered")).await, Ok(1));
}

#[tokio::test]
async fn an_answer_that_comes_before_the_message_is_sent_is_not_waited_out() {
    let mut peer = Peer::start().await;
    let long = call(peer.channel(), false, vec![0; 1_000_000].into());
    let (answered, ()) = tokio::join!(timeout(SOON, long), peer.accept(serve));
    assert_eq!(number(answered.expect("nobody reads the message")).await, Ok(1));
}

#[tokio::test]
async fn a_peer_that_gives_no_sign_of_life_is_given_up() {
    let peer = Peer::start().await;
    let mut calls = JoinSet::new();
    calls.spawn(call(peer.channel(), false, Bytes::new()));
    let (mut silent, _) = timeout(SOON, peer.listener.accept()).await.expect("it connects").unwrap();
    silent.read_exact(&mut [0; 100]).await.unwrap();
    tokio::time::pause();
    let answered = calls.join_next().await.unwrap().unwrap();
    assert_eq!(answered.unwrap_err().code(), Code::Unavailable, "long before its hour is over");
}

/// The length of the next HEADERS frame that comes. Source: RFC 9113, 4.1 and 6.2.
async fn headers(socket: &mut TcpStream) -> u32 {
    loop {
        let mut head = [0; 9];
        timeout(SOON, socket.read_exact(&mut head)).await.expect("a call comes").unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        socket.read_exact(&mut vec![0; length as usize]).await.unwrap();
        if head[3] == 1 {
            return length;
        }
    }
}

#[tokio::test]
async fn what_is_the_same_in_every_call_is_sent_once() {
    let peer = Peer::start().await;
    let (channel, mut calls) = (peer.channel(), JoinSet::new());
    calls.spawn(call(channel.clone(), false, Bytes::new()));
    let (mut socket, _) = timeout(SOON, peer.listener.accept()).await.expect("it connects").unwrap();
    socket.read_exact(&mut [0; "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()]).await.unwrap();
    let first = headers(&mut socket).await;
    for n in 0..50 {
        calls.spawn(call(channel.clone(), false, Bytes::new()));
        let next = headers(&mut socket).await;
        assert!(next * 4 < first, "{next} bytes after {first}, at call {n}: the peer token is not sent again");
    }
}

#[test]
fn an_address_is_one_of_plain_http() {
    let keys = PeerKeys::generate(&["identity"], &Clock::system()).unwrap();
    for uri in ["", "tasks", "tasks:7103", "https://tasks:7103", "http://", "http://a b"] {
        assert!(channel("tasks", uri, &keys["identity"]).is_err(), "{uri}");
    }
}
