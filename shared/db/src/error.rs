//! What a transaction can fail with, and what each SQLSTATE means to a caller.
//!
//! Three lanes: a rejection (a page token, a filter, a request id used twice), a transient fault (try again), a fatal one (ours; the text
//! stays neutral and the chain goes to the log). A constraint that stands for a business rule becomes the service's own error through
//! [`OnConstraint`]; one that nobody expected is fatal.

use std::time::Duration;

use contract::Violation;
use contract::common::v1::Reason as Wire;
use rpc::{Code, Fault, Reason};

use crate::deadline;

/// `Result` with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// How long a caller should wait before another try when something is away: about how long a pool takes to fill again.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// How long before another try when two transactions met.
const RETRY_AFTER_CONFLICT: Duration = Duration::from_millis(50);

/// Why a transaction failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another transaction was in the way: a serialization failure, a deadlock, a lock not had in time.
    #[error("another change was made at the same time")]
    Conflict(#[source] Option<sqlx::Error>),
    /// The database is away, starting, full, or has no connection free.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// The call's time ran out; whether the work was committed is known only if it was not yet being committed.
    #[error("the time of the call ran out")]
    DeadlineExceeded,
    /// The page token is not one of this method, filter, order and tenant.
    #[error("not a page token of this list")]
    PageTokenInvalid,
    /// The filter can't be read.
    #[error("at character {position}: {problem}")]
    FilterInvalid {
        /// Where, in characters from 1.
        position: usize,
        /// What is wrong, without what was written.
        problem: &'static str,
    },
    /// The order can't be read or names no field it can be.
    #[error("not an order of this list")]
    OrderInvalid,
    /// The request id was used with another body.
    #[error("this request id was used with another body")]
    RequestIdReused,
    /// More than [`EVENTS_MAX`](crate::EVENTS_MAX) events in one transaction.
    #[error("{0} events in one transaction")]
    TooManyEvents(usize),
    /// Events of more than [`EVENTS_BYTES_MAX`](crate::EVENTS_BYTES_MAX) bytes together in one transaction.
    #[error("events of {0} bytes in one transaction")]
    EventsTooLarge(usize),
    /// An event of more than [`EVENT_BYTES_MAX`](crate::EVENT_BYTES_MAX) bytes.
    #[error("{type_name} of {bytes} bytes")]
    EventTooLarge {
        /// The event's message.
        type_name: String,
        /// Its size.
        bytes: usize,
    },
    /// A stored answer can't be written or read back.
    #[error("a stored answer does not fit its type")]
    Answer(#[source] serde_json::Error),
    /// Something sealed does not open.
    #[error(transparent)]
    DoesNotOpen(#[from] crate::seal::DoesNotOpen),
    /// Anything else that the database says: a fault of ours.
    #[error("internal error")]
    Fatal(#[source] sqlx::Error),
}

impl From<sqlx::Error> for Error {
    /// Source: PostgreSQL 15, appendix A (error codes).
    fn from(error: sqlx::Error) -> Self {
        let Some(state) = error.as_database_error().and_then(|error| error.code()) else { return Self::of_connection(error) };
        match state.as_ref() {
            // serialization_failure, deadlock_detected, lock_not_available
            "40001" | "40P01" | "55P03" => Error::Conflict(Some(error)),
            // query_canceled: statement_timeout is set from the deadline; otherwise someone cancelled it by hand.
            "57014" if deadline::is_near() => Error::DeadlineExceeded,
            // too_many_connections, disk_full, admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped, idle_session_timeout,
            // idle_in_transaction_session_timeout; the whole class 08 (connection exception).
            "57014" | "53300" | "53100" | "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03" => Error::Unavailable(error),
            state if state.starts_with("08") => Error::Unavailable(error),
            _ => Error::Fatal(error),
        }
    }
}

impl Error {
    fn of_connection(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Error::Unavailable(error),
            other => Error::Fatal(other),
        }
    }

    /// The name of the constraint that was broken, if one was.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Error::Fatal(error) => constraint(error),
            _ => None,
        }
    }
}

impl Fault for Error {
    fn status(&self) -> (Code, Reason) {
        match self {
            Error::Conflict(_) => (Code::Aborted, Wire::Conflict.into()),
            Error::Unavailable(_) => (Code::Unavailable, Wire::DependencyUnavailable.into()),
            Error::DeadlineExceeded => (Code::DeadlineExceeded, Wire::DeadlineExceeded.into()),
            Error::PageTokenInvalid => (Code::InvalidArgument, Wire::PageTokenInvalid.into()),
            Error::FilterInvalid { .. } => (Code::InvalidArgument, Wire::FilterInvalid.into()),
            Error::OrderInvalid => (Code::InvalidArgument, Wire::OrderInvalid.into()),
            Error::RequestIdReused => (Code::InvalidArgument, Wire::RequestIdReused.into()),
            Error::TooManyEvents(_)
            | Error::EventsTooLarge(_)
            | Error::EventTooLarge { .. }
            | Error::Answer(_)
            | Error::DoesNotOpen(_)
            | Error::Fatal(_) => (Code::Internal, Wire::Internal.into()),
        }
    }

    fn violations(&self) -> Vec<Violation> {
        let (field, rule) = match self {
            Error::PageTokenInvalid => ("page_token", "page_token"),
            Error::FilterInvalid { .. } => ("filter", "filter"),
            Error::OrderInvalid => ("order_by", "order_by"),
            Error::RequestIdReused => ("request_id", "request_id.reused"),
            _ => return Vec::new(),
        };
        vec![Violation { field: field.to_owned(), rule, description: self.to_string() }]
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Error::Conflict(_) => Some(RETRY_AFTER_CONFLICT),
            Error::Unavailable(_) => Some(RETRY_AFTER),
            _ => None,
        }
    }
}

/// Turns a broken constraint into the rule it stands for.
pub trait OnConstraint<T> {
    /// `f`'s error when the constraint `name` was broken.
    ///
    /// # Errors
    /// `f`'s, or the database's.
    fn on_constraint<E: From<Error>>(self, name: &str, f: impl FnOnce() -> E) -> std::result::Result<T, E>;

    /// The error that `f` has for the name of the broken constraint, for statements that can break several.
    ///
    /// # Errors
    /// `f`'s, or the database's.
    fn on_constraints<E: From<Error>>(self, f: impl FnOnce(&str) -> Option<E>) -> std::result::Result<T, E>;
}

impl<T> OnConstraint<T> for std::result::Result<T, sqlx::Error> {
    fn on_constraint<E: From<Error>>(self, name: &str, f: impl FnOnce() -> E) -> std::result::Result<T, E> {
        self.on_constraints(|broken| (broken == name).then(f))
    }

    fn on_constraints<E: From<Error>>(self, f: impl FnOnce(&str) -> Option<E>) -> std::result::Result<T, E> {
        self.map_err(|error| constraint(&error).and_then(f).unwrap_or_else(|| Error::from(error).into()))
    }
}

fn constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(|error| error.constraint())
}
