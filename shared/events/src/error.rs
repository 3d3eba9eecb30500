//! What can go wrong with the event log, the bus and a handler.

use std::time::Duration;

use contract::Violation;
use contract::common::v1::{EventAdminReason, Reason as Common};
use rpc::{Code, Reason};

/// Why a call of this crate failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tail was asked for from a position that the log no longer holds, or does not hold yet: list again, then watch.
    #[error("the log does not reach back to this position")]
    ResumeTokenExpired,
    /// There is no such dead letter.
    #[error("no such dead letter")]
    DeadLetterNotFound,
    /// What a consumer makes of events could not be made anew from their source.
    #[error("can't rebuild: {0}")]
    NotRebuilt(Outcome),
    /// A request that can't be taken as it is.
    #[error(transparent)]
    Rpc(#[from] rpc::Error),
    /// Postgres.
    #[error("internal error")]
    Db(#[from] db::Error),
    /// NATS.
    #[error("internal error")]
    Bus(#[from] BusError),
}

impl rpc::Fault for Error {
    fn status(&self) -> (Code, Reason) {
        match self {
            Error::ResumeTokenExpired => (Code::OutOfRange, Common::ResumeTokenExpired.into()),
            Error::DeadLetterNotFound => (Code::NotFound, EventAdminReason::DeadLetterNotFound.into()),
            Error::Rpc(error) => error.status(),
            Error::Db(error) => error.status(),
            Error::Bus(_) | Error::NotRebuilt(_) => (Code::Unavailable, Common::DependencyUnavailable.into()),
        }
    }

    fn violations(&self) -> Vec<Violation> {
        match self {
            Error::Rpc(error) => error.violations(),
            Error::Db(error) => error.violations(),
            Error::ResumeTokenExpired | Error::DeadLetterNotFound | Error::NotRebuilt(_) | Error::Bus(_) => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Rpc(error) => error.retry_after(),
            Error::Db(error) => error.retry_after(),
            Error::Bus(_) | Error::NotRebuilt(_) => Some(Duration::from_secs(1)),
            Error::ResumeTokenExpired | Error::DeadLetterNotFound => None,
        }
    }
}

impl From<Error> for tonic::Status {
    fn from(error: Error) -> Self {
        rpc::status(&error)
    }
}

/// Why the bus did not do what it was asked. All of it is tried again; nothing of it loses an event.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The address or the credentials file can't be used.
    #[error("NATS can't be connected to as configured: {0}")]
    Configuration(String),
    /// There is no connection at the moment.
    #[error("NATS is away")]
    Away,
    /// The server is older than what this suite relies on, or takes smaller messages than the outbox does.
    #[error("the NATS server {version} is not fit: {why}")]
    Unfit {
        /// The version it says it has.
        version: String,
        /// What it lacks.
        why: &'static str,
    },
    /// A stream or consumer could not be made, read or changed.
    #[error("JetStream refused: {0}")]
    Refused(String),
    /// A message was not confirmed as stored.
    #[error("the event at position {position} was not stored: {cause}")]
    NotStored {
        /// Its place in the log.
        position: i64,
        /// What the server said, or that it said nothing in time.
        cause: String,
    },
}

/// Why a handler did not take an event. The text ends up in the dead letter, so it names ids and rules, no personal data.
#[derive(Debug, thiserror::Error)]
pub enum Outcome {
    /// No later try can do better: parked as a dead letter at once.
    #[error("{0}")]
    Poison(String),
    /// A later try may do better: tried again after 1, 5, 30, 120, 600 s …, then parked.
    #[error("{0}")]
    Retry(String),
    /// Postgres. When it is away the try does not count; else this is a [`Outcome::Retry`].
    #[error("{0}")]
    Db(#[from] db::Error),
}

impl From<sqlx::Error> for Outcome {
    fn from(error: sqlx::Error) -> Self {
        Outcome::Db(error.into())
    }
}
