//! What can go wrong, and how it is told: one match to code and reason.

use std::time::Duration;

use contract::Violation;
use contract::notifications::v1::NotificationsReason as Wire;
use rpc::{Code, Fault, Reason};

use crate::delivery::State;

/// Why a call to the notifications service failed. `Display` is for the client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// `INBOX_ITEM_NOT_FOUND`.
    #[error("no such item in the caller's inbox")]
    InboxItemNotFound,
    /// `DELIVERY_NOT_FOUND`.
    #[error("no such delivery")]
    DeliveryNotFound,
    /// `DELIVERY_WRONG_STATE`.
    #[error("only a delivery that is DEAD or UNKNOWN can be sent once more")]
    DeliveryWrongState(State),
    /// `MAIL_NOT_FOUND`.
    #[error("no such mail")]
    MailNotFound,
    /// `MAILBOX_DISABLED`.
    #[error("an SMTP server is configured, so there is no development mailbox")]
    MailboxDisabled,
    /// `CATEGORY_MANDATORY`.
    #[error("nobody can turn off what protects an account or was asked for")]
    CategoryMandatory,
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
            Error::DeliveryNotFound => (Code::NotFound, Wire::DeliveryNotFound.into()),
            Error::DeliveryWrongState(_) => (Code::FailedPrecondition, Wire::DeliveryWrongState.into()),
            Error::MailNotFound => (Code::NotFound, Wire::MailNotFound.into()),
            Error::CategoryMandatory => (Code::FailedPrecondition, Wire::CategoryMandatory.into()),
            Error::MailboxDisabled => (Code::FailedPrecondition, Wire::MailboxDisabled.into()),
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
            _ => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Rpc(e) => e.retry_after(),
            Error::Events(e) => e.retry_after(),
            Error::Db(e) => e.retry_after(),
            _ => None,
        }
    }

    fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Error::DeliveryWrongState(state) => vec![("state", state.label().to_uppercase())],
            Error::Rpc(e) => e.metadata(),
            Error::Events(e) => e.metadata(),
            Error::Db(e) => e.metadata(),
            _ => Vec::new(),
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        rpc::status(&error)
    }
}
