//! What is known of the call that runs now, where code that was handed nothing can find it: storage takes its deadline from here, client
//! channels its credentials and trace.
//!
//! A context is made by the server stack for a call and by [`CallContext::background`] for work that no call waits for. It is a task-local:
//! a task spawned from a handler starts without one, which is right, because it outlives the call.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use authz::Authorizer;
use contract::MethodPolicy;
use contract::common::v1::EventEnvelope;
use http::HeaderValue;
use runtime::Ids;
use uuid::Uuid;

use crate::authn::AccessToken;
use crate::trace::Trace;
use crate::{Deadline, Reason, Subject};

tokio::task_local! {
    static CURRENT: Arc<CallContext>;
}

/// The surroundings of one call.
#[derive(Debug)]
pub struct CallContext {
    pub(crate) policy: &'static MethodPolicy,
    pub(crate) subject: Subject,
    pub(crate) token: Option<Arc<AccessToken>>,
    /// How long before the call the token's session was authenticated, as far as the token says.
    pub(crate) auth_age: Option<time::Duration>,
    pub(crate) peer: Option<Arc<str>>,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) request_id: Box<str>,
    pub(crate) trace: Trace,
    pub(crate) causation_id: Option<Uuid>,
    pub(crate) client_address: Option<Box<str>>,
    pub(crate) user_agent: Option<Box<str>>,
    pub(crate) deadline: Deadline,
    pub(crate) authorizer: Authorizer,
    opened: AtomicBool,
    reason: OnceLock<Reason>,
}

impl CallContext {
    pub(crate) fn new(
        policy: &'static MethodPolicy,
        request_id: Box<str>,
        trace: Trace,
        deadline: Deadline,
        authorizer: Authorizer,
    ) -> Self {
        Self {
            policy,
            subject: Subject::Anonymous,
            token: None,
            auth_age: None,
            peer: None,
            authorization: None,
            request_id,
            trace,
            causation_id: None,
            client_address: None,
            user_agent: None,
            deadline,
            authorizer,
            opened: AtomicBool::new(false),
            reason: OnceLock::new(),
        }
    }

    /// The context of work that no call waits for: a worker's round, or an event that is taken in. With a `cause`, its request id and trace go
    /// on, so that what follows from a request can be found by it.
    pub fn background(service: &'static str, cause: Option<&EventEnvelope>, time: Duration) -> Self {
        let request_id = cause.map(|cause| cause.request_id.as_str()).filter(|id| !id.is_empty());
        let request_id = request_id.map_or_else(|| Ids::system().next().to_string(), str::to_owned);
        let trace = Trace::after(cause.map(|cause| cause.traceparent.as_str()));
        let (policy, authorizer) = (&crate::background::BACKGROUND, crate::background::nobody());
        let mut context = Self::new(policy, request_id.into(), trace, Deadline::after(time), authorizer);
        context.subject = Subject::Service(Cow::Borrowed(service));
        context.causation_id = cause.and_then(|cause| Uuid::try_parse(&cause.event_id).ok());
        context
    }

    /// Runs `future` with this context.
    pub async fn scope<F: Future>(self: Arc<Self>, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }

    /// Calls `f` with this context.
    pub(crate) fn enter<R>(self: &Arc<Self>, f: impl FnOnce() -> R) -> R {
        CURRENT.sync_scope(self.clone(), f)
    }

    /// The context of the call that runs now.
    pub fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// The method's policy.
    pub fn policy(&self) -> &'static MethodPolicy {
        self.policy
    }

    /// The network address that the call came from, as far as it is known.
    pub fn client_address(&self) -> Option<&str> {
        self.client_address.as_deref()
    }

    /// What the client says it is.
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }

    /// When the call's time runs out.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// The `x-request-id` of the call.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The W3C `traceparent` to pass on.
    pub fn traceparent(&self) -> &str {
        self.trace.parent()
    }

    /// The subject's `authorization`, to be forwarded unchanged.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Keeps the reason of the first error, for the access log.
    pub(crate) fn set_reason(&self, reason: Reason) {
        let _ = self.reason.set(reason);
    }

    pub(crate) fn reason(&self) -> Option<Reason> {
        self.reason.get().copied()
    }

    /// Notes that the message was read and the handler runs: a bare status before that is about the message, after that it is ours.
    pub(crate) fn set_opened(&self) {
        self.opened.store(true, Ordering::Relaxed);
    }

    pub(crate) fn opened(&self) -> bool {
        self.opened.load(Ordering::Relaxed)
    }
}

/// The context of a call of the method at `path` by nobody, which no server made.
#[cfg(test)]
pub(crate) fn test_context(path: &str) -> CallContext {
    let policy = contract::method(path).expect("a method of the contract");
    CallContext::new(policy, "test".into(), Trace::after(None), Deadline::after(Duration::from_secs(60)), Authorizer::new())
}
