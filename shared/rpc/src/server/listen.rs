//! Connections: how many, how old, and how they end.
//!
//! Why not `tonic::transport::Server`: it can't bound the time of a graceful stop (an idle socket holds it for ever), keeps its connections out of
//! reach when that time is over, spins when the process runs out of file descriptors, and answers its own deadline with CANCELLED (field note
//! reliability, 2: traps 1, 3, 4, 6, 7b). hyper underneath is the same; its limits are set here by hand, one by one.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use rand::Rng;
use runtime::Shutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::AnswerBody;
use super::limits::Limits;
use super::stack::Stack;
use super::unread::{self, Patient};
use crate::limit::share::{Shares, subscriber};

/// How long nothing is accepted after an error, so that a process without file descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the calls of a connection may outlive its age: no policy allows a longer stream.
const AGE_GRACE: Duration = Duration::from_secs(3600 + 300);
/// Calls of one connection that were given up before the server saw them, at most; over it the connection ends. So many find a server that stood
/// still for five seconds: whatever of `connection_streams_max` is given up after a second has its place taken by another. With h2's own bound, 20, it
/// would wake to end the connections of all who still wait.
const GIVEN_UP_UNSEEN_MAX: usize = 500;
/// The beginning of an HTTP/2 connection. Source: RFC 9113, 3.4.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The shortest HTTP/1.1 request, in bytes: `GET / HTTP/1.1` and two line ends.
const HTTP1_BYTES_MIN: usize = 18;

/// One listener and its connections.
pub(super) struct Listen {
    pub(super) listener: TcpListener,
    pub(super) stack: Arc<Stack>,
    pub(super) limits: Arc<Limits>,
    /// Whether HTTP/1.1 is spoken too.
    pub(super) http1: bool,
    pub(super) connections_max: usize,
    pub(super) address_connections_max: usize,
    /// How long calls may go on once that was asked for.
    pub(super) drain: Duration,
    /// Asks connections to end.
    pub(super) shutdown: Shutdown,
}

/// What the tasks of a listener hold in common.
struct Connections {
    stack: Arc<Stack>,
    limits: Arc<Limits>,
    http1: bool,
    shutdown: Shutdown,
    /// Ends connections without asking.
    kill: CancellationToken,
    /// How many each address has.
    shares: Shares<IpAddr>,
    tasks: TaskTracker,
}

impl Listen {
    /// Serves until shutdown, then gives calls `drain`, then ends what is left. Answers how many connections and calls were left.
    pub(super) async fn run(self) -> usize {
        let Self { listener, stack, limits, http1, connections_max, address_connections_max, drain, shutdown } = self;
        let connections = Arc::new(Connections {
            stack,
            limits,
            http1,
            shutdown: shutdown.clone(),
            kill: CancellationToken::new(),
            shares: Shares::new(address_connections_max),
            tasks: TaskTracker::new(),
        });
        shutdown.or(accept(listener, &connections, connections_max)).await;
        connections.tasks.close();
        if tokio::time::timeout(drain, connections.tasks.wait()).await.is_ok() {
            return 0;
        }
        let left = connections.tasks.len();
        connections.kill.cancel();
        connections.tasks.wait().await;
        left
    }
}

/// Accepts for ever. The listener goes with it: from then on the kernel refuses.
async fn accept(listener: TcpListener, connections: &Arc<Connections>, connections_max: usize) {
    let places = Arc::new(Semaphore::new(connections_max));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, remote)) => {
                // One that has its share is hung up on: it is not to be told anything, and the others are to have the place.
                let Some(share) = connections.shares.take(&subscriber(remote.ip())) else {
                    metrics::counter!("muster_rpc_connections_refused_total", "service" => connections.stack.service).increment(1);
                    continue;
                };
                let connection = connections.clone();
                connections.tasks.spawn(async move {
                    connection.serve(stream, remote).await;
                    drop((place, share));
                });
            }
            Err(error) => {
                metrics::counter!("muster_rpc_accept_failures_total", "service" => connections.stack.service).increment(1);
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Connections {
    async fn serve(self: Arc<Self>, stream: TcpStream, remote: SocketAddr) {
        if stream.set_nodelay(true).is_err() {
            // The client is gone already.
            return;
        }
        let handshake = Duration::from_millis(self.limits.handshake_ms);
        let begun = self.shutdown.or(tokio::time::timeout(handshake, begins_as_http2(&stream, self.http1))).await;
        let Some(Ok(Ok(as_http2))) = begun else {
            return;
        };
        let io = TokioIo::new(Patient::new(stream, Duration::from_millis(self.limits.answer_read_ms)));
        let calls = Calls { stack: self.stack.clone(), remote };
        if as_http2 {
            let connection = self.http2().serve_connection(io, calls);
            self.drive(connection, http2::Connection::graceful_shutdown).await;
        } else {
            let connection = http1::Builder::new().timer(TokioTimer::new()).header_read_timeout(handshake).serve_connection(io, calls);
            self.drive(connection, http1::Connection::graceful_shutdown).await;
        }
    }

    fn http2(&self) -> http2::Builder<Spawn> {
        let limits = &self.limits;
        let mut builder = http2::Builder::new(Spawn {
            tasks: self.tasks.clone(),
            answer_read: Duration::from_millis(limits.answer_read_ms),
            service: self.stack.service,
        });
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.connection_streams_max)
            .max_pending_accept_reset_streams(GIVEN_UP_UNSEEN_MAX)
            .max_local_error_reset_streams(128)
            .max_header_list_size(16 * 1024)
            .max_frame_size(16 * 1024)
            .initial_stream_window_size(256 * 1024)
            .initial_connection_window_size(1024 * 1024)
            .max_send_buf_size(64 * 1024)
            .keep_alive_interval(Duration::from_millis(limits.keepalive_ms))
            .keep_alive_timeout(Duration::from_millis(limits.keepalive_timeout_ms));
        builder
    }

    /// Drives a connection to its end. It is asked to end at its age and at shutdown, and dropped long after the one or at the end of the other.
    async fn drive<C: Future<Output = hyper::Result<()>>>(&self, connection: C, ask_to_end: fn(Pin<&mut C>)) {
        let age = Duration::from_millis(self.limits.connection_age_ms).mul_f64(rand::rng().random_range(0.9..=1.1));
        let old = tokio::time::sleep(age);
        let too_old = tokio::time::sleep(age + AGE_GRACE);
        let mut asked = (false, false);
        tokio::pin!(connection, old, too_old);
        loop {
            tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended with an error");
                    }
                    return;
                }
                () = &mut old, if !asked.0 => {
                    asked.0 = true;
                    ask_to_end(connection.as_mut());
                }
                () = self.shutdown.requested(), if !asked.1 => {
                    asked.1 = true;
                    ask_to_end(connection.as_mut());
                }
                () = &mut too_old => return,
                () = self.kill.cancelled() => return,
            }
        }
    }
}

/// Waits for the first bytes of a connection, without taking them, and tells whether they begin HTTP/2. A client that says nothing waits here,
/// where time is limited, and not in a library's handshake, where it is not.
async fn begins_as_http2(stream: &TcpStream, http1: bool) -> std::io::Result<bool> {
    let mut first = [0; PREFACE.len()];
    loop {
        let read = stream.peek(&mut first).await?;
        let as_http2 = first[..read] == PREFACE[..read];
        match read {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ if http1 && !as_http2 && read >= HTTP1_BYTES_MIN => return Ok(false),
            _ if !http1 && !as_http2 => return Err(std::io::ErrorKind::InvalidData.into()),
            _ if read == PREFACE.len() => return Ok(true),
            // What is there stays there, so asking again at once would spin.
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// The calls of one connection.
struct Calls {
    stack: Arc<Stack>,
    remote: SocketAddr,
}

impl hyper::service::Service<Request<Incoming>> for Calls {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (stack, remote) = (self.stack.clone(), self.remote);
        Box::pin(async move { Ok(stack.answer(request, remote).await) })
    }
}

/// Spawns the streams of a connection where a stop can wait for them, and ends those that are not read.
#[derive(Clone)]
struct Spawn {
    tasks: TaskTracker,
    answer_read: Duration,
    service: &'static str,
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Spawn {
    fn execute(&self, stream: F) {
        let (answer_read, service) = (self.answer_read, self.service);
        self.tasks.spawn(async move {
            if unread::watched(stream, answer_read).await {
                metrics::counter!("muster_rpc_answers_unread_total", "service" => service).increment(1);
            }
        });
    }
}
