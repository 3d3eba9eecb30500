//! Pools, and the lease by which a transaction holds one of their connections.
//!
//! Why a lease: a call may be cancelled at any `.await`, and then its connection stands somewhere inside a statement. sqlx would flush a
//! ROLLBACK and hand the connection on; we close it instead, which the server notices within `client_connection_check_interval` and ends
//! the statement. Only a transaction that ended by COMMIT or ROLLBACK gives its connection back. Measured in `tests/it/cancellation.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow, PgTransactionManager};
use sqlx::query::QueryAs;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, FromRow, PgConnection, PgPool, Postgres, SqlSafeStr, SqlStr};
use sqlx_core::transaction::TransactionManager;
use tokio::time::Instant;

use crate::startup::{STARTUP_MAX, refuse_powerful_login};
use crate::{Error, StartupError};

/// How long the server may take to answer the sign of life with which a connection goes back.
const RELEASE_MAX: Duration = Duration::from_secs(2);
/// How long a ROLLBACK may take before its connection is closed instead.
const ROLLBACK_MAX: Duration = Duration::from_secs(1);

/// A statement that reads rows, for its values to be bound to.
pub type Reading<'q, T> = QueryAs<'q, Postgres, T, PgArguments>;

/// What a row is read into.
pub trait Row: for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T: for<'r> FromRow<'r, PgRow> + Send + Unpin> Row for T {}

/// What the metrics of one pool are labelled with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Labels {
    pub(crate) service: &'static str,
    pub(crate) role: &'static str,
}

/// Connections of one login.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pool: PgPool,
    labels: Labels,
    acquire_max: Duration,
    round_trips: Arc<AtomicU64>,
}

/// Sizes of a pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) acquire_max: Duration,
}

impl Pool {
    /// Opens a pool, with its smallest number of connections open, after a look at who the login is.
    pub(crate) async fn open(options: PgConnectOptions, schema: &str, size: Size, labels: Labels) -> Result<Self, StartupError> {
        let mut first =
            tokio::time::timeout(STARTUP_MAX, options.connect()).await.map_err(|_| Error::Unavailable(sqlx::Error::PoolTimedOut))??;
        refuse_powerful_login(&mut first, schema).await?;
        first.close().await?;
        let pool = PgPoolOptions::new()
            .min_connections(size.min)
            .max_connections(size.max)
            .acquire_timeout(size.acquire_max)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        let pool = Pool { pool, labels, acquire_max: size.acquire_max, round_trips: Arc::default() };
        pool.fill(size.min).await?;
        Ok(pool)
    }

    /// Waits until `count` connections are open.
    async fn fill(&self, count: u32) -> Result<(), StartupError> {
        let mut held = Vec::new();
        let until = Instant::now() + STARTUP_MAX;
        while held.len() < count as usize {
            match self.pool.acquire().await {
                Ok(connection) => held.push(connection),
                Err(sqlx::Error::PoolTimedOut) if Instant::now() < until => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Takes a connection and opens a transaction on it with `begin`, in one round trip.
    ///
    /// A connection that died in the pool (the server was restarted) fails its BEGIN, when nothing has been done yet: it is closed and the
    /// next one tried, as long as a call may wait for a connection.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; [`Error::Fatal`] when the settings don't parse.
    pub(crate) async fn begin(&self, begin: &str) -> Result<Lease, Error> {
        let until = Instant::now() + self.acquire_max;
        loop {
            let mut lease = self.lease(until).await?;
            match PgTransactionManager::begin(lease.conn(), Some(AssertSqlSafe(begin).into_sql_str())).await {
                Ok(()) => return Ok(lease),
                Err(error) => lease.died_in_the_pool(error, until)?,
            }
        }
    }

    /// Runs one statement without a transaction around it, in one round trip. It only reads, so a connection that died in the pool is
    /// treated as one whose BEGIN failed.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; the statement's.
    pub(crate) async fn read<'q, T: Row>(&self, sql: SqlStr, bind: impl Fn(Reading<'q, T>) -> Reading<'q, T>) -> Result<Vec<T>, Error> {
        let until = Instant::now() + self.acquire_max;
        loop {
            let mut lease = self.lease(until).await?;
            match bind(sqlx::query_as(sql.clone())).fetch_all(lease.conn()).await {
                Ok(rows) => {
                    lease.outcome = Outcome::Commit;
                    return Ok(rows);
                }
                Err(error) => lease.died_in_the_pool(error, until)?,
            }
        }
    }

    async fn lease(&self, until: Instant) -> Result<Lease, Error> {
        let started = Instant::now();
        let connection = match tokio::time::timeout_at(until, self.pool.acquire()).await {
            Ok(acquired) => acquired?,
            Err(_) => return Err(Error::Unavailable(sqlx::Error::PoolTimedOut)),
        };
        histogram!("muster_db_pool_wait_seconds", "service" => self.labels.service, "role" => self.labels.role).record(started.elapsed());
        Ok(Lease::new(connection, self.labels, self.round_trips.clone()))
    }

    /// Statements sent so far, BEGIN, COMMIT and ROLLBACK with them: for each, its caller waited for an answer.
    pub(crate) fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }

    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    /// Connections that exist and those of them that nobody holds.
    pub(crate) fn counts(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
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
    connection: Option<PoolConnection<Postgres>>,
    labels: Labels,
    round_trips: Arc<AtomicU64>,
    started: Instant,
    outcome: Outcome,
}

impl Lease {
    fn new(connection: PoolConnection<Postgres>, labels: Labels, round_trips: Arc<AtomicU64>) -> Self {
        gauge!("muster_db_pool_in_use", "service" => labels.service, "role" => labels.role).increment(1.0);
        Lease { connection: Some(connection), labels, round_trips, started: Instant::now(), outcome: Outcome::Cancelled }
    }

    /// The connection, for one statement: each use is counted as a round trip.
    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        self.round_trips.fetch_add(1, Ordering::Relaxed);
        self.connection.as_deref_mut().expect("a lease holds its connection until it is dropped")
    }

    /// After its first statement failed: fine when the connection was dead before and there is time to try another one.
    fn died_in_the_pool(mut self, error: sqlx::Error, until: Instant) -> Result<(), Error> {
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
        let Some(mut connection) = self.connection.take() else { return };
        if self.outcome.is_clean() {
            give_back(connection);
        } else {
            counter!("muster_db_connections_closed_total", "service" => service, "role" => role, "cause" => self.outcome.name())
                .increment(1);
            connection.close_on_drop();
        }
    }
}

/// Gives a connection back. sqlx asks the server for a sign of life first, without a bound: behind a network that swallows packets the
/// connection would count as used until TCP gives up, a quarter of an hour later.
fn give_back(mut connection: PoolConnection<Postgres>) {
    let back = connection.return_to_pool();
    #[expect(clippy::disallowed_methods, reason = "ends by itself within two seconds; sqlx spawns the same task, without the bound")]
    tokio::spawn(async move {
        // Dropped at the bound, the connection is closed and its place in the pool is free.
        if tokio::time::timeout(RELEASE_MAX, back).await.is_err() {
            tracing::warn!("the database did not answer in time; a connection was closed");
        }
    });
}
