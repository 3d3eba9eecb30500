//! Errors on their way to the wire: one trait, one function, one place where a `tonic::Status` is made.
//!
//! Three lanes. A *rejection* is the caller's doing or a business rule: a stable reason, logged at debug. A *transient* fault may pass
//! (`UNAVAILABLE`, `DEADLINE_EXCEEDED`, whatever carries RetryInfo): logged as a warning with its causes. A *fatal* one is ours: `INTERNAL` with a
//! neutral text, the chain of causes logged once.
//!
//! Deliberately absent: a service's own errors. Each has one enum that implements [`Fault`] and turns into a `Status` through [`status`].

mod code;
mod common;
pub(crate) mod details;

use std::time::Duration;

use contract::Violation;
use tonic::Status;

pub use code::{Code, Reason};
pub use common::Error;

use crate::CallContext;

/// An error that knows what to say on the wire. `Display` is for the client; the chain of sources is for the log.
pub trait Fault: std::error::Error {
    /// The code and the reason a client may act on.
    fn status(&self) -> (Code, Reason);

    /// The fields that break a rule; none unless the reason is about fields. Never what a field held.
    fn violations(&self) -> Vec<Violation> {
        Vec::new()
    }

    /// How long the client should wait before it tries again.
    fn retry_after(&self) -> Option<Duration> {
        None
    }

    /// What is variable in the message, by name, for a client that shows its own text.
    fn metadata(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// The `Status` of `fault`, with google.rpc details: exactly one ErrorInfo, and BadRequest, RetryInfo and RequestInfo where they apply.
///
/// It logs the fault in its lane, so call it once, at the edge: `impl From<Error> for Status { … rpc::status(&error) }`. In debug builds it
/// panics for a reason that the method does not declare, so that every test of every service holds the contract against the code.
/// Source: AIP-193.
pub fn status<F: Fault>(fault: &F) -> Status {
    let (code, reason) = fault.status();
    let context = CallContext::current();
    let request_id = context.as_ref().map(|context| context.request_id());
    log(fault, code, reason, request_id.unwrap_or_default());
    if let Some(context) = &context {
        debug_assert!(reason.is_declared(context.policy), "{} answers {}, undeclared", context.policy.path, reason.wire);
        context.set_reason(reason);
    }
    let message = if code == Code::Internal { "internal error".to_owned() } else { fault.to_string() };
    details::status(code, message, reason, fault, request_id)
}

fn log<F: Fault>(fault: &F, code: Code, reason: Reason, request_id: &str) {
    let reason = reason.wire;
    match code {
        Code::Internal => tracing::error!(request_id, reason, error = %Chain(fault), "call failed"),
        Code::Unavailable | Code::DeadlineExceeded => tracing::warn!(request_id, reason, error = %Chain(fault), "call can't be served now"),
        _ if fault.retry_after().is_some() => tracing::warn!(request_id, reason, error = %Chain(fault), "call can't be served now"),
        _ => tracing::debug!(request_id, reason, error = %fault, "call rejected"),
    }
}

/// An error with its causes, each after a colon, but none that only repeats the one before.
struct Chain<'a, F>(&'a F);

impl<F: std::error::Error> std::fmt::Display for Chain<'_, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if text != said {
                write!(f, ": {text}")?;
            }
            (said, source) = (text, cause.source());
        }
        Ok(())
    }
}
