//! The few codes the suite answers, and the names that go with them.

use contract::{MethodPolicy, WireReason};

/// A gRPC status code that the suite answers. Few on purpose: a client acts on the [`Reason`], a proxy on the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// The request breaks a rule; sending it again can't help.
    InvalidArgument,
    /// Who calls is not known.
    Unauthenticated,
    /// The caller is known and may not.
    PermissionDenied,
    /// No such thing, or none the caller may know of.
    NotFound,
    /// There is one already.
    AlreadyExists,
    /// Not in the state it is in.
    FailedPrecondition,
    /// Somebody else was faster; read again.
    Aborted,
    /// Past the end of what is kept.
    OutOfRange,
    /// Too much at once, or too large.
    ResourceExhausted,
    /// Away for the moment.
    Unavailable,
    /// The time of the call ran out.
    DeadlineExceeded,
    /// No such method.
    Unimplemented,
    /// A fault of ours.
    Internal,
}

impl From<Code> for tonic::Code {
    fn from(code: Code) -> Self {
        match code {
            Code::InvalidArgument => Self::InvalidArgument,
            Code::Unauthenticated => Self::Unauthenticated,
            Code::PermissionDenied => Self::PermissionDenied,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists => Self::AlreadyExists,
            Code::FailedPrecondition => Self::FailedPrecondition,
            Code::Aborted => Self::Aborted,
            Code::OutOfRange => Self::OutOfRange,
            Code::ResourceExhausted => Self::ResourceExhausted,
            Code::Unavailable => Self::Unavailable,
            Code::DeadlineExceeded => Self::DeadlineExceeded,
            Code::Unimplemented => Self::Unimplemented,
            Code::Internal => Self::Internal,
        }
    }
}

impl From<tonic::Code> for Code {
    /// What is none of the few (CANCELLED, UNKNOWN, DATA_LOSS, and OK, which is no error) becomes `Internal`.
    fn from(code: tonic::Code) -> Self {
        match code {
            tonic::Code::InvalidArgument => Self::InvalidArgument,
            tonic::Code::Unauthenticated => Self::Unauthenticated,
            tonic::Code::PermissionDenied => Self::PermissionDenied,
            tonic::Code::NotFound => Self::NotFound,
            tonic::Code::AlreadyExists => Self::AlreadyExists,
            tonic::Code::FailedPrecondition => Self::FailedPrecondition,
            tonic::Code::Aborted => Self::Aborted,
            tonic::Code::OutOfRange => Self::OutOfRange,
            tonic::Code::ResourceExhausted => Self::ResourceExhausted,
            tonic::Code::Unavailable => Self::Unavailable,
            tonic::Code::DeadlineExceeded => Self::DeadlineExceeded,
            tonic::Code::Unimplemented => Self::Unimplemented,
            tonic::Code::Internal | tonic::Code::Ok | tonic::Code::Cancelled | tonic::Code::Unknown | tonic::Code::DataLoss => {
                Self::Internal
            }
        }
    }
}

/// The stable name of an error: what a client may act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reason {
    /// Whose reason it is: `identity.muster`; `muster` for reasons any service may answer.
    pub domain: &'static str,
    /// Its name on the wire: `LAST_OWNER`.
    pub wire: &'static str,
}

impl Reason {
    /// Whether a method with `policy` says in the contract that it may answer this; what is no method's answer need not be said.
    pub(crate) fn is_declared(self, policy: &MethodPolicy) -> bool {
        let anybodys = self.domain == contract::common::v1::Reason::DOMAIN;
        anybodys || policy.reasons.contains(&self.wire) || std::ptr::eq(policy, &crate::background::BACKGROUND)
    }
}

impl<R: WireReason> From<R> for Reason {
    fn from(reason: R) -> Self {
        Self { domain: R::DOMAIN, wire: reason.wire() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_declares_its_own_reasons_and_no_other() {
        let policy = contract::METHODS.iter().find(|policy| !policy.reasons.is_empty()).unwrap();
        let own = |wire| Reason { domain: "tests.muster", wire };
        assert!(own(policy.reasons[0]).is_declared(policy));
        assert!(!own("NO_SUCH_REASON").is_declared(policy));
        assert!(Reason::from(contract::common::v1::Reason::NotReady).is_declared(policy), "any method may answer it");
    }
}
