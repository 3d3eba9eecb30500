//! Taking messages: the effect and its dedupe row in one transaction, and what becomes of an event that was not taken.

use std::collections::HashSet;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::jetstream::{AckKind, Message};
use contract::common::v1::EventEnvelope;
use db::Tx;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use rpc::Caller;
use runtime::crash_point;
use sqlx::AssertSqlSafe;
use tokio::time::{sleep, timeout};
use tracing::Instrument;
use uuid::Uuid;

use super::{Consumer, Handler};
use crate::bus::stream_name;
use crate::envelope::from_headers;
use crate::{Error, Logged, Outcome, trace};

/// The longest a handler may take.
const HANDLER_MAX: Duration = Duration::from_secs(10);
/// How often the server is told that pulled messages are still being worked on; a third of its patience.
const PROGRESS: Duration = Duration::from_secs(10);

/// A message on its way through.
struct Delivery {
    message: Message,
    event: Result<Logged, String>,
    stream_sequence: u64,
    /// Whether it was not delivered before.
    first: bool,
    /// How many messages were behind it when it was delivered.
    pending: u64,
    done: AtomicBool,
}

/// Postgres did not answer.
pub(super) struct Away;

impl<H: Handler> Consumer<H> {
    /// Takes messages, those of one aggregate in their order. Up to the stream sequence `known_until` some may be taken already.
    ///
    /// Returns how many came for the first time, and how many were behind the last one when it was delivered.
    pub(super) async fn take_all(&self, source: &'static str, messages: Vec<Message>, known_until: u64) -> Result<(u64, u64), Away> {
        let mut deliveries: Vec<Delivery> = messages.into_iter().map(|message| Delivery::of(message, source)).collect();
        let new = deliveries.iter().filter(|delivery| delivery.first).count();
        let behind = deliveries.last().map_or(0, |last| last.pending);
        if let Some(last) = deliveries.last() {
            metrics::gauge!("muster_inbox_lag", "service" => self.log.service(), "consumer" => self.name, "source" => source)
                .set(last.pending as f64);
        }
        if deliveries.first().is_some_and(|first| first.stream_sequence <= known_until) {
            deliveries = self.acknowledge_known(source, deliveries).await?;
        }
        let mut groups: Vec<BoxFuture<'_, Result<(), Away>>> = Vec::new();
        for group in grouped(&deliveries, self.concurrency) {
            groups.push(self.take_group(source, group).boxed());
        }
        let work = stream::iter(groups).buffer_unordered(self.concurrency).try_collect::<()>();
        tokio::select! {
            outcome = work => outcome.map(|()| (new as u64, behind)),
            never = tell_progress(&deliveries) => match never {},
        }
    }

    /// Acknowledges what the inbox has already, with one look at it, and returns the rest.
    async fn acknowledge_known(&self, source: &'static str, deliveries: Vec<Delivery>) -> Result<Vec<Delivery>, Away> {
        let ids: Vec<Uuid> = deliveries.iter().filter_map(|delivery| delivery.event.as_ref().ok().map(Logged::event_id)).collect();
        let known = self.log.db().work_read(AssertSqlSafe(self.log.sql().known.as_str()), |query| query.bind(self.name).bind(&ids)).await;
        let known: HashSet<Uuid> = known.map_err(|_| Away)?.into_iter().map(|(event_id,): (Uuid,)| event_id).collect();
        let mut rest = Vec::with_capacity(deliveries.len());
        for delivery in deliveries {
            if delivery.event.as_ref().is_ok_and(|event| known.contains(&event.event_id())) {
                self.count("muster_inbox_duplicates_total", source);
                self.settle(source, &delivery, AckKind::Ack).await;
            } else {
                rest.push(delivery);
            }
        }
        Ok(rest)
    }

    async fn take_group(&self, source: &'static str, group: Vec<&Delivery>) -> Result<(), Away> {
        for delivery in group {
            let answer = match &delivery.event {
                Ok(event) => self.take(source, event, delivery).await?,
                Err(cause) => self.park(source, &garbage(source, delivery), cause, 1, delivery.stream_sequence).await?,
            };
            self.settle(source, delivery, answer).await;
        }
        Ok(())
    }

    /// Notes that an event waits, or waits no more, and tells the server. What is held back holds back in its turn: when the first is taken,
    /// the others still come in their order.
    async fn settle(&self, source: &'static str, delivery: &Delivery, answer: AckKind) {
        if let Ok(Logged { envelope, .. }) = &delivery.event {
            match answer {
                AckKind::Nak(Some(wait)) => self.held.hold(source, &envelope.aggregate_id, envelope.position, wait),
                _ => self.held.release(source, &envelope.aggregate_id, envelope.position),
            }
        }
        delivery.answer(answer).await;
    }

    /// Takes one event and says what to tell the server.
    async fn take(&self, source: &'static str, event: &Logged, delivery: &Delivery) -> Result<AckKind, Away> {
        let envelope = &event.envelope;
        if !self.handler.wants(&envelope.r#type) {
            return Ok(AckKind::Ack);
        }
        if let Some(wait) = self.held.wait(source, &envelope.aggregate_id, envelope.position) {
            return Ok(AckKind::Nak(Some(wait)));
        }
        match self.attempt(event).await {
            Ok(new) => {
                crash_point!("consumer_after_commit_before_ack");
                self.count(if new { "muster_inbox_handled_total" } else { "muster_inbox_duplicates_total" }, source);
                metrics::gauge!("muster_inbox_position", "service" => self.log.service(), "consumer" => self.name, "source" => source)
                    .set(envelope.position as f64);
                Ok(AckKind::Ack)
            }
            Err(Outcome::Poison(cause)) => self.park(source, event, &cause, 1, delivery.stream_sequence).await,
            Err(outcome) => {
                if matches!(&outcome, Outcome::Db(db::Error::Unavailable(_))) && !self.postgres_answers().await {
                    return Err(Away);
                }
                self.put_off(source, event, &outcome.to_string(), delivery.stream_sequence).await
            }
        }
    }

    /// Runs the handler; `false` when the effect was committed before. A panic or a handler that does not end is a failed try.
    pub(super) async fn attempt(&self, event: &Logged) -> Result<bool, Outcome> {
        let caller = Caller::background(self.log.service(), event.organization_id(), Some(&event.envelope));
        let work = self.log.db().write_unrecorded(&caller, async |tx: &mut Tx| {
            if !self.note_taken(tx, event).await? {
                return Ok(false);
            }
            self.handler.handle(tx, event).await?;
            crash_point!("consumer_after_effect_before_commit");
            Ok::<_, Outcome>(true)
        });
        let span = trace::consuming(self.log.service(), self.name, &event.envelope);
        match AssertUnwindSafe(timeout(HANDLER_MAX, work)).catch_unwind().instrument(span).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Outcome::Retry(format!("the handler took longer than {} s", HANDLER_MAX.as_secs()))),
            Err(_) => Err(Outcome::Retry("the handler panicked".to_owned())),
        }
    }

    async fn note_taken(&self, tx: &mut Tx, event: &Logged) -> Result<bool, Outcome> {
        let now = tx.now();
        let query = sqlx::query_scalar(AssertSqlSafe(self.log.sql().take.as_str())).bind(self.name).bind(event.event_id());
        let taken: i64 = query.bind(&event.envelope.service).bind(event.position()).bind(now).fetch_one(tx.conn()).await?;
        Ok(taken == 1)
    }

    /// Counts a failed try: the event comes again later, or is parked after the last one. One that is parked already stays so.
    async fn put_off(&self, source: &'static str, event: &Logged, cause: &str, stream_sequence: u64) -> Result<AckKind, Away> {
        let envelope = &event.envelope;
        let sql = &self.log.sql().attempt;
        let count = async |tx: &mut db::WorkTx| {
            let now = tx.now();
            let query = sqlx::query_scalar(AssertSqlSafe(sql.as_str())).bind(self.name).bind(event.event_id()).bind(source);
            let query = query.bind(&envelope.aggregate_id).bind(envelope.position).bind(cause).bind(now).bind(event.organization_id());
            Ok::<_, Error>(query.fetch_optional(tx.conn()).await.map_err(db::Error::from)?)
        };
        let attempts: Option<i32> = self.log.db().work(count).await.map_err(|_| Away)?;
        let Some(attempts) = attempts else { return Ok(AckKind::Term) };
        if attempts >= self.log.config().attempt_max {
            return self.park(source, event, cause, attempts, stream_sequence).await;
        }
        let delay = self.log.config().retry_delay(attempts);
        tracing::warn!(consumer = self.name, source, event_id = envelope.event_id, attempts, cause, "an event is tried again later");
        self.count("muster_inbox_retries_total", source);
        Ok(AckKind::Nak(Some(delay)))
    }

    /// Makes a dead letter of an event.
    async fn park(&self, source: &'static str, event: &Logged, cause: &str, attempts: i32, stream_sequence: u64) -> Result<AckKind, Away> {
        self.bury(event, &stream_name(source), stream_sequence, cause, attempts).await.map_err(|_| Away)?;
        tracing::error!(consumer = self.name, source, event_id = event.envelope.event_id, attempts, cause, "an event became a dead letter");
        self.count("muster_inbox_dead_total", source);
        Ok(AckKind::Term)
    }

    async fn postgres_answers(&self) -> bool {
        self.log.db().work_read_one::<(i32,)>("SELECT 1", |query| query).await.is_ok()
    }
}

impl Delivery {
    fn of(message: Message, source: &str) -> Self {
        let (stream_sequence, pending, first) =
            message.info().map(|info| (info.stream_sequence, info.pending, info.delivered <= 1)).unwrap_or_default();
        let event = match message.headers.as_ref().map(from_headers) {
            Some(Ok(envelope)) if envelope.service == source => Ok(Logged { envelope, body: message.payload.clone() }),
            Some(Ok(_)) => Err("the event is of another service than its stream".to_owned()),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("the message has no headers".to_owned()),
        };
        Delivery { message, event, stream_sequence, first, pending, done: AtomicBool::new(false) }
    }

    /// Tells the server what became of it. An answer that is lost costs one more delivery, which is found in the inbox.
    async fn answer(&self, answer: AckKind) {
        self.done.store(true, Ordering::SeqCst);
        if let Err(error) = self.message.ack_with(answer).await {
            tracing::debug!(stream_sequence = self.stream_sequence, %error, "an acknowledgement was not sent");
        }
    }

    /// What must stay in order. Garbage is in nobody's way.
    fn aggregate(&self) -> &str {
        self.event.as_ref().map_or("", |event| event.envelope.aggregate_id.as_str())
    }
}

/// One group for all, in the order they came, or one for each aggregate.
fn grouped(deliveries: &[Delivery], concurrency: usize) -> Vec<Vec<&Delivery>> {
    if concurrency == 1 {
        return vec![deliveries.iter().collect()];
    }
    let mut groups: Vec<Vec<&Delivery>> = Vec::new();
    for delivery in deliveries {
        match groups.iter_mut().find(|group| group[0].aggregate() == delivery.aggregate()) {
            Some(group) => group.push(delivery),
            None => groups.push(vec![delivery]),
        }
    }
    groups
}

async fn tell_progress(deliveries: &[Delivery]) -> Infallible {
    loop {
        sleep(PROGRESS).await;
        for delivery in deliveries.iter().filter(|delivery| !delivery.done.load(Ordering::SeqCst)) {
            // A hint: without it the message is delivered a second time and found in the inbox.
            let _ = delivery.message.ack_with(AckKind::Progress).await;
        }
    }
}

/// A message that is no event, kept as it came under an id made from its place, so that its second delivery is known.
fn garbage(source: &str, delivery: &Delivery) -> Logged {
    let place = format!("{}:{}", stream_name(source), delivery.stream_sequence);
    let event_id = Uuid::new_v5(&Uuid::NAMESPACE_OID, place.as_bytes()).to_string();
    Logged {
        envelope: EventEnvelope { event_id, service: source.to_owned(), ..EventEnvelope::default() },
        body: delivery.message.payload.clone(),
    }
}
