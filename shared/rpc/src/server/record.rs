//! What is told of every call, whatever became of it: one pair of metrics and one line in the access log, in the
//! call's span, which names method and request id. Ids alone: neither contents nor addresses, which are personal data.
//! A slow call has a second line, a warning.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use contract::MethodPolicy;
use metrics::{Counter, Gauge, Histogram};
use tokio::time::Instant;
use tonic::Code;
use tracing::field::display;

use super::route::{Class, Route};
use crate::CallContext;

/// The metrics of one method: handles, so that a call looks nothing up.
#[derive(Debug)]
pub(super) struct Meters {
    service: &'static str,
    method: &'static str,
    requests: [OnceLock<Counter>; 17],
    seconds: OnceLock<Histogram>,
}

impl Meters {
    pub(super) fn new(service: &'static str, path: &'static str) -> Self {
        let method = path.strip_prefix('/').unwrap_or(path);
        Self { service, method, requests: Default::default(), seconds: OnceLock::new() }
    }

    /// The method as labels and logs name it: `muster.tasks.v1.ProductService/GetProduct`.
    pub(super) fn method(&self) -> &'static str {
        self.method
    }

    fn count(&self, code: Code, started: Instant) {
        let (service, method) = (self.service, self.method);
        let requests = self.requests[code as usize % self.requests.len()]
            .get_or_init(|| metrics::counter!("muster_rpc_requests_total", "service" => service, "method" => method, "code" => name(code)));
        requests.increment(1);
        let seconds =
            self.seconds.get_or_init(|| metrics::histogram!("muster_rpc_duration_seconds", "service" => service, "method" => method));
        seconds.record(started.elapsed());
    }
}

/// The telling of one call. A call that nobody finishes was cancelled.
#[derive(Debug)]
pub(super) struct Record {
    route: Arc<Route>,
    started: Instant,
    in_flight: Gauge,
    context: Option<Arc<CallContext>>,
    told: bool,
}

impl Record {
    pub(super) fn begin(route: Arc<Route>, in_flight: Gauge) -> Self {
        in_flight.increment(1);
        Self { route, started: Instant::now(), in_flight, context: None, told: false }
    }

    /// Says whose call it is, as soon as that is known.
    pub(super) fn attach(&mut self, context: Arc<CallContext>) {
        self.context = Some(context);
    }

    /// Tells how the call ended. Only the first time counts.
    pub(super) fn finish(&mut self, code: Code) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        self.in_flight.decrement(1);
        let meters = &self.route.meters;
        meters.count(code, self.started);
        let Some(context) = self.context.as_deref() else {
            return;
        };
        let _in_span = context.trace.span().enter();
        let took = self.started.elapsed();
        let (outcome, duration_ms) = (name(code), took.as_secs_f64() * 1e3);
        let (reason, peer) = (context.reason().map(|reason| reason.wire), context.peer.as_deref());
        match &context.token {
            Some(token) => {
                let (actor, session, organization) = (display(token.user_id), display(token.session_id), display(token.organization_id));
                tracing::info!(target: "access", outcome, reason, duration_ms, actor, session, organization, peer, "call");
            }
            // A probe every few seconds is no news.
            None if self.route.class == Class::Health => tracing::debug!(target: "access", outcome, reason, duration_ms, "call"),
            None => tracing::info!(target: "access", outcome, reason, duration_ms, peer, "call"),
        }
        if is_slow(self.route.policy, took) {
            tracing::warn!(target: "access", outcome, duration_ms, "a slow call");
        }
    }
}

/// Whether a call took more than half of the time that its method grants who asks for none. A stream is as long as its caller likes.
fn is_slow(policy: &MethodPolicy, took: Duration) -> bool {
    !policy.server_streaming && took > policy.deadline_default / 2
}

impl Drop for Record {
    fn drop(&mut self) {
        self.finish(Code::Cancelled);
    }
}

/// The name of a code, as it stands in labels and logs.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_slow_beyond_half_of_its_usual_time_and_a_stream_never_is() {
        let policy = |name: &str| contract::METHODS.iter().find(|policy| policy.name == name).unwrap();
        let (get, watch) = (policy("GetWorkItem"), policy("WatchWorkItems"));
        let half = get.deadline_default / 2;
        assert!(!is_slow(get, half) && is_slow(get, half + Duration::from_millis(1)));
        assert!(!is_slow(watch, watch.deadline_max));
    }
}
