//! Forgets what is old enough: events, what consumers took, answers to request ids. Small batches, so that no lock is held for long.
//!
//! Every process does it, at its own random moments; two at once delete disjoint rows or wait for one another, and nothing is lost by it.
//!
//! Attempts go with their event's end; those of events that the bus no longer holds go here.
//!
//! Deliberately absent: dead letters. They go with an operator's decision.

use std::time::Duration;

use runtime::{Backoff, Shutdown};
use sqlx::AssertSqlSafe;
use time::OffsetDateTime;
use tokio::time::sleep;

use crate::bus::STREAM_MAX_AGE;
use crate::sequencer::chain;
use crate::{Error, Log};

/// Rows in one statement.
const BATCH: u32 = 1_000;
/// The pause between two batches.
const BREATH: Duration = Duration::from_millis(50);
/// The longest pause between two rounds; each is drawn from zero to it.
const ROUND_MAX: Duration = Duration::from_secs(1_200);

/// Forgets until `shutdown`.
pub(crate) async fn run(log: &Log, shutdown: &Shutdown) {
    let mut pause = Backoff::new(ROUND_MAX, ROUND_MAX);
    while shutdown.or(pause.wait()).await.is_some() {
        if let Some(Err(error)) = shutdown.or(log.forget()).await {
            tracing::warn!(service = log.service(), error = chain(&error), "retention was cut short");
        }
    }
}

impl Log {
    /// One round of retention: deletes every event, inbox row and stored answer older than the settings keep, and returns how many rows
    /// went. Events that are not on the bus yet stay.
    ///
    /// # Errors
    /// Those of Postgres; what was deleted before stays deleted.
    pub async fn forget(&self) -> Result<u64, Error> {
        let now = self.clock().now();
        let days = |days: u32| now - Duration::from_secs(u64::from(days) * 86_400);
        let requests = now - Duration::from_secs(u64::from(self.config().request_keep_hours) * 3_600);
        let events = self.forget_before("event", &self.sql().expire_events, days(self.config().event_keep_days)).await?;
        let inbox = self.forget_before("inbox", &self.sql().expire_inbox, days(self.config().inbox_keep_days)).await?;
        let attempts = self.forget_before("inbox_attempt", &self.sql().expire_attempts, now - STREAM_MAX_AGE * 2).await?;
        let requests = self.forget_requests(requests).await?;
        Ok(events + inbox + attempts + requests)
    }

    async fn forget_requests(&self, before: OffsetDateTime) -> Result<u64, Error> {
        let mut all = 0;
        loop {
            let deleted = self.db().forget_requests(before, BATCH).await?;
            metrics::counter!("muster_retention_rows_total", "service" => self.service(), "table" => "request").increment(deleted);
            all += deleted;
            if deleted < u64::from(BATCH) {
                return Ok(all);
            }
            sleep(BREATH).await;
        }
    }

    async fn forget_before(&self, table: &'static str, sql: &str, before: OffsetDateTime) -> Result<u64, Error> {
        let mut all = 0;
        loop {
            let delete = async |tx: &mut db::WorkTx| {
                let deleted = sqlx::query(AssertSqlSafe(sql)).bind(before).bind(i64::from(BATCH)).execute(tx.conn()).await;
                Ok::<_, Error>(deleted.map_err(db::Error::from)?.rows_affected())
            };
            let deleted = self.db().work(delete).await?;
            metrics::counter!("muster_retention_rows_total", "service" => self.service(), "table" => table).increment(deleted);
            all += deleted;
            if deleted < u64::from(BATCH) {
                return Ok(all);
            }
            sleep(BREATH).await;
        }
    }
}
