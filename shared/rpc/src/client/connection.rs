//! One connection to a peer, over HTTP/2: made when it is first used, and anew, the peer's name resolved anew, when it has ended. One that a peer has
//! asked to end (GOAWAY) takes no further call; those on it come to their end.
//!
//! Why not `tonic::transport::Channel`: it passes each call from task to task, through a queue, hyper's dispatcher and one more for the answer, and has
//! no time for the name. Here a call writes to its stream itself and wakes nobody but the connection.
//!
//! Deliberately absent: TLS (the mesh's or a later issue's), more than one connection (who wants several makes several), and second tries: also a call
//! that was on its way when its peer asked to end, and that the peer did not take any more, is UNAVAILABLE. The edge tries it again if it may.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::Status;

use super::address::Address;
use super::{CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES};

/// How long after the beginning of one connection none is begun in its place; calls wait for it. So a crowd of them costs a peer that is away, or hangs
/// up at once, 50 connections a second, and none is refused for what was true before it came.
const PAUSE: Duration = Duration::from_millis(20);
/// How often a connection is asked for a sign of life, and how long it may take to give one.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Calls at once on a connection whose peer has not said yet how many it takes. Source: RFC 9113, 6.5.2 (the least that one should take).
const STREAMS: usize = 100;

/// The connection. Cheap to clone; clones share it, and it ends with the last of them and of its calls.
#[derive(Clone)]
pub(super) struct Connection(Arc<Inner>);

struct Inner {
    address: Address,
    last: Mutex<Option<Attempt>>,
}

/// A connection that is being made, was made, or could not be made.
struct Attempt {
    begin: Instant,
    made: Made,
}

type Made = Shared<BoxFuture<'static, Result<SendRequest<Bytes>, Arc<io::Error>>>>;

impl Connection {
    /// To the peer at `address`. Nothing is sent yet.
    pub(super) fn new(address: Address) -> Self {
        Self(Arc::new(Inner { address, last: Mutex::default() }))
    }

    /// Where it leads.
    pub(super) fn address(&self) -> &Address {
        &self.0.address
    }

    /// A handle to send one request with.
    ///
    /// # Errors
    /// UNAVAILABLE: the peer can't be reached, or ends each connection at once.
    pub(super) async fn ready(&self) -> Result<SendRequest<Bytes>, Status> {
        let mut ended = None;
        loop {
            let made = self.made(ended.as_ref());
            let requests = made.clone().await.map_err(|error| Status::unavailable(error.to_string()))?;
            match requests.ready().await {
                Ok(requests) => return Ok(requests),
                Err(error) if ended.is_some() => return Err(Status::unavailable(error.to_string())),
                Err(_) => ended = Some(made),
            }
        }
    }

    /// The connection that is there or being made; a new one if there is none, the last could not be made, or is the one that `ended`.
    fn made(&self, ended: Option<&Made>) -> Made {
        let mut last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        let stands = |made: &Made| made.peek().is_none_or(Result::is_ok) && !ended.is_some_and(|ended| ended.ptr_eq(made));
        if let Some(last) = last.as_ref().filter(|last| stands(&last.made)) {
            return last.made.clone();
        }
        let now = Instant::now();
        let begin = last.as_ref().map_or(now, |last| now.max(last.begin + PAUSE));
        last.insert(Attempt { begin, made: make(self.0.address.clone(), begin) }).made.clone()
    }
}

/// A new connection, which is begun at `begin`. It is made in a task of its own: who waits for it may go away, and others wait for it too.
fn make(address: Address, begin: Instant) -> Made {
    let making = async move {
        sleep_until(begin).await;
        start(address.connect().await?).await.map_err(io::Error::other)
    };
    let made = making.map(|made| made.map_err(Arc::new)).boxed().shared();
    #[expect(clippy::disallowed_methods, reason = "ends by itself: connecting has its time")]
    tokio::spawn(made.clone());
    made
}

/// Begins HTTP/2 on `socket`, and drives it in a task until it ends, its peer is silent, or nobody is left to use it.
async fn start(socket: TcpStream) -> Result<SendRequest<Bytes>, h2::Error> {
    let (requests, mut connection) = Builder::new()
        .initial_max_send_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(16 * 1024)
        .enable_push(false)
        .handshake(socket)
        .await?;
    let pings = connection.ping_pong();
    #[expect(clippy::disallowed_methods, reason = "ends with the connection, and that when nobody has a handle to it")]
    tokio::spawn(async move {
        tokio::select! {
            biased;
            ended = connection => if let Err(error) = ended {
                tracing::debug!(%error, "a connection to a peer ended with an error");
            },
            () = silence(pings) => tracing::debug!("a peer is silent: its connection is given up"),
        }
    });
    Ok(requests)
}

/// Waits until the peer gives no sign of life.
async fn silence(pings: Option<PingPong>) {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        sleep(KEEPALIVE).await;
        if !matches!(timeout(KEEPALIVE_TIMEOUT, pings.ping(Ping::opaque())).await, Ok(Ok(_))) {
            return;
        }
    }
}
