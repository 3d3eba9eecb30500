//! What can go wrong, and how it is told: one match to code and reason.

use std::time::Duration;

use contract::Violation;
use contract::notifications::v1::NotificationsReason as Wire;
use rpc::{Code, Fault, Reason};

/// Why a call to the notifications service failed. `Display` is for the client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `INBOX_ITEM_NOT_FOUND`.
    #[error("no such item in the caller's inbox")]
    InboxItemNotFound,
    /// Credentials, a field or a permission.
    #[error(transparent)]
    Rpc(#[from] rpc::Error),
    /// The event log.
    #[error(transparent)]
    Events(#[from] events::Error),
    /// The database, a page token or a filter.
    #[error(transparent)]
    Db(#[from] db::Error),
}

impl Fault for Error {
    fn status(&self) -> (Code, Reason) {
        match self {
            Error::InboxItemNotFound => (Code::NotFound, Wire::InboxItemNotFound.into()),
            Error::Rpc(e) => e.status(),
            Error::Events(e) => e.status(),
            Error::Db(e) => e.status(),
        }
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Error::Rpc(e) => e.violations(),
            Error::Events(e) => e.violations(),
            Error::Db(e) => e.violations(),
            Error::InboxItemNotFound => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Rpc(e) => e.retry_after(),
            Error::Events(e) => e.retry_after(),
            Error::Db(e) => e.retry_after(),
            Error::InboxItemNotFound => None,
        }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Error::Rpc(e) => e.metadata(),
            Error::Events(e) => e.metadata(),
            Error::Db(e) => e.metadata(),
            Error::InboxItemNotFound => Vec::new(),
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        rpc::status(&error)
    }
}
