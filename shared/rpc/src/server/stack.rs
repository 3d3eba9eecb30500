//! What every call passes through, from its headers to its answer, in one place and in this order: time, request id and trace, who calls, its
//! message, a place, the handler. Refused on the way, it is told and answered like any other.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use authz::Authorizer;
use bytes::Bytes;
use contract::Authn;
use futures::FutureExt;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use metrics::Gauge;
use runtime::{Ids, Shutdown};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service;
use tracing::Instrument;

use super::Callers;
use super::bare::{self, Sizes};
use super::body::{AnswerBody, OpenCall, RequestBody, panic_text};
use super::front::{Entry, Front};
use super::probes::Probes;
use super::record::Record;
use super::route::{Class, Route, Table};
use crate::authn::{GATEWAY, MUSTER_PEER};
use crate::fleeting;
use crate::limit::message::Message;
use crate::limit::{Lane, Limiter, Place};
use crate::request_id::{self, REQUEST_ID};
use crate::trace::{TRACEPARENT, Trace};
use crate::{CallContext, Deadline, Error, Subject};

const CLIENT_ADDRESS: &str = "muster-client-address";
const CLIENT_AGENT: &str = "muster-user-agent";
/// The longest user agent that is kept, in bytes.
const AGENT_BYTES_MAX: usize = 256;

/// One listener's calls.
pub(super) struct Stack {
    pub(super) service: &'static str,
    pub(super) table: Table,
    pub(super) routes: Routes,
    pub(super) callers: Callers,
    pub(super) authorizer: Authorizer,
    pub(super) limiter: Arc<Limiter>,
    pub(super) ids: Ids,
    pub(super) in_flight: Gauge,
    pub(super) response_bytes_max: usize,
    pub(super) shutdown: Shutdown,
    /// What sees requests first; nothing but on the main port of the edge.
    pub(super) front: Option<Arc<dyn Front>>,
    /// What answers plain HTTP; nothing on the main port of a service.
    pub(super) http: Option<Probes>,
}

impl Stack {
    pub(super) async fn answer(&self, request: Request<Incoming>, remote: SocketAddr) -> Response<AnswerBody> {
        let entry = match &self.front {
            Some(front) => front.enter(request),
            None => Entry::AsIs(request),
        };
        match entry {
            Entry::AsIs(request) if is_grpc(&request) => self.grpc(request, remote).await,
            Entry::AsIs(request) => {
                let answer = match &self.http {
                    Some(http) => http.answer(request.method(), request.uri().path()),
                    None => empty(StatusCode::UNSUPPORTED_MEDIA_TYPE),
                };
                answer.map(AnswerBody::closed)
            }
            Entry::Call(request, dress) => dress(self.grpc(request, remote).await.map(Body::new)).map(AnswerBody::closed),
            Entry::Answered(answer) => answer.map(AnswerBody::closed),
            Entry::Answering(answer) => answer.await.map(AnswerBody::closed),
        }
    }

    async fn grpc<B: Read>(&self, request: Request<B>, remote: SocketAddr) -> Response<AnswerBody> {
        let (parts, body) = request.into_parts();
        let headers = &parts.headers;
        let route = self.table.find(parts.uri.path()).clone();
        let mut record = Record::begin(route.clone(), self.in_flight.clone());
        let mut context = self.context(&route, headers);
        let span = context.trace.span().clone();
        let admitted = match Deadline::of_call(headers, route.policy.deadline_default, route.policy.deadline_max) {
            Ok(deadline) => {
                context.deadline = deadline;
                deadline.limit(self.admit(&route, headers, body, remote, &mut context)).await.flatten()
            }
            Err(error) => Err(error),
        };
        let context = Arc::new(context);
        record.attach(context.clone());
        let request_id = HeaderValue::try_from(context.request_id()).ok().map(fleeting);
        let mut answer = match admitted {
            Ok((body, place)) => self.call(route, Request::from_parts(parts, body), context, record, place).instrument(span).await,
            Err(error) => refuse(&context, record, error),
        };
        if let Some(request_id) = request_id {
            answer.headers_mut().insert(HeaderName::from_static(REQUEST_ID), request_id);
        }
        answer
    }

    fn context(&self, route: &Route, headers: &HeaderMap) -> CallContext {
        let request_id = request_id::of(headers, &self.ids);
        let parent = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok());
        // Two of them are none: who wrote the second?
        let parent = parent.filter(|_| headers.get_all(TRACEPARENT).iter().nth(1).is_none());
        let (policy, method) = (route.policy, route.meters.method());
        let trace = Trace::begin(parent, || tracing::info_span!("rpc", service = self.service, method, request_id = &*request_id));
        CallContext::new(policy, request_id, trace, Deadline::after(policy.deadline_default), self.authorizer.clone())
    }

    /// Finds out who calls, reads the message, and finds a place: in this order, so that only a call that can begin at once holds one.
    async fn admit<B: Read>(
        &self,
        route: &Route,
        headers: &HeaderMap,
        body: B,
        remote: SocketAddr,
        context: &mut CallContext,
    ) -> Result<(Sent, Option<Place>), Error> {
        if route.class == Class::Unknown {
            return Err(Error::MethodUnknown);
        }
        self.limiter.in_time(context.deadline)?;
        if route.class == Class::Suite {
            self.identify(headers, remote, context).await?;
        }
        let sent = match route.class {
            Class::Reflection => Sent::Coming(Body::new(body)),
            _ => Sent::Whole(self.limiter.read(body, route.request_bytes_max, context.deadline).await?),
        };
        if route.class == Class::Health && !route.policy.server_streaming {
            return Ok((sent, None));
        }
        let lane = Lane::of(route.policy, context.peer.as_deref());
        Ok((sent, Some(self.limiter.admit(lane, &context.subject, context.deadline).await?)))
    }

    async fn identify(&self, headers: &HeaderMap, remote: SocketAddr, context: &mut CallContext) -> Result<(), Error> {
        context.client_address = Some(remote.ip().to_canonical().to_string().into());
        context.user_agent = text(headers, USER_AGENT.as_str());
        let Callers::Verified(verifier) = &self.callers else {
            // What the message and its status mean is the upstream's to say.
            context.set_opened();
            return Ok(());
        };
        if let Some(token) = only(headers, MUSTER_PEER).map_err(|()| Error::PeerTokenInvalid)? {
            let peer = verifier.peer(token)?;
            if &*peer == GATEWAY {
                let address = text(headers, CLIENT_ADDRESS).and_then(|text| text.parse::<IpAddr>().ok());
                context.client_address = address.map(|address| address.to_string().into()).or(context.client_address.take());
                context.user_agent = text(headers, CLIENT_AGENT);
            }
            context.peer = Some(peer);
        }
        match context.policy.authn {
            Authn::Public | Authn::Unspecified => {}
            Authn::ServiceOnly => {
                let peer = context.peer.as_deref().ok_or(Error::PeerTokenInvalid)?;
                if !context.policy.callers.contains(&peer) {
                    return Err(Error::Denied);
                }
                context.subject = Subject::Service(Cow::Owned(peer.to_owned()));
            }
            Authn::Required => {
                let header = only(headers, AUTHORIZATION.as_str()).map_err(|()| Error::TokenInvalid)?.ok_or(Error::CredentialsMissing)?;
                let token = verifier.subject(header).await?;
                if context.policy.is_sensitive() {
                    verifier.require_current_to_the_second()?;
                }
                context.subject = Subject::User(token.user_id);
                context.auth_age = verifier.auth_age(&token);
                context.token = Some(token);
                context.authorization = Some(header.clone());
            }
        }
        Ok(())
    }

    /// The handler's answer: the method's own, or that of what passes it on.
    async fn handle(&self, route: &Route, request: Request<Sent>, context: Arc<CallContext>) -> Response<Body> {
        let (mut head, sent) = request.into_parts();
        let body = match (sent, &self.front) {
            (Sent::Whole(message), Some(front)) if route.class == Class::Suite => {
                return front.pass_on(Request::from_parts(head, message)).await;
            }
            (Sent::Whole(message), _) => Body::new(message),
            (Sent::Coming(body), _) => Body::new(RequestBody::new(body, route.request_bytes_max, context.clone())),
        };
        head.extensions.insert(context);
        let Ok(answer) = self.routes.clone().call(Request::from_parts(head, body)).await;
        answer
    }

    /// Runs the handler, within the call's time and so that a panic ends the call alone.
    async fn call(
        &self,
        route: Arc<Route>,
        request: Request<Sent>,
        context: Arc<CallContext>,
        mut record: Record,
        place: Option<Place>,
    ) -> Response<AnswerBody> {
        let handler = AssertUnwindSafe(self.handle(&route, request, context.clone())).catch_unwind();
        let answered = context.deadline.limit(context.clone().scope(handler)).await;
        let mut answer = match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(panic)) => return refuse(&context, record, Error::Internal(format!("the handler panicked: {}", panic_text(&*panic)))),
            Err(error) => return refuse(&context, record, error),
        };
        let sizes = Sizes { request: route.request_bytes_max, response: self.response_bytes_max };
        let ended = match route.class {
            Class::Suite => context.enter(|| bare::dress(answer.headers_mut(), &context, sizes)),
            Class::Health | Class::Reflection | Class::Unknown => bare::code(answer.headers()),
        };
        match ended {
            Some(code) => {
                record.finish(code);
                answer.map(AnswerBody::closed)
            }
            None => {
                let call = OpenCall::new(
                    context,
                    record,
                    place,
                    sizes,
                    self.shutdown.clone(),
                    self.callers.verifier().cloned(),
                    self.limiter.answers.clone(),
                );
                answer.map(|body| AnswerBody::open(body, call))
            }
        }
    }
}

/// A request's body as it comes.
trait Read: http_body::Body<Data = Bytes, Error: Into<tonic::codegen::StdError>> + Send + Unpin + 'static {}

impl<B: http_body::Body<Data = Bytes, Error: Into<tonic::codegen::StdError>> + Send + Unpin + 'static> Read for B {}

/// What the client sends.
enum Sent {
    /// One message, which is there.
    Whole(Message),
    /// Messages that are read as they come.
    Coming(Body),
}

/// Whether the request is a gRPC call at all. Source: gRPC over HTTP/2, "Requests".
fn is_grpc(request: &Request<Incoming>) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    request.version() == Version::HTTP_2
        && request.method() == Method::POST
        && content_type
            .and_then(|text| text.strip_prefix(b"application/grpc"))
            .is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// The one value of a header; an error when there are several, since nobody knows which one the others read.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() { Err(()) } else { Ok(first) }
}

fn text(headers: &HeaderMap, name: &str) -> Option<Box<str>> {
    let text = headers.get(name)?.to_str().ok()?;
    Some(text.get(..AGENT_BYTES_MAX).unwrap_or(text).into())
}

fn refuse(context: &Arc<CallContext>, mut record: Record, error: Error) -> Response<AnswerBody> {
    let status = context.enter(|| context.trace.span().in_scope(|| Status::from(error)));
    let code = status.code();
    record.finish(code);
    let mut answer = empty(StatusCode::OK);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    bare::write(answer.headers_mut(), &status);
    answer.map(AnswerBody::closed)
}

pub(super) fn empty(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = status;
    answer
}
