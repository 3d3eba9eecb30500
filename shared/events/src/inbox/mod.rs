//! Consuming other services' events: every event's effect exactly once.
//!
//! The dedupe row and the effect are one transaction; the message is acknowledged after the commit. A lost acknowledgement costs one delivery
//! that changes nothing. Attempts are counted in our row, not by the server, so that a dead Postgres burns none.
//!
//! Why one replica at a time: replicas share a durable consumer, but only the one that leads it pulls. Two that pull side by side can't keep
//! the order of one aggregate. The others stand by and take over within a second.
//!
//! An event that waits for its next try holds back later events of its aggregate, and no others. One that was given up holds back nothing: a
//! handler guards its rows with `source_version < position`, so that a late replay changes nothing that is newer.
//!
//! Deliberately absent: server-side MaxDeliver and BackOff; idle heartbeats of a pull, with which async-nats 0.51 loses its wake-up
//! (`Batch::poll_next` returns Pending after one without being registered).

mod fresh;
mod held;
mod letter;
mod pull;
mod take;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use db::Tx;
use futures::FutureExt;
use futures::future::{BoxFuture, select_all};
use runtime::{Backoff, Shutdown};
use tokio::time::Instant;

use crate::leader::Leader;
use crate::log::Endless;
use crate::sequencer::chain;
use crate::{Log, Outcome, Received};

use fresh::Reader;
pub use fresh::{Claim, Freshness};
use held::Held;
pub(crate) use letter::{Letter, counts, letters};
pub(crate) use pull::pending;

/// Takes events. One value serves all deliveries, one after the other unless [`Inbox::concurrency`] says otherwise.
pub trait Handler: Send + Sync + 'static {
    /// Makes the effect of `event` in `tx`, which stands in the event's organization, in the name of this service. An event is delivered
    /// again until this was committed once, so nothing outside `tx` may be changed here. It is given 10 s.
    fn handle(&self, tx: &mut Tx, event: &Received) -> impl Future<Output = Result<(), Outcome>> + Send;

    /// Brings the effects to what `source` says now, when events no longer can: before the first event of a consumer that the server does not know,
    /// and when the stream begins after what was taken. Nothing is taken, and nothing counts as caught up, before it went well; it is tried again
    /// until it does, so it may find its own work done. It is given 2 min.
    fn rebuild(&self, _source: &'static str) -> impl Future<Output = Result<(), Outcome>> + Send {
        std::future::ready(Ok(()))
    }

    /// Whether events of this type (full message name) matter. Others are acknowledged without a transaction.
    fn wants(&self, _type_name: &str) -> bool {
        true
    }
}

/// A consumer of other services' events, made by [`Log::inbox`].
pub struct Inbox {
    log: Log,
    consumer: &'static str,
    sources: &'static [&'static str],
    concurrency: usize,
    reader: Option<Reader>,
}

/// A consumer at work.
struct Consumer<H> {
    log: Log,
    name: &'static str,
    concurrency: usize,
    handler: H,
    held: Held,
    notes_freshness: bool,
    /// When each source's freshness was noted last.
    noted: Mutex<HashMap<&'static str, Instant>>,
}

impl Inbox {
    pub(crate) fn new(log: Log, consumer: &'static str, sources: &'static [&'static str]) -> Self {
        Self { log, consumer, sources, concurrency: 1, reader: None }
    }

    /// Handles events of up to `groups` aggregates of one source side by side, 1 unless said. With 1 the events of a source come in the order
    /// of its log; with more, only those of one aggregate do.
    #[must_use]
    pub fn concurrency(mut self, groups: usize) -> Self {
        self.concurrency = groups.max(1);
        self
    }

    /// Keeps account of how old the effects are that this consumer has made; known while it [`run`](Self::run)s, in every replica.
    #[must_use]
    pub fn freshness(&mut self) -> Freshness {
        let (reader, freshness) = Reader::new();
        self.reader = Some(reader);
        freshness
    }

    /// Consumes until `shutdown`. Faults of Postgres and NATS are waited out.
    pub async fn run<H: Handler>(mut self, handler: H, shutdown: Shutdown) {
        let reader = self.reader.take();
        let (log, name, sources, notes_freshness) = (self.log.clone(), self.consumer, self.sources, reader.is_some());
        let read = async {
            match reader {
                Some(reader) => reader.run(&log, name, sources).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.consume(handler, notes_freshness, &shutdown) => {}
            never = read => match never {},
        }
    }

    async fn consume<H: Handler>(self, handler: H, notes_freshness: bool, shutdown: &Shutdown) {
        let (held, noted) = (Held::default(), Mutex::default());
        let consumer =
            Consumer { log: self.log, name: self.consumer, concurrency: self.concurrency, handler, held, notes_freshness, noted };
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(5));
        while let Some(Err(error)) = shutdown.or(consumer.term(self.sources, &mut backoff)).await {
            tracing::warn!(service = consumer.log.service(), consumer = consumer.name, error = chain(&error), "the consumer lost its term");
            if shutdown.or(backoff.wait()).await.is_none() {
                return;
            }
        }
    }
}

impl<H: Handler> Consumer<H> {
    /// From winning the lock of this consumer to losing it.
    async fn term(&self, sources: &'static [&'static str], backoff: &mut Backoff) -> Endless {
        let silence_max = self.log.config().leader_timeout();
        let leader = Leader::elect(self.log.db(), &format!("inbox {}", self.name), silence_max).await?;
        tracing::info!(service = self.log.service(), consumer = self.name, "consuming");
        backoff.reset();
        let mut loops: Vec<BoxFuture<'_, Infallible>> = vec![self.replay().boxed()];
        for source in sources {
            loops.push(self.consume(source).boxed());
        }
        tokio::select! {
            error = leader.hold(silence_max) => Err(error),
            (never, ..) = select_all(loops) => match never {},
        }
    }

    fn count(&self, name: &'static str, source: &str) {
        metrics::counter!(name, "service" => self.log.service(), "consumer" => self.name, "source" => source.to_owned()).increment(1);
    }
}
