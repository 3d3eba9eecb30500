//! The connection to NATS: one per process, kept for ever, and the stream of each service on it.
//!
//! Why a chain of message ids: every message but the first of a batch carries `Nats-Expected-Last-Msg-Id` of the one before. When the server
//! refuses one of a batch in flight, it refuses the rest too, so the stream is always a prefix of the log; a relay that was frozen and thaws
//! finds its chain broken. The server looks for duplicates first (tried on 2.15.1), so that sending a batch again is harmless.
//!
//! Why nothing is sent while the connection is down: async-nats keeps up to 2,048 commands for later and then blocks the sender.
//!
//! Deliberately absent: request-reply over NATS. Calls between services are gRPC.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::context::PublishAckFuture;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, Event, Subscriber};
use tokio::sync::watch;

use crate::envelope::{subject, to_headers};
use crate::{BusError, Logged, NatsConfig};

/// How long an event stays on the bus. Source: design.md 3, Events.
pub(crate) const STREAM_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How long the server remembers message ids. Source: design.md 3, Events.
const DEDUPE_WINDOW: Duration = Duration::from_secs(600);
/// How long a PubAck or an answer of the JetStream API may take; async-nats would wait 30 s for acks. Source: reliability 2, trap 14.
const ACK_TIMEOUT: Duration = Duration::from_secs(5);
const PING_INTERVAL: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The failure in a row that is worth a warning: a server that starts or restarts makes the ones before it.
pub(crate) const BROKEN: u32 = 4;
/// The longest wait between two tries to connect. async-nats' own schedule reaches 4 s.
const RECONNECT_MAX: Duration = Duration::from_secs(2);
/// The largest message this suite sends: a body of 256 KiB and its headers.
const PAYLOAD_MIN: usize = 300 * 1_024;

/// The connection to NATS. Cheap to clone.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    client: Client,
    jetstream: Context,
    replicas: usize,
    /// How often a connection was made: whoever holds an older number knows that messages may be lost.
    connected: watch::Receiver<u64>,
}

impl Bus {
    /// Prepares the connection as `name` (shown in the server's monitoring) and returns at once, also when no server is there yet: it is
    /// tried for ever in the background.
    ///
    /// # Errors
    /// [`BusError::Configuration`] for an address or a credentials file that can't be read.
    pub async fn connect(config: &NatsConfig, name: &str) -> Result<Self, BusError> {
        let wrong = |error: &dyn std::fmt::Display| BusError::Configuration(error.to_string());
        let (count, connected) = watch::channel(0_u64);
        let count = Arc::new(count);
        let jitter = AtomicU64::new(0);
        let mut options = ConnectOptions::new()
            .name(format!("muster {name}"))
            .retry_on_initial_connect()
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .no_echo()
            .reconnect_delay_callback(move |attempt| reconnect_delay(attempt, jitter.fetch_add(7, Ordering::Relaxed)))
            .event_callback(move |event| {
                let count = count.clone();
                async move { note(&event, &count) }
            });
        if !config.credentials_file.is_empty() {
            options = options.credentials_file(&config.credentials_file).await.map_err(|error| wrong(&error))?;
        }
        let servers: Vec<async_nats::ServerAddr> =
            config.url.split(',').map(|url| url.trim().parse()).collect::<Result<_, _>>().map_err(|error| wrong(&error))?;
        let client = options.connect(servers).await.map_err(|error| wrong(&error))?;
        let jetstream = jetstream::context::ContextBuilder::new().timeout(ACK_TIMEOUT).ack_timeout(ACK_TIMEOUT).build(client.clone());
        Ok(Bus(Arc::new(Inner { client, jetstream, replicas: config.stream_replicas, connected })))
    }

    /// Whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        self.0.client.connection_state() == State::Connected
    }

    /// Counts the connections made so far and hears of new ones.
    pub(crate) fn connections(&self) -> watch::Receiver<u64> {
        self.0.connected.clone()
    }

    fn connected(&self) -> Result<(), BusError> {
        if self.is_connected() { Ok(()) } else { Err(BusError::Away) }
    }

    /// Makes the stream `MUSTER_<SERVICE>` over `muster.<service>.v1.>`, or brings its settings up to date: file, limits, 7 days, dedupe of
    /// 10 minutes, nothing deleted or purged by hand, new messages refused when full.
    ///
    /// # Errors
    /// [`BusError::Away`], [`BusError::Unfit`] for a server below 2.10, [`BusError::Refused`].
    pub async fn ensure_stream(&self, service: &str) -> Result<Stream, BusError> {
        self.connected()?;
        self.check_server()?;
        let config = Config {
            name: stream_name(service),
            subjects: vec![format!("muster.{service}.v1.>")],
            storage: StorageType::File,
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::New,
            max_age: STREAM_MAX_AGE,
            duplicate_window: DEDUPE_WINDOW,
            num_replicas: self.0.replicas,
            deny_delete: true,
            deny_purge: true,
            allow_direct: true,
            ..Config::default()
        };
        let name = config.name.clone();
        self.0.jetstream.create_or_update_stream(config).await.map_err(|error| BusError::Refused(error.to_string()))?;
        self.0.jetstream.get_stream(name).await.map_err(|error| BusError::Refused(error.to_string()))
    }

    /// A stream as it is, made by whoever publishes to it.
    pub(crate) async fn stream(&self, name: &str) -> Result<Stream, BusError> {
        self.connected()?;
        self.0.jetstream.get_stream(name).await.map_err(|error| BusError::Refused(error.to_string()))
    }

    /// Refuses a server that would lose consumer filters (2.9) or could not take the largest event.
    fn check_server(&self) -> Result<(), BusError> {
        let info = self.0.client.server_info();
        let unfit = |why| BusError::Unfit { version: info.version.clone(), why };
        if !is_at_least_2_10(&info.version) {
            return Err(unfit("2.10 or later is needed"));
        }
        if info.max_payload < PAYLOAD_MIN {
            return Err(unfit("max_payload must be at least 300 KiB"));
        }
        Ok(())
    }

    /// What the stream ends with.
    pub(crate) async fn newest(&self, stream: &Stream) -> Result<Newest, BusError> {
        let refused = |error: &dyn std::fmt::Display| BusError::Refused(error.to_string());
        let state = stream.get_info().await.map_err(|error| refused(&error))?.state;
        if state.messages == 0 {
            return Ok(Newest::Nothing);
        }
        let last = stream.get_raw_message(state.last_sequence).await.map_err(|error| refused(&error))?;
        let position = last.headers.get("ce-position").and_then(|value| value.as_str().parse().ok());
        Ok(position.map_or(Newest::NoEvent, Newest::Event))
    }

    /// Sends an event and returns what will be its PubAck. `previous` is the id of the event sent before it in this batch.
    pub(crate) async fn publish(&self, event: &Logged, previous: Option<&str>) -> Result<PublishAckFuture, BusError> {
        self.connected()?;
        let mut message = PublishMessage::build()
            .payload(event.body.clone())
            .headers(to_headers(&event.envelope))
            .message_id(&event.envelope.event_id)
            .expected_stream(stream_name(&event.envelope.service));
        if let Some(previous) = previous {
            message = message.expected_last_message_id(previous);
        }
        let sent = self.0.jetstream.send_publish(subject(&event.envelope), message).await;
        sent.map_err(|error| BusError::NotStored { position: event.envelope.position, cause: error.to_string() })
    }

    /// Tells the other processes of `service` that there is something to look for. A hint: lost when nobody hears it.
    pub(crate) async fn poke(&self, service: &str) {
        if self.is_connected() {
            // A hint that can't be sent is made good by the next poll.
            let _ = self.0.client.publish(format!("muster.poke.{service}"), bytes::Bytes::new()).await;
        }
    }

    /// Hears the hints of the other processes of `service`: a connection does not hear itself.
    pub(crate) async fn pokes(&self, service: &str) -> Result<Subscriber, BusError> {
        self.0.client.subscribe(format!("muster.poke.{service}")).await.map_err(|error| BusError::Refused(error.to_string()))
    }
}

/// What a stream ends with.
pub(crate) enum Newest {
    /// It is empty: new, wiped, or everything in it is older than seven days.
    Nothing,
    /// An event, with this position in its service's log.
    Event(i64),
    /// Something that the relay did not put there.
    NoEvent,
}

/// `MUSTER_TASKS`.
pub(crate) fn stream_name(service: &str) -> String {
    format!("MUSTER_{}", service.to_ascii_uppercase())
}

fn is_at_least_2_10(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (2, 10)
}

/// 50 ms doubling to 2 s, less up to a quarter, so that processes which lost one server don't come back in step.
fn reconnect_delay(attempt: usize, draw: u64) -> Duration {
    let exponent = u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX).min(6);
    let cap = Duration::from_millis(50).saturating_mul(2_u32.pow(exponent)).min(RECONNECT_MAX);
    let noise = u64::from(std::process::id()).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(draw) >> 7 & 0xff;
    cap - cap.mul_f64(f64::from(u8::try_from(noise).unwrap_or(0)) / 1_024.0)
}

fn note(event: &Event, count: &watch::Sender<u64>) {
    match event {
        Event::Connected => {
            tracing::info!("connected to NATS");
            count.send_modify(|count| *count += 1);
        }
        Event::Disconnected => tracing::warn!("lost the connection to NATS"),
        Event::Closed => tracing::debug!("closed the connection to NATS"),
        Event::ClientError(error) => tracing::debug!(%error, "NATS client"),
        other => tracing::warn!(event = %other, "NATS"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_below_2_10_are_refused() {
        let fit: Vec<bool> = ["2.9.10", "2.10.0", "2.15.1", "3.0.0", "", "2.10.0-RC.1"].map(is_at_least_2_10).into();
        assert_eq!(fit, [false, true, true, true, false, true]);
    }

    #[test]
    fn tries_to_connect_never_come_later_than_two_seconds_nor_at_once() {
        for attempt in 0..100 {
            let delay = reconnect_delay(attempt, attempt as u64);
            assert!(delay <= RECONNECT_MAX && delay >= Duration::from_millis(37), "{attempt}: {delay:?}");
        }
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_refused_at_once() {
        let config = NatsConfig { url: "nats://127.0.0.1:notaport".to_owned(), ..NatsConfig::default() };
        assert!(matches!(Bus::connect(&config, "test").await, Err(BusError::Configuration(_))));
    }
}
