//! Leadership: an advisory lock on a direct connection of its own, of the worker role.
//!
//! Postgres ends the session, and with it the lock, when the process dies (at once) or falls silent (`idle_session_timeout`; tried with
//! SIGSTOP). What only the leader may change is changed over this same connection, so a leader that was frozen and thaws finds its session
//! gone and can't write. Every statement is one implicit transaction: a frozen leader never holds a row lock.
//!
//! It reads by indexes alone: what it works off is empty most of the time, and a plan that PostgreSQL made then, and keeps, would read all of a
//! backlog for each batch.
//!
//! Deliberately absent: terms and fencing tokens. Two who both believe to lead are kept apart by the row that they lock.

use std::time::Duration;

use db::Db;
use sqlx::PgConnection;
use tokio::time::timeout;

use crate::Error;

/// How often a standby asks for the lock: it leads at most this long after the lock is free.
const STANDBY_POLL: Duration = Duration::from_secs(1);
/// The longest silence of Postgres that a leader bears before it takes the connection for dead.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// The one that holds a lock.
pub(crate) struct Leader {
    connection: PgConnection,
}

impl Leader {
    /// Waits until the lock `name` of the service behind `db` is held. The holder must send a statement at least twice in `silence_max`.
    pub(crate) async fn elect(db: &Db, name: &str, silence_max: Duration) -> Result<Self, Error> {
        let mut connection = within(STATEMENT_TIMEOUT, async { db.worker_connection().await.map_err(Error::from) }).await?;
        let prepare = sqlx::query(
            "SELECT set_config('idle_session_timeout', $1, false), set_config('idle_in_transaction_session_timeout', $1, false), \
             set_config('statement_timeout', $2, false), set_config('lock_timeout', '2s', false), set_config('tcp_user_timeout', $1, false), \
             set_config('enable_seqscan', 'off', false)",
        );
        let prepare = prepare.bind(silence_max.as_millis().to_string()).bind(STATEMENT_TIMEOUT.as_millis().to_string());
        within(STATEMENT_TIMEOUT, async { Ok(prepare.execute(&mut connection).await.map_err(db::Error::from)?) }).await?;
        let lock = format!("muster {} {name}", db.schema());
        let pause = STANDBY_POLL.min(silence_max / 4);
        loop {
            let ask = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtextextended($1, 0))").bind(&lock);
            let held = within(STATEMENT_TIMEOUT, async { Ok(ask.fetch_one(&mut connection).await.map_err(db::Error::from)?) }).await?;
            if held {
                return Ok(Self { connection });
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Runs one statement over the connection that holds the lock.
    pub(crate) async fn run<T>(&mut self, statement: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>) -> Result<T, Error> {
        within(STATEMENT_TIMEOUT, async { Ok(statement(&mut self.connection).await.map_err(db::Error::from)?) }).await
    }

    /// Holds the lock and does nothing else; returns when it was lost.
    pub(crate) async fn hold(mut self, silence_max: Duration) -> Error {
        loop {
            tokio::time::sleep(silence_max / 5).await;
            if let Err(error) = self.run(async |connection| sqlx::query("SELECT 1").execute(connection).await).await {
                return error;
            }
        }
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(Error::Db(sqlx::Error::PoolTimedOut.into())))
}
