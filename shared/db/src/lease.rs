//! The lease by which a transaction holds a connection.
//!
//! Why a lease: a call may be cancelled at any `.await`, and then its connection stands somewhere inside a statement. sqlx would flush a
//! ROLLBACK and hand the connection on; we close it instead, which the server notices within `client_connection_check_interval` and ends
//! the statement. Only a transaction that ended by COMMIT or ROLLBACK gives its connection back. Measured in `tests/it/cancellation.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use sqlx::PgConnection;
use sqlx::postgres::PgTransactionManager;
use sqlx_core::transaction::TransactionManager;
use tokio::time::Instant;

use crate::Error;
use crate::at_hand::Held;
use crate::pool::Labels;

/// How long a ROLLBACK may take before its connection is closed instead.
const ROLLBACK_MAX: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Commit,
    Rollback,
    Cancelled,
    Failed,
    Stale,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Outcome::Commit => "commit",
            Outcome::Rollback => "rollback",
            Outcome::Cancelled => "cancelled",
            Outcome::Failed => "failed",
            Outcome::Stale => "stale",
        }
    }

    /// Whether the connection is known to stand between two transactions.
    fn is_clean(self) -> bool {
        matches!(self, Outcome::Commit | Outcome::Rollback)
    }
}

/// A connection with an open transaction. Dropped before [`commit`](Lease::commit) or [`rollback`](Lease::rollback) ended it, or after they
/// failed, it closes the connection.
#[derive(Debug)]
pub(crate) struct Lease {
    held: Option<Held>,
    labels: Labels,
    round_trips: Arc<AtomicU64>,
    started: Instant,
    pub(crate) outcome: Outcome,
}

impl Lease {
    pub(crate) fn new(held: Held, labels: Labels, round_trips: Arc<AtomicU64>) -> Self {
        gauge!("muster_db_pool_in_use", "service" => labels.service, "role" => labels.role).increment(1.0);
        Lease { held: Some(held), labels, round_trips, started: Instant::now(), outcome: Outcome::Cancelled }
    }

    /// The connection, for one statement: each use is counted as a round trip.
    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        self.held.as_mut().expect("a lease holds its connection until it is dropped").connection()
    }

    /// After its first statement failed: fine when the connection was dead before and there is time to try another one.
    pub(crate) fn died_in_the_pool(mut self, error: sqlx::Error, until: Instant) -> Result<(), Error> {
        match Error::from(error) {
            Error::Unavailable(_) if Instant::now() < until => {
                self.outcome = Outcome::Stale;
                Ok(())
            }
            error => Err(error),
        }
    }

    /// # Errors
    /// As the server says; the connection is closed then, and whether the work is committed is unknown if the connection broke.
    pub(crate) async fn commit(mut self) -> Result<(), Error> {
        let result = PgTransactionManager::commit(self.conn()).await;
        self.outcome = if result.is_ok() { Outcome::Commit } else { Outcome::Failed };
        Ok(result?)
    }

    /// Ends the transaction without effect. Nobody waits long for it: at worst the connection is closed.
    pub(crate) async fn rollback(mut self) {
        let result = tokio::time::timeout(ROLLBACK_MAX, PgTransactionManager::rollback(self.conn())).await;
        self.outcome = if matches!(result, Ok(Ok(()))) { Outcome::Rollback } else { Outcome::Failed };
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Labels { service, role } = self.labels;
        gauge!("muster_db_pool_in_use", "service" => service, "role" => role).decrement(1.0);
        histogram!("muster_db_transaction_seconds", "service" => service, "role" => role, "outcome" => self.outcome.name())
            .record(self.started.elapsed());
        let Some(held) = self.held.take() else { return };
        if self.outcome.is_clean() {
            held.give_back();
        } else {
            counter!("muster_db_connections_closed_total", "service" => service, "role" => role, "cause" => self.outcome.name())
                .increment(1);
            held.close();
        }
    }
}
