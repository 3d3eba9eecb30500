//! The client loop that keeps a copy of another service's state: a snapshot with a position, then the changes after it, for ever.
//!
//! Each message names the position before it. A message that doesn't join on to what is held is a gap, and a gap means a new snapshot; there
//! is no repair of single messages. Silence longer than three heartbeats means a dead peer, and a new connection.
//!
//! Deliberately absent: gRPC. Whoever keeps a copy implements [`Replica`] over its client.

mod faults;
mod status;
#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::time::timeout;

pub use faults::FeedFaults;
pub use status::FeedStatus;

use crate::{Backoff, Shutdown};

/// One message of a watch stream. A heartbeat is a message whose two positions are equal; its body is not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<B> {
    /// The position of the message before.
    pub previous_position: i64,
    /// The position reached with this one.
    pub position: i64,
    /// What happened in between.
    pub body: B,
}

/// A copy of another service's state, and how to fetch it.
pub trait Replica: Send {
    /// The whole state at one position.
    type Snapshot: Send;
    /// What one message changes.
    type Body: Send;
    /// What the peer, or the way to it, may answer.
    type Error: Display + Send;

    /// Fetches the whole state and the position it is true at.
    fn snapshot(&mut self) -> impl Future<Output = Result<(i64, Self::Snapshot), Self::Error>> + Send;

    /// Opens the stream of changes after `position`. The peer sends a heartbeat at least every second.
    fn watch(&mut self, position: i64) -> impl Future<Output = Result<Changes<Self>, Self::Error>> + Send;

    /// Whether `error` says that the position is too old to go on from (`RESUME_TOKEN_EXPIRED`): then a snapshot comes first.
    fn needs_snapshot(&self, error: &Self::Error) -> bool;

    /// Replaces the copy.
    fn install(&mut self, position: i64, snapshot: Self::Snapshot);

    /// Changes the copy.
    fn apply(&mut self, position: i64, body: Self::Body);

    /// Sees the body of every message that joins on, heartbeats included, before it is applied.
    fn hear(&mut self, _body: &Self::Body) {}

    /// Hears that the peer lives and the copy is as far as the peer: after each snapshot, message and heartbeat.
    fn current(&mut self) {}
}

/// The stream that [`Replica::watch`] opens.
pub type Changes<R> = BoxStream<'static, Result<Message<<R as Replica>::Body>, <R as Replica>::Error>>;

/// Failures in a row that are told without a warning.
const QUIET_ATTEMPTS: u32 = 4;

/// The time limits of a feed.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long a snapshot may take. 30 s: the default deadline of GetSnapshot.
    pub snapshot_timeout: Duration,
    /// The longest silence on an open stream, and the longest opening. 3 s: three heartbeats missed.
    pub heartbeat_timeout: Duration,
    /// The cap of the first delay after a failure, 100 ms, and of every later one, 5 s.
    pub backoff: Backoff,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            snapshot_timeout: Duration::from_secs(30),
            heartbeat_timeout: Duration::from_secs(3),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(5)),
        }
    }
}

/// One client loop.
#[derive(Debug)]
pub struct Feed {
    service: &'static str,
    name: &'static str,
    options: Options,
    faults: FeedFaults,
    status: FeedStatus,
}

/// Why one connection's worth of work ended.
enum End {
    /// A message did not join on to the position held.
    Gap,
    /// The peer's log no longer reaches back to the position held.
    Expired(String),
    /// The connection, or the peer, failed.
    Broken(String),
}

impl Feed {
    /// A feed of `service` (the one that keeps the copy) named after what it copies, e.g. `revocations`.
    pub fn new(service: &'static str, name: &'static str, options: Options) -> Self {
        Self { service, name, options, faults: FeedFaults::default(), status: FeedStatus::default() }
    }

    /// Lets a test lose messages: see [`FeedFaults`].
    #[must_use]
    pub fn with_faults(mut self, faults: FeedFaults) -> Self {
        self.faults = faults;
        self
    }

    /// Tells how current the copy is. Take it before [`run`](Self::run) takes the feed.
    pub fn status(&self) -> FeedStatus {
        self.status.clone()
    }

    /// A peer that starts or restarts breaks a feed or two: only what goes on is worth a warning.
    fn tell_broken(&self, attempt: u32, error: &str) {
        let (service, feed) = (self.service, self.name);
        if attempt < QUIET_ATTEMPTS {
            tracing::info!(service, feed, attempt, error, "feed broken: connecting again");
        } else {
            tracing::warn!(service, feed, attempt, error, "feed still broken: connecting again");
        }
    }

    /// Keeps the copy current until shutdown. It ends for no other reason: every failure is retried, with backoff.
    pub async fn run<R: Replica>(self, mut replica: R, shutdown: Shutdown) {
        tokio::select! {
            () = self.keep(&mut replica) => {}
            () = self.report_staleness() => {}
            () = shutdown.requested() => {}
        }
    }

    async fn keep<R: Replica>(&self, replica: &mut R) {
        let mut backoff = self.options.backoff.clone();
        let mut held: Option<i64> = None;
        loop {
            match self.connection(replica, &mut held, &mut backoff).await {
                End::Gap => {
                    held = None;
                    self.count("muster_feed_gaps_total");
                    tracing::warn!(service = self.service, feed = self.name, "a message was lost: taking a new snapshot");
                }
                End::Expired(error) => {
                    held = None;
                    tracing::info!(service = self.service, feed = self.name, error, "the position is too old: taking a new snapshot");
                }
                End::Broken(error) => {
                    self.count("muster_feed_failures_total");
                    self.tell_broken(backoff.attempt(), &error);
                }
            }
            backoff.wait().await;
        }
    }

    async fn connection<R: Replica>(&self, replica: &mut R, held: &mut Option<i64>, backoff: &mut Backoff) -> End {
        let mut position = match *held {
            Some(position) => position,
            None => match self.resync(replica).await {
                Ok(position) => *held.insert(position),
                Err(end) => return end,
            },
        };
        let silence = self.options.heartbeat_timeout;
        let opened = async {
            self.faults.silence_over().await;
            replica.watch(position).await
        };
        let mut changes = match timeout(silence, opened).await {
            Ok(Ok(changes)) => changes,
            Ok(Err(error)) => return broken(replica, error),
            Err(_) => return End::Broken("the watch stream did not open in time".to_owned()),
        };
        loop {
            let next = async {
                let next = changes.next().await;
                self.faults.silence_over().await;
                next
            };
            let message = match timeout(silence, next).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return broken(replica, error),
                Ok(None) => return End::Broken("the peer closed the watch stream".to_owned()),
                Err(_) => return End::Broken("no heartbeat".to_owned()),
            };
            let heartbeat = message.position == message.previous_position;
            if !heartbeat && self.faults.loses_this_one() {
                continue;
            }
            if message.previous_position != position || message.position < position {
                return End::Gap;
            }
            replica.hear(&message.body);
            if !heartbeat {
                position = *held.insert(message.position);
                replica.apply(position, message.body);
            }
            backoff.reset();
            self.current(replica, position);
        }
    }

    async fn resync<R: Replica>(&self, replica: &mut R) -> Result<i64, End> {
        let fetched = async {
            self.faults.silence_over().await;
            replica.snapshot().await
        };
        match timeout(self.options.snapshot_timeout, fetched).await {
            Ok(Ok((position, snapshot))) => {
                replica.install(position, snapshot);
                self.count("muster_feed_resyncs_total");
                self.current(replica, position);
                Ok(position)
            }
            Ok(Err(error)) => Err(End::Broken(error.to_string())),
            Err(_) => Err(End::Broken("the snapshot did not arrive in time".to_owned())),
        }
    }

    fn current<R: Replica>(&self, replica: &mut R, position: i64) {
        replica.current();
        self.status.heard(position);
        metrics::gauge!("muster_feed_position", "service" => self.service, "feed" => self.name).set(position as f64);
    }

    fn count(&self, counter: &'static str) {
        metrics::counter!(counter, "service" => self.service, "feed" => self.name).increment(1);
    }

    async fn report_staleness(&self) {
        let gauge = metrics::gauge!("muster_feed_staleness_seconds", "service" => self.service, "feed" => self.name);
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tick.tick().await;
            gauge.set(self.status.staleness().map_or(f64::INFINITY, |staleness| staleness.as_secs_f64()));
        }
    }
}

fn broken<R: Replica>(replica: &R, error: R::Error) -> End {
    if replica.needs_snapshot(&error) { End::Expired(error.to_string()) } else { End::Broken(error.to_string()) }
}
