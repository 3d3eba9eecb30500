//! What can go wrong, and how it is told: one match to code and reason.

use std::time::Duration;

use contract::{Violation, audit::v1::AuditReason};
use rpc::{Code, Fault, Reason};

/// Why a call to the audit service failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such record in the caller's organization.
    #[error("no such record")]
    AuditEventNotFound,
    /// Credentials, permission or a peer.
    #[error(transparent)]
    Rpc(#[from] rpc::Error),
    /// The database, a page token or a filter.
    #[error(transparent)]
    Db(#[from] db::Error),
}

impl Fault for Error {
    fn status(&self) -> (Code, Reason) {
        match self {
            Error::AuditEventNotFound => (Code::NotFound, AuditReason::AuditEventNotFound.into()),
            Error::Db(e) => e.status(),
            Error::Rpc(e) => e.status(),
        }
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Error::Rpc(e) => e.violations(),
            Error::Db(e) => e.violations(),
            Error::AuditEventNotFound => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Rpc(e) => e.retry_after(),
            Error::Db(e) => e.retry_after(),
            Error::AuditEventNotFound => None,
        }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Error::Rpc(e) => e.metadata(),
            Error::Db(e) => e.metadata(),
            Error::AuditEventNotFound => Vec::new(),
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        rpc::status(&error)
    }
}
