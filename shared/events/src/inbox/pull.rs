//! Pulling from one source: the durable consumer, its batches, and the pauses while Postgres or NATS is away.
//!
//! Every wait here has an end, so a consumer that the server lost, a stream that is gone, or a pull that vanished with a connection is made
//! anew within seconds. Source: reliability 2, trap 14; tried: a pull whose server was killed is silent for twice its expiry.
//!
//! Why the consumer is made anew each time pulling begins, after the last message below which all is acknowledged: what was pulled and not
//! acknowledged (by a process that was killed, over a connection that broke) would come again after the ack wait, behind newer events of its
//! aggregate. This way it comes first. What comes twice by it is found in the inbox, a chunk at a time.

use std::convert::Infallible;
use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::{Batch, Config};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer};
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use futures::{FutureExt, StreamExt};
use runtime::Backoff;
use sqlx::AssertSqlSafe;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::fresh::Backlog;
use super::{Consumer, Handler};
use crate::bus::{BROKEN, stream_name};
use crate::sequencer::chain;
use crate::{BusError, Error, Log, Outcome};

/// When the server takes a message for lost and delivers it again.
const ACK_WAIT: Duration = Duration::from_secs(30);
/// Messages in flight, those that wait for their next try included.
const ACK_PENDING_MAX: i64 = 1_024;
/// Messages of one pull. Source: reliability 7.7.
const BATCH: usize = 32;
/// How long a pull stays open on the server.
const EXPIRES: Duration = Duration::from_secs(2);
/// How long a handler may take to rebuild.
const REBUILD_MAX: Duration = Duration::from_secs(120);
/// How long before the client gives up a pull that the server did not end.
const SILENCE_MAX: Duration = Duration::from_secs(4);

/// Why a pull came to its end.
pub(super) enum Stop {
    /// Postgres does not answer: nothing is pulled until it does.
    PostgresAway,
    /// Anything else: made anew.
    Failed(Error),
}

impl<H: Handler> Consumer<H> {
    /// Consumes `source` for ever.
    pub(super) async fn consume(&self, source: &'static str) -> Infallible {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut connections = self.log.bus().connections();
        self.await_postgres(source).await;
        loop {
            match self.pull(source, &mut connections, &mut backoff).await {
                Stop::PostgresAway => {
                    tracing::warn!(service = self.log.service(), consumer = self.name, source, "not pulling: Postgres is away");
                    self.count("muster_inbox_pauses_total", source);
                    self.await_postgres(source).await;
                }
                Stop::Failed(error) => {
                    self.note(source, &error, backoff.attempt());
                    tokio::select! {
                        () = backoff.wait() => {}
                        Ok(()) = connections.changed() => {}
                    }
                }
            }
        }
    }

    /// Pulls and takes until something goes wrong.
    async fn pull(&self, source: &'static str, connections: &mut watch::Receiver<u64>, backoff: &mut Backoff) -> Stop {
        connections.mark_unchanged();
        let started = Instant::now();
        let (mut consumer, known_until) = match self.restart(source).await {
            Ok(restarted) => restarted,
            Err(error) => return Stop::Failed(error),
        };
        let mut backlog = Backlog::default();
        if consumer.cached_info().num_pending == 0 {
            self.caught_up(source, started).await;
        }
        loop {
            let asked = Instant::now();
            let opened = timeout(SILENCE_MAX, consumer.batch().max_messages(BATCH).expires(EXPIRES).messages()).await;
            let Ok(Ok(mut batch)) = opened else { return Stop::Failed(BusError::Away.into()) };
            let mut taken = false;
            loop {
                let messages = match next(&mut batch, connections).await {
                    Ok(messages) if messages.is_empty() => break,
                    Ok(messages) => messages,
                    Err(error) => return Stop::Failed(error.into()),
                };
                backoff.reset();
                taken = true;
                let Ok((new, behind)) = self.take_all(source, messages, known_until).await else { return Stop::PostgresAway };
                if let Some(until) = backlog.took(asked, new, behind) {
                    self.caught_up(source, until).await;
                }
            }
            backoff.reset();
            if !taken {
                // An empty pull is no proof: that of a consumer which somebody paused is empty too.
                let asked = Instant::now();
                match timeout(SILENCE_MAX, consumer.info()).await {
                    Ok(Ok(info)) if info.num_pending == 0 => self.caught_up(source, asked).await,
                    Ok(Ok(_)) => {}
                    _ => return Stop::Failed(BusError::Away.into()),
                }
            }
        }
    }

    /// Makes the consumer anew after what it has acknowledged without a gap; at the start of the stream when the server has none. Also returns
    /// the newest message of the stream: up to there, events may have been taken already.
    ///
    /// Where events may be missing between what was taken and what the stream holds, the handler rebuilds first: a consumer that stands is the
    /// sign that this was done.
    async fn restart(&self, source: &'static str) -> Result<(PullConsumer, u64), Error> {
        let refused = |error: &dyn std::fmt::Display| Error::from(BusError::Refused(error.to_string()));
        let stream = self.log.bus().ensure_stream(source).await?;
        let state = stream.get_info().await.map_err(|error| refused(&error))?.state;
        let known_until = state.last_sequence;
        let (stands, acknowledged) = match stream.consumer_info(self.name).await {
            Ok(info) => (true, info.ack_floor.stream_sequence),
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => (false, 0),
            Err(error) => return Err(refused(&error)),
        };
        if acknowledged == 0 || acknowledged + 1 < state.first_sequence {
            self.rebuild(source, acknowledged, state.first_sequence).await?;
        }
        if stands {
            stream.delete_consumer(self.name).await.map_err(|error| refused(&error))?;
        }
        let deliver_policy =
            if acknowledged == 0 { DeliverPolicy::All } else { DeliverPolicy::ByStartSequence { start_sequence: acknowledged + 1 } };
        let config = Config {
            durable_name: Some(self.name.to_owned()),
            deliver_policy,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_deliver: -1,
            max_ack_pending: ACK_PENDING_MAX,
            ..Config::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(|error| refused(&error))?;
        Ok((consumer, known_until))
    }

    async fn rebuild(&self, source: &'static str, acknowledged: u64, first_sequence: u64) -> Result<(), Error> {
        if acknowledged > 0 {
            let service = self.log.service();
            tracing::error!(service, consumer = self.name, source, acknowledged, first_sequence, "the stream begins after what was taken");
            self.count("muster_inbox_gaps_total", source);
        }
        let late = || Outcome::Retry(format!("it took longer than {} s", REBUILD_MAX.as_secs()));
        timeout(REBUILD_MAX, self.handler.rebuild(source)).await.unwrap_or_else(|_| Err(late())).map_err(Error::NotRebuilt)
    }

    /// Waits until Postgres answers, and learns anew which aggregates wait.
    async fn await_postgres(&self, source: &'static str) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        while let Err(error) = self.load_held(source).await {
            tracing::debug!(service = self.log.service(), consumer = self.name, error = chain(&error), "Postgres is still away");
            backoff.wait().await;
        }
    }

    async fn load_held(&self, source: &'static str) -> Result<(), Error> {
        let rows: Vec<(String, i64, i32)> =
            self.log.db().work_read(AssertSqlSafe(self.log.sql().attempts.as_str()), |query| query.bind(self.name).bind(source)).await?;
        self.held.clear(source);
        for (aggregate_id, position, attempts) in rows {
            self.held.hold(source, &aggregate_id, position, self.log.config().retry_delay(attempts));
        }
        Ok(())
    }

    fn note(&self, source: &str, error: &Error, attempt: u32) {
        self.count("muster_inbox_pull_failures_total", source);
        let (service, consumer, error) = (self.log.service(), self.name, chain(error));
        match attempt {
            0 => tracing::info!(service, consumer, source, error, "not pulling"),
            BROKEN => tracing::warn!(service, consumer, source, error, "still not pulling"),
            _ => tracing::debug!(service, consumer, source, attempt, error, "still not pulling"),
        }
    }
}

/// What is there of a batch, waiting for the first; empty when the batch is over.
async fn next(batch: &mut Batch, connections: &mut watch::Receiver<u64>) -> Result<Vec<Message>, BusError> {
    let refused = |error: async_nats::Error| BusError::Refused(error.to_string());
    let first = tokio::select! {
        first = timeout(SILENCE_MAX, batch.next()) => first.map_err(|_| BusError::Away)?,
        _ = connections.changed() => return Err(BusError::Away),
    };
    let mut messages: Vec<Message> = first.transpose().map_err(refused)?.into_iter().collect();
    while !messages.is_empty()
        && messages.len() < BATCH
        && let Some(Some(Ok(message))) = batch.next().now_or_never()
    {
        messages.push(message);
    }
    Ok(messages)
}

/// How many messages of `source` the consumer has not taken yet; `None` when the bus does not say.
pub(crate) async fn pending(log: &Log, consumer: &str, source: &str) -> Option<u64> {
    let stream = log.bus().stream(&stream_name(source)).await.ok()?;
    let info = stream.consumer_info(consumer).await.ok()?;
    Some(info.num_pending + u64::try_from(info.num_ack_pending).unwrap_or(0))
}
