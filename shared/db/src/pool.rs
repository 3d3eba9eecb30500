//! Pools of connections, of which transactions take leases.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::histogram;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPoolOptions, PgRow, PgTransactionManager};
use sqlx::query::QueryAs;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, FromRow, PgPool, Postgres, SqlSafeStr, SqlStr};
use sqlx_core::transaction::TransactionManager;
use tokio::time::Instant;

use crate::at_hand::AtHand;
use crate::lease::{Lease, Outcome};
use crate::startup::{STARTUP_MAX, refuse_powerful_login};
use crate::{Error, StartupError};

/// A statement that reads rows, for its values to be bound to.
pub type Reading<'q, T> = QueryAs<'q, Postgres, T, PgArguments>;

/// What a row is read into.
pub trait Row: for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T: for<'r> FromRow<'r, PgRow> + Send + Unpin> Row for T {}

/// How long opening a connection may take, which is longer than a call waits for it: the next one finds it open.
const CONNECT_MAX: Duration = Duration::from_secs(1);

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
    at_hand: Arc<AtHand>,
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
            // Not `size.min`, which `fill` opens: sqlx would hold places while it waits for a server that is away.
            .min_connections(0)
            .idle_timeout(None)
            // Twice as many: one that is being opened while the network swallows its packets takes nobody's place.
            .max_connections(size.max * 2)
            .acquire_timeout(CONNECT_MAX)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        let at_hand = AtHand::new(size.max);
        let pool = Pool { pool, at_hand, labels, acquire_max: size.acquire_max, round_trips: Arc::default() };
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
        let held = match tokio::time::timeout_at(until, self.at_hand.take(&self.pool)).await {
            Ok(held) => held?,
            Err(_) => return Err(Error::Unavailable(sqlx::Error::PoolTimedOut)),
        };
        histogram!("muster_db_pool_wait_seconds", "service" => self.labels.service, "role" => self.labels.role).record(started.elapsed());
        Ok(Lease::new(held, self.labels, self.round_trips.clone()))
    }

    /// Statements sent so far, BEGIN, COMMIT and ROLLBACK with them: for each, its caller waited for an answer.
    pub(crate) fn round_trips(&self) -> u64 {
        self.round_trips.load(Ordering::Relaxed)
    }

    pub(crate) async fn close(&self) {
        self.at_hand.close();
        self.pool.close().await;
    }

    /// Connections that exist and those of them that nobody holds.
    pub(crate) fn counts(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle() + self.at_hand.count())
    }
}
