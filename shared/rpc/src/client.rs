//! The channel by which one service calls another.
//!
//! Every call goes out with a deadline (what is left of the call that it is made for, less a margin, so that this side can still say which call
//! took too long), with this service's peer token for that peer, with the subject's `authorization` unchanged, and with request id and trace. All
//! of it comes from the task-local [`CallContext`]; without one a call gets its method's default time and a trace of its own.
//!
//! Deliberately absent: retries. One layer retries, the edge; a loop of a feed tries again by itself, with backoff.

mod address;
mod connection;
mod exchange;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::uri::{Parts, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, Version};
use http_body::Frame;
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use crate::authn::{MUSTER_PEER, PeerKeys};
use crate::deadline::{self, GRPC_TIMEOUT};
use crate::request_id::REQUEST_ID;
use crate::trace::TRACEPARENT;
use crate::{CallContext, Deadline, Error, fleeting};
use address::Address;
use connection::Connection;
use exchange::Incoming;

pub use address::{Names, NoAddress};

/// What a hop keeps of its time for itself. Source: field note reliability, 7.1.
const MARGIN: Duration = Duration::from_millis(10);
/// The time of a call to a method without a policy.
const DEFAULT: Duration = Duration::from_secs(5);
/// Answers on one connection that may stay unread without stopping one that is read. A peer takes 100 streams on one, unless it is set otherwise.
pub const UNREAD_MAX: u32 = 128;
/// What a peer may send of one answer before this side has read of it, in bytes; and of all together on a connection.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = UNREAD_MAX * STREAM_WINDOW_BYTES;
/// What a peer is told that it is called by.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("muster/", env!("CARGO_PKG_VERSION")));

/// A channel to one peer, for generated clients: `ProductServiceClient::new(channel)`. Cheap to clone; clones share one connection.
#[derive(Clone)]
pub struct Channel {
    connection: Connection,
    peer: Arc<str>,
    keys: PeerKeys,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel")
            .field("peer", &self.peer)
            .field("authority", self.connection.address().authority())
            .finish_non_exhaustive()
    }
}

/// A channel to the service `peer` at `uri` (`http://host:port`), which proves with `keys` who calls. It connects when it is first used, and again
/// whenever it must.
///
/// # Errors
/// `uri` is none, or one of another form.
pub fn channel(peer: &str, uri: &str, keys: &PeerKeys) -> Result<Channel, NoAddress> {
    Ok(channels(&Names::system(), peer, uri, keys, 1)?.remove(0))
}

/// `count` such channels, each with a connection of its own. Where `names` knows several addresses they take them in turns, beginning anywhere.
///
/// # Errors
/// `uri` is none, or one of another form.
pub fn channels(names: &Names, peer: &str, uri: &str, keys: &PeerKeys, count: usize) -> Result<Vec<Channel>, NoAddress> {
    let first = usize::from(rand::random::<u16>());
    let channel = |turn| {
        let connection = Connection::new(Address::new(names, uri, turn)?);
        Ok(Channel { connection, peer: peer.into(), keys: keys.clone() })
    };
    (first..first + count).map(channel).collect()
}

impl Service<Request<Body>> for Channel {
    type Response = Response<InTime>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    /// Always: waiting for the connection is part of the call, so that its time counts.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let context = CallContext::current();
        let prepared = self.prepare(&mut request, context.as_deref());
        let connection = self.connection.clone();
        Box::pin(async move {
            let deadline = prepared?;
            let called = async { exchange::send(connection.ready().await?, request).await };
            let answer = deadline.limit(called).await??;
            Ok(answer.map(|frames| InTime { frames: Some(frames), deadline, timer: None }))
        })
    }
}

impl Channel {
    /// Writes what goes out with every call; answers when its time runs out.
    fn prepare(&self, request: &mut Request<Body>, context: Option<&CallContext>) -> Result<Deadline, Error> {
        let deadline = time_of(request, context);
        let remaining = deadline.remaining();
        if remaining.is_zero() {
            return Err(Error::DeadlineExceeded);
        }
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.target(request.uri())?;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, AGENT);
        headers.insert(GRPC_TIMEOUT, fleeting(deadline::format(remaining)));
        // The same for half a minute, so that HTTP/2 may index it: what is 300 bytes the first time is one from then on. That is kept from short
        // secrets, which can be guessed by it (RFC 7541, 7.1); nobody guesses a signature.
        let mut token = self.keys.sign(&self.peer)?;
        token.set_sensitive(false);
        headers.insert(MUSTER_PEER, token);
        if let Some(context) = context {
            if let Some(authorization) = context.authorization() {
                headers.entry(AUTHORIZATION).or_insert_with(|| authorization.clone());
            }
            insert(headers, REQUEST_ID, context.request_id());
            insert(headers, TRACEPARENT, context.traceparent());
        } else if let Some(traceparent) = runtime::telemetry::traceparent() {
            insert(headers, TRACEPARENT, &traceparent);
        }
        Ok(deadline)
    }

    /// The path of `uri`, at the peer.
    fn target(&self, uri: &Uri) -> Result<Uri, Error> {
        let mut parts = Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.connection.address().authority().clone());
        parts.path_and_query = uri.path_and_query().cloned();
        Uri::from_parts(parts).map_err(|error| Error::Internal(format!("a call without a path: {error}")))
    }
}

/// What is left of the call this one is made for, less the margin; what the request itself asks for; what the method allows: the least of it.
fn time_of(request: &Request<Body>, context: Option<&CallContext>) -> Deadline {
    let policy = contract::method(request.uri().path());
    let asked = request.headers().get(GRPC_TIMEOUT).and_then(deadline::parse);
    let allowed = match (asked, context) {
        (Some(asked), _) => asked,
        (None, Some(_)) => policy.map_or(DEFAULT, |policy| policy.deadline_max),
        (None, None) => policy.map_or(DEFAULT, |policy| policy.deadline_default),
    };
    let left = context.map(|context| Deadline::after(context.deadline().remaining().saturating_sub(MARGIN)));
    let own = Deadline::after(allowed);
    left.map_or(own, |left| left.or_sooner(own))
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    // Neither a request id nor a traceparent can hold what a header can't.
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(HeaderName::from_static(name), fleeting(value));
    }
}

/// The body of an answer, which breaks off when the call's time runs out, also when the peer is silent.
#[derive(Debug)]
pub struct InTime {
    /// None when its time ran out.
    frames: Option<Incoming>,
    deadline: Deadline,
    /// Made when the body first has to wait.
    timer: Option<Pin<Box<Sleep>>>,
}

impl http_body::Body for InTime {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(frames) = &mut self.frames else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(frames).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let at = self.deadline.instant();
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        ready!(timer.as_mut().poll(cx));
        self.frames = None;
        Poll::Ready(Some(Err(Error::DeadlineExceeded.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.frames.as_ref().is_none_or(http_body::Body::is_end_stream)
    }
}
