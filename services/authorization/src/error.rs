//! What can go wrong, and how it is told: one match to code and reason.

use authz::Malformed;
use contract::Violation;
use contract::authorization::v1::AuthorizationReason;
use contract::common::v1::Reason as Common;
use rpc::{Code, Fault, Reason};

/// Why a call to the authorization service failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The catalogue has no permission of the name in `field`.
    #[error("the catalogue has no such permission")]
    PermissionUnknown {
        /// The request's field, as `questions[3].permission`.
        field: String,
    },
    /// The subject holds no role in the caller's organization.
    #[error("no such subject in this organization")]
    SubjectNotFound,
    /// Our own log or tables hold what can't be read back.
    #[error("internal error")]
    Unreadable(#[source] Malformed),
    /// An event of our own log can't be decoded.
    #[error("internal error")]
    Undecodable(#[source] events::Outcome),
    /// Credentials, a field or a permission.
    #[error(transparent)]
    Rpc(#[from] rpc::Error),
    /// The event log.
    #[error(transparent)]
    Events(#[from] events::Error),
    /// The database.
    #[error(transparent)]
    Db(#[from] db::Error),
}

impl Fault for Error {
    fn status(&self) -> (Code, Reason) {
        match self {
            Error::PermissionUnknown { .. } => (Code::InvalidArgument, AuthorizationReason::PermissionUnknown.into()),
            Error::SubjectNotFound => (Code::NotFound, AuthorizationReason::SubjectNotFound.into()),
            Error::Unreadable(_) | Error::Undecodable(_) => (Code::Internal, Common::Internal.into()),
            Error::Rpc(e) => e.status(),
            Error::Events(e) => e.status(),
            Error::Db(e) => e.status(),
        }
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Error::PermissionUnknown { field } => {
                vec![Violation { field: field.clone(), rule: "permission.known", description: self.to_string() }]
            }
            Error::Rpc(e) => e.violations(),
            Error::Events(e) => e.violations(),
            Error::Db(e) => e.violations(),
            Error::SubjectNotFound | Error::Unreadable(_) | Error::Undecodable(_) => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<std::time::Duration> {
        match self {
            Error::Rpc(e) => e.retry_after(),
            Error::Events(e) => e.retry_after(),
            Error::Db(e) => e.retry_after(),
            Error::PermissionUnknown { .. } | Error::SubjectNotFound | Error::Unreadable(_) | Error::Undecodable(_) => None,
        }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Error::Rpc(e) => e.metadata(),
            Error::Events(e) => e.metadata(),
            Error::Db(e) => e.metadata(),
            Error::PermissionUnknown { .. } | Error::SubjectNotFound | Error::Unreadable(_) | Error::Undecodable(_) => Vec::new(),
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        rpc::status(&error)
    }
}
