//! The sequencer: the one process per service that moves committed outbox rows into the log, at gap-free positions, and keeps the cursor of
//! what is on the bus.
//!
//! Why a single writer: sequence numbers are drawn before the commit, so a cursor over them loses what commits late. Positions are given
//! after the commit, by one statement at a time, so whoever has read up to a position has read everything below it.
//! Source: field notes reliability 7.6, toolchain 9. Three sequencers at once, without the lock, were gap-free and in order over 28,953
//! events: the locked head row alone is fence enough.
//!
//! Deliberately absent: sending to NATS (`relay`), which goes on beside it; NATS away never stops the log.

use std::time::Duration;

use runtime::{Backoff, Shutdown, crash_point};
use sqlx::AssertSqlSafe;
use sqlx::types::time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::leader::Leader;
use crate::log::Endless;
use crate::relay::Relay;
use crate::{Error, Log};

/// The shortest time between two batches that are not full. Under load, commits that come one after the other are then numbered, read and
/// sent together, which is most of what an event costs; the first one after a while does not wait.
const BREATH: Duration = Duration::from_millis(40);
/// How long events must have been absent before the pauses grow to `poll_idle_ms`.
const BUSY: Duration = Duration::from_secs(1);
/// How often the cursor is written at most: a lost one costs events sent again, which the server drops.
const CURSOR_PAUSE: Duration = Duration::from_millis(100);
/// How often the outbox is measured.
const MEASURE_PAUSE: Duration = Duration::from_secs(5);

/// Leads whenever it can, until `shutdown`.
pub(crate) async fn run(log: &Log, shutdown: &Shutdown) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
    while let Some(Err(error)) = shutdown.or(term(log, &mut backoff)).await {
        tracing::warn!(service = log.service(), error = chain(&error), "the sequencer lost its term");
        metrics::counter!("muster_sequencer_terms_lost_total", "service" => log.service()).increment(1);
        if shutdown.or(backoff.wait()).await.is_none() {
            return;
        }
    }
}

async fn term(log: &Log, backoff: &mut Backoff) -> Endless {
    let leader = Leader::elect(log.db(), "sequencer", log.config().leader_timeout()).await?;
    let (position, published) = log.positions().await?;
    let _leading = log.lead();
    tracing::info!(service = log.service(), position, published, "leading the event log");
    log.reached(position);
    show(log, "muster_event_head_position", position);
    show(log, "muster_event_published_position", published);
    backoff.reset();
    let (sender, cursor) = watch::channel(published);
    tokio::select! {
        ended = Term { log, leader, cursor, written: published }.run() => ended,
        never = Relay::new(log, published, sender).run() => match never {},
    }
}

/// The time from winning the lock to losing it.
struct Term<'a> {
    log: &'a Log,
    leader: Leader,
    /// The position up to which everything is on the bus.
    cursor: watch::Receiver<i64>,
    /// What the database knows of it.
    written: i64,
}

impl Term<'_> {
    async fn run(mut self) -> Endless {
        let config = self.log.config();
        let long_ago = Instant::now() - BUSY;
        let (mut busy_until, mut cursor_due, mut measure_due) = (long_ago, long_ago, Instant::now());
        loop {
            let moved = self.number().await?;
            let now = Instant::now();
            if now >= cursor_due && *self.cursor.borrow_and_update() != self.written {
                self.write_cursor().await?;
                cursor_due = now + CURSOR_PAUSE;
            }
            if now >= measure_due {
                self.measure().await?;
                measure_due = now + MEASURE_PAUSE;
            }
            if moved > 0 {
                busy_until = now + BUSY;
            }
            let pause = if now < busy_until || *self.cursor.borrow() != self.written { config.poll_busy() } else { config.poll_idle() };
            if moved == config.batch_size {
                continue;
            }
            if moved > 0 {
                sleep(BREATH).await;
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = self.log.committed().notified() => {}
                _ = self.cursor.changed(), if now >= cursor_due => {}
            }
        }
    }

    /// Moves one batch and returns its size.
    async fn number(&mut self) -> Result<i64, Error> {
        let (sql, limit) = (&self.log.sql().sequence, self.log.config().batch_size);
        let moved =
            self.leader.run(async |connection| sqlx::query_as(AssertSqlSafe(sql.as_str())).bind(limit).fetch_one(connection).await).await?;
        let (moved, head): (i64, Option<i64>) = moved;
        self.log.looked();
        if let Some(head) = head {
            self.log.reached(head);
            self.log.bus().poke(self.log.service()).await;
            metrics::counter!("muster_event_logged_total", "service" => self.log.service()).increment(moved.unsigned_abs());
            show(self.log, "muster_event_head_position", head);
        }
        Ok(moved)
    }

    async fn write_cursor(&mut self) -> Result<(), Error> {
        crash_point!("relay_after_ack_before_cursor");
        let (sql, cursor) = (&self.log.sql().set_published, *self.cursor.borrow());
        self.leader.run(async |connection| sqlx::query(AssertSqlSafe(sql.as_str())).bind(cursor).execute(connection).await).await?;
        self.written = cursor;
        show(self.log, "muster_event_published_position", cursor);
        Ok(())
    }

    async fn measure(&mut self) -> Result<(), Error> {
        let sql = &self.log.sql().outbox;
        let measured = self.leader.run(async |connection| sqlx::query_as(AssertSqlSafe(sql.as_str())).fetch_one(connection).await).await?;
        let (rows, oldest): (i64, Option<OffsetDateTime>) = measured;
        let age = oldest.map_or(0.0, |oldest| (self.log.clock().now() - oldest).as_seconds_f64().max(0.0));
        metrics::gauge!("muster_outbox_rows", "service" => self.log.service()).set(rows as f64);
        metrics::gauge!("muster_outbox_oldest_age_seconds", "service" => self.log.service()).set(age);
        Ok(())
    }
}

fn show(log: &Log, gauge: &'static str, position: i64) {
    metrics::gauge!(gauge, "service" => log.service()).set(position as f64);
}

/// An error with what led to it, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
