//! The relay: publishes the log, by position, and moves the cursor over what the server has confirmed as stored.
//!
//! After each new connection it compares the stream's newest event with the cursor. A stream that lost its tail, or everything, is filled
//! again from the log as far back as the stream keeps events; consumers drop what they took already by their inbox.
//!
//! Deliberately absent: giving up. An event that can't be sent holds back those after it, because order is worth more than speed, and
//! `muster_event_unpublished` says how many wait.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use runtime::{Backoff, crash_point};
use sqlx::AssertSqlSafe;
use tokio::sync::watch;
use tracing::Span;

use crate::bus::{BROKEN, Newest, STREAM_MAX_AGE};
use crate::recent::Found;
use crate::sequencer::chain;
use crate::{BusError, Error, Log, Logged, trace};

/// Publishes one service's log during one term.
pub(crate) struct Relay<'a> {
    log: &'a Log,
    head: watch::Receiver<i64>,
    connections: watch::Receiver<u64>,
    cursor: i64,
    told: watch::Sender<i64>,
    /// The id of the event sent last, when its place in the stream is certain.
    previous: Option<String>,
    /// Whether the stream was compared with the cursor since the last connection or failure.
    settled: bool,
}

impl<'a> Relay<'a> {
    /// Goes on after `cursor` and tells `told` about every step.
    pub(crate) fn new(log: &'a Log, cursor: i64, told: watch::Sender<i64>) -> Self {
        Self { log, head: log.head(), connections: log.bus().connections(), cursor, told, previous: None, settled: false }
    }

    /// Publishes for ever; failures are waited out, a new connection ends the waiting.
    pub(crate) async fn run(mut self) -> Infallible {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        loop {
            match self.step().await {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    self.note(&error, backoff.attempt());
                    (self.settled, self.previous) = (false, None);
                    tokio::select! {
                        () = backoff.wait() => {}
                        Ok(()) = self.connections.changed() => {}
                    }
                }
            }
        }
    }

    async fn step(&mut self) -> Result<(), Error> {
        if !self.settled {
            self.connections.mark_unchanged();
            self.settle().await?;
            self.settled = true;
        }
        let head = *self.head.borrow_and_update();
        metrics::gauge!("muster_event_unpublished", "service" => self.log.service()).set((head - self.cursor) as f64);
        if head > self.cursor {
            return self.publish().await;
        }
        tokio::select! {
            Ok(()) = self.head.changed() => {}
            Ok(()) = self.connections.changed() => (self.settled, self.previous) = (false, None),
        }
        Ok(())
    }

    /// Makes sure of the stream, and goes back to where it ends if it lost something.
    async fn settle(&mut self) -> Result<(), Error> {
        let bus = self.log.bus();
        let stream = bus.ensure_stream(self.log.service()).await?;
        let newest = match bus.newest(&stream).await? {
            Newest::Event(position) if position < self.cursor => position,
            Newest::Nothing if self.cursor > 0 => 0,
            Newest::Event(_) | Newest::Nothing | Newest::NoEvent => return Ok(()),
        };
        let from = newest.max(self.floor().await?);
        if from < self.cursor {
            tracing::warn!(service = self.log.service(), published = self.cursor, from, "the stream lost events: publishing them again");
            metrics::counter!("muster_event_rewinds_total", "service" => self.log.service()).increment(1);
            self.moved_to(from);
        }
        Ok(())
    }

    /// The position before the oldest event that the stream would still keep. Walks the log once; streams are seldom lost.
    async fn floor(&self) -> Result<i64, Error> {
        let since = self.log.clock().now() - STREAM_MAX_AGE;
        let (floor,) = self.log.db().work_read_one(AssertSqlSafe(self.log.sql().floor.as_str()), |query| query.bind(since)).await?;
        Ok(floor)
    }

    /// What comes next. Watchers of this process read the same: then it is read once for all.
    async fn batch(&self) -> Result<Vec<Arc<Logged>>, Error> {
        let limit = self.log.config().batch_size;
        if self.log.recent().is_followed() {
            match self.log.recent().after(self.log, self.cursor).await {
                Ok(Found::Events(mut events, _)) => {
                    events.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
                    return Ok(events);
                }
                Ok(Found::Behind) | Err(Error::ResumeTokenExpired) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.log.read(self.cursor, limit).await?.into_iter().map(Arc::new).collect())
    }

    /// Sends one batch and awaits its PubAcks; the cursor stops before the first that was not confirmed.
    async fn publish(&mut self) -> Result<(), Error> {
        let events = self.batch().await?;
        let mut acks = Vec::with_capacity(events.len());
        // They end when all are stored.
        let spans: Vec<Span> = events.iter().map(|event| trace::publishing(self.log.service(), &event.envelope)).collect();
        for event in &events {
            acks.push(self.log.bus().publish(event, self.previous.as_deref()).await?);
            self.previous = Some(event.envelope.event_id.clone());
        }
        crash_point!("relay_after_publish_before_ack");
        let acks = join_all(acks.into_iter().map(IntoFuture::into_future)).await;
        drop(spans);
        let (mut stored, mut duplicates) = (0_u64, 0_u64);
        let mut outcome = Ok(());
        for (event, ack) in events.iter().zip(acks) {
            match ack {
                Ok(ack) => {
                    self.cursor = event.position();
                    duplicates += u64::from(ack.duplicate);
                    stored += 1;
                }
                Err(error) => {
                    outcome = Err(BusError::NotStored { position: event.position(), cause: error.to_string() }.into());
                    break;
                }
            }
        }
        metrics::counter!("muster_event_published_total", "service" => self.log.service()).increment(stored);
        metrics::counter!("muster_event_publish_duplicates_total", "service" => self.log.service()).increment(duplicates);
        self.moved_to(self.cursor);
        outcome
    }

    fn moved_to(&mut self, cursor: i64) {
        self.cursor = cursor;
        self.told.send_replace(cursor);
    }

    fn note(&self, error: &Error, attempt: u32) {
        metrics::counter!("muster_event_publish_failures_total", "service" => self.log.service()).increment(1);
        let (service, cursor, error) = (self.log.service(), self.cursor, chain(error));
        match attempt {
            0 => tracing::info!(service, cursor, error, "events wait for the bus"),
            BROKEN => tracing::warn!(service, cursor, error, "events still wait for the bus"),
            _ => tracing::debug!(service, cursor, attempt, error, "events still wait for the bus"),
        }
    }
}
