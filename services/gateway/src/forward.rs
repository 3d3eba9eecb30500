//! A call on its way to the service that owns its method, and its answer on the way back. Nothing is decoded.

use std::net::{IpAddr, Ipv4Addr};

use contract::MethodPolicy;
use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use rpc::{CallContext, Error, Message};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::Service;

use crate::answer::{Answer, Coming, Unread};
use crate::client_address::{FORWARDED_FOR, TrustedProxies};
use crate::retry::{self, Kept, Retries};
use crate::upstream::{Upstream, Upstreams};

const STATUS: &str = "grpc-status";
/// How often a call was sent before. Source: gRPC proposal A6.
const ATTEMPTS: &str = "grpc-previous-rpc-attempts";
/// Headers that only the suite's own services may send: what comes in under this prefix is forged.
const OWN_PREFIX: &str = "muster-";
const CLIENT_ADDRESS: &str = "muster-client-address";
const CLIENT_AGENT: &str = "muster-user-agent";
/// Other words for where a call came from. Nobody behind the edge reads them, and nobody shall begin to.
const SOURCES: [&str; 5] = ["forwarded", FORWARDED_FOR, "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];

/// Passes calls on.
#[derive(Debug)]
pub(crate) struct Forward {
    upstreams: Upstreams,
    proxies: TrustedProxies,
    retries: Retries,
    unread: Unread,
}

impl Forward {
    /// To `upstreams`, some calls twice, as `retries` has it; what `proxies` say of where a call comes from is believed. Answers that nobody reads
    /// are held within `unread`.
    pub(crate) fn new(upstreams: Upstreams, proxies: TrustedProxies, retries: Retries, unread: Unread) -> Self {
        Self { upstreams, proxies, retries, unread }
    }

    /// The answer to `call`, whatever its path. Which paths there are is the server's to say.
    pub(crate) async fn answer(&self, call: Request<Message>) -> Response<Body> {
        self.pass_on(call).await.unwrap_or_else(|error| Status::from(error).into_http())
    }

    async fn pass_on(&self, mut request: Request<Message>) -> Result<Response<Body>, Error> {
        let context = CallContext::current().ok_or_else(|| Error::Internal("a call without a context".to_owned()))?;
        let policy: &MethodPolicy = context.policy();
        let upstream = self.upstreams.get(policy.owner).ok_or(Error::MethodUnknown)?;
        let address = self.rewrite(request.headers_mut(), &context);
        upstream.budget.earn();
        let (mut parts, message) = request.into_parts();
        match self.retries.keep(policy, message).await {
            Kept::Once(body) => self.send(upstream, policy, address, Request::from_parts(parts, body)).await,
            Kept::Twice(message) => {
                let body = || Body::new(Full::new(message.clone()));
                let answered = self.send(upstream, policy, address, Request::from_parts(parts.clone(), body())).await;
                if !is_away(&answered) || !upstream.budget.spend() {
                    return answered;
                }
                metrics::counter!("muster_gateway_retries_total", "service" => crate::NAME, "upstream" => upstream.name).increment(1);
                retry::wait().await;
                parts.headers.insert(ATTEMPTS, HeaderValue::from_static("1"));
                self.send(upstream, policy, address, Request::from_parts(parts, body())).await
            }
        }
    }

    /// Sends `request` of the client at `address`; its answer ends with a status whatever becomes of it.
    async fn send(
        &self,
        upstream: &Upstream,
        policy: &MethodPolicy,
        address: IpAddr,
        request: Request<Body>,
    ) -> Result<Response<Body>, Error> {
        let (mut channel, place) = upstream.place().ok_or_else(Error::overloaded)?;
        let answer = channel.call(request).await.map_err(|status| lost(upstream.name, status))?;
        if answer.status() != StatusCode::OK {
            return Err(Error::unavailable(upstream.name, format!("answered HTTP {}", answer.status())));
        }
        if is_older(answer.headers()) {
            return Err(Error::MethodUnknown);
        }
        let (head, frames) = answer.into_parts();
        if head.headers.contains_key(STATUS) {
            return Ok(Response::from_parts(head, Body::empty()));
        }
        let coming = Coming::new(frames, upstream.name, place);
        let answer = match policy.server_streaming {
            true => Answer::stream(coming),
            false => Answer::read_ahead(coming, policy, &self.unread, address).await?,
        };
        Ok(Response::from_parts(head, Body::new(answer)))
    }

    /// What goes on: the client's headers, less what it may not say, and where it is, which is answered too.
    fn rewrite(&self, headers: &mut HeaderMap, context: &CallContext) -> IpAddr {
        let peer = context.client_address().and_then(|address| address.parse().ok());
        let address = self.proxies.client(peer.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), headers);
        let forged: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with(OWN_PREFIX)).cloned().collect();
        for name in forged {
            headers.remove(name);
        }
        for name in SOURCES {
            headers.remove(name);
        }
        headers.remove(HOST);
        headers.remove(USER_AGENT);
        let mut insert = |name, text: &str| HeaderValue::from_str(text).map(|value| headers.insert(name, value)).is_ok();
        insert(CLIENT_ADDRESS, &address.to_string());
        if let Some(agent) = context.user_agent() {
            insert(CLIENT_AGENT, agent);
        }
        address
    }
}

/// Whether nothing of an answer came because the service is away, or says that it takes no calls.
fn is_away(answered: &Result<Response<Body>, Error>) -> bool {
    match answered {
        Ok(answer) => answer.headers().get(STATUS).is_some_and(|status| Code::from_bytes(status.as_bytes()) == Code::Unavailable),
        Err(error) => matches!(error, Error::Unavailable { .. }),
    }
}

/// Why a call got no answer, or not all of it: its time ran out, or the service is away.
pub(crate) fn lost(name: &'static str, status: Status) -> Error {
    match status.code() {
        Code::DeadlineExceeded => Error::DeadlineExceeded,
        _ => Error::unavailable(name, status),
    }
}

/// Whether the answer is that of a service which does not know the method: an older one than this edge. The suite's own say so with a reason.
fn is_older(headers: &HeaderMap) -> bool {
    let code = headers.get(STATUS).map(|value| Code::from_bytes(value.as_bytes()));
    code == Some(Code::Unimplemented) && !headers.contains_key("grpc-status-details-bin")
}
