//! One connection to a peer, over HTTP/2: made when it is first used, and anew, the peer's name resolved anew, when it has ended. One that a peer has
//! asked to end (GOAWAY) takes no further call; those on it come to their end.
//!
//! Why not `tonic::transport::Channel`: it passes each call from task to task, through a queue, hyper's dispatcher and one more for the answer, and has
//! no time for the name. Here a call writes to its stream itself and wakes nobody but the connection.
//!
//! Deliberately absent: TLS (the mesh's or a later issue's), more than one connection (who wants several makes several), and second tries.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong};
use http::Uri;
use http::uri::{Authority, Scheme};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::Status;

use super::{CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES};

/// How long a peer's name may take to resolve, and its addresses together to be reached.
const CONNECT: Duration = Duration::from_secs(2);
/// How long after a failure nobody tries again; calls wait for it. So a crowd of them costs a peer that is away 50 connections a second, and none is
/// refused for what was true before it came.
const PAUSE: Duration = Duration::from_millis(20);
/// How often a connection is asked for a sign of life, and how long it may take to give one.
const KEEPALIVE: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Calls at once on a connection whose peer has not said yet how many it takes. Source: RFC 9113, 6.5.2 (the least that one should take).
const STREAMS: usize = 100;
/// The port of an address that names none.
const PORT: u16 = 80;

/// The connection. Cheap to clone; clones share it, and it ends with the last of them and of its calls.
#[derive(Clone, Debug)]
pub(super) struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    authority: Authority,
    attempt: Mutex<Option<Attempt>>,
}

/// A connection that is being made, or was made.
type Attempt = Shared<BoxFuture<'static, Result<SendRequest<Bytes>, Unreachable>>>;

/// A connection that was not made.
#[derive(Clone, Debug)]
struct Unreachable {
    cause: Arc<io::Error>,
    at: Instant,
}

/// An address that is none: not `http://host` or `http://host:port`.
#[derive(Debug, thiserror::Error)]
#[error("no address of the form http://host:port")]
pub struct NoAddress;

impl Connection {
    /// To the peer at `uri`. Nothing is sent yet.
    pub(super) fn new(uri: &str) -> Result<Self, NoAddress> {
        let uri: Uri = uri.parse().map_err(|_| NoAddress)?;
        let authority = uri.authority().filter(|_| uri.scheme() == Some(&Scheme::HTTP)).ok_or(NoAddress)?;
        Ok(Self(Arc::new(Inner { authority: authority.clone(), attempt: Mutex::default() })))
    }

    /// Where it leads, as requests say it.
    pub(super) fn authority(&self) -> &Authority {
        &self.0.authority
    }

    /// A handle to send one request with.
    ///
    /// # Errors
    /// UNAVAILABLE: the peer can't be reached, or ends each connection at once.
    pub(super) async fn ready(&self) -> Result<SendRequest<Bytes>, Status> {
        let mut ended = None;
        loop {
            let attempt = self.attempt(ended.as_ref());
            let requests = attempt.clone().await.map_err(|error| Status::unavailable(error.cause.to_string()))?;
            match requests.ready().await {
                Ok(requests) => return Ok(requests),
                Err(error) if ended.is_some() => return Err(Status::unavailable(error.to_string())),
                Err(_) => ended = Some(attempt),
            }
        }
    }

    /// The connection that is there or being made; a new one if there is none, the last could not be made, or is the one that `ended`.
    fn attempt(&self, ended: Option<&Attempt>) -> Attempt {
        let mut last = self.0.attempt.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = last.as_ref().and_then(|last| last.peek()?.as_ref().err()).map(|error| error.at);
        match &*last {
            Some(last) if failed.is_none() && !ended.is_some_and(|ended| ended.ptr_eq(last)) => last.clone(),
            _ => last.insert(attempt(self.0.authority.clone(), failed.map(|at| at + PAUSE))).clone(),
        }
    }
}

/// A new connection, which is begun at `begin` or at once. It is made in a task of its own: who waits for it may go away, and others wait for it too.
fn attempt(authority: Authority, begin: Option<Instant>) -> Attempt {
    #[expect(clippy::disallowed_methods, reason = "ends by itself: connecting has its time")]
    let task = tokio::spawn(async move {
        if let Some(begin) = begin {
            sleep_until(begin).await;
        }
        connect(&authority).await
    });
    let made = task.map(|ended| ended.unwrap_or_else(|panic| Err(io::Error::other(panic))));
    made.map(|made| made.map_err(|cause| Unreachable { cause: Arc::new(cause), at: Instant::now() })).boxed().shared()
}

async fn connect(authority: &Authority) -> io::Result<SendRequest<Bytes>> {
    let host = authority.host().trim_matches(['[', ']']);
    let addresses: Vec<_> = timeout(CONNECT, lookup_host((host, authority.port_u16().unwrap_or(PORT)))).await??.collect();
    let mut connected = Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    for address in &addresses {
        // One that is silent leaves the others their part of the time.
        let part = CONNECT / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
        connected = timeout(part, TcpStream::connect(address)).await.unwrap_or_else(|late| Err(late.into()));
        if connected.is_ok() {
            break;
        }
    }
    let socket = connected?;
    socket.set_nodelay(true)?;
    begin(socket).await.map_err(io::Error::other)
}

/// Begins HTTP/2 on `socket`, and drives it in a task until it ends, its peer is silent, or nobody is left to use it.
async fn begin(socket: TcpStream) -> Result<SendRequest<Bytes>, h2::Error> {
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
