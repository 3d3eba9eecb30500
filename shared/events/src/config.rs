//! The settings of the bus and of the event log. Every field has a working default.

use std::time::Duration;

use runtime::config::{Faults, Section};
use serde::{Deserialize, Serialize};

/// Where NATS is.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct NatsConfig {
    /// One or several servers, comma-separated: `nats://host:port,nats://other:port`.
    pub url: String,
    /// A `.creds` file; empty when the server asks for none.
    pub credentials_file: String,
    /// Copies of every stream in a cluster, 1..=5. 1 on a single server, 3 in production.
    pub stream_replicas: usize,
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self { url: "nats://127.0.0.1:4222".to_owned(), credentials_file: String::new(), stream_replicas: 1 }
    }
}

impl Section for NatsConfig {
    fn docs() -> &'static [(&'static str, &'static str)] {
        &[
            ("url", "NATS servers, comma-separated: nats://host:port"),
            ("credentials_file", "path of a .creds file; empty when the server asks for none"),
            ("stream_replicas", "copies of every stream in a cluster, 1..=5"),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        faults.not_empty("url", &self.url);
        faults.range("stream_replicas", self.stream_replicas, 1..=5);
    }
}

/// How the event log is kept and moved.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct EventsConfig {
    /// Outbox rows numbered by one statement, and events in flight to the bus, 1..=1024. 256 moved 86,000 events/s (field note toolchain, 9).
    pub batch_size: i64,
    /// The pause between looks at the outbox while events come, in milliseconds, 1..=1000.
    pub poll_busy_ms: u64,
    /// The pause between looks while nobody pokes, in milliseconds, 10..=5000. It bounds the delay when a poke is lost.
    pub poll_idle_ms: u64,
    /// When Postgres ends the session of a leader that fell silent, in milliseconds, 1000..=60000; five times the heartbeat.
    pub leader_timeout_ms: u64,
    /// The time between two bookmarks of a quiet tail, in milliseconds, 50..=500: watchers take 3 s of silence for death, and after 2 s do nothing sensitive. A message lost on
    /// the way is noticed at the next one, and a revoked token has to be refused within a second.
    pub bookmark_ms: u64,
    /// The most tails (open watches) of one service in one process, 1..=100000. They share one reader; each holds about 2 KB.
    pub tails_max: usize,
    /// How long an event stays in the log, in days, 8..=3650: longer than on the bus (7), so that the bus can be filled again.
    pub event_keep_days: u32,
    /// How long a consumer remembers what it took, in days, 8..=3650: longer than a redelivery can come late.
    pub inbox_keep_days: u32,
    /// How long the answer to a request id is kept, in hours, 1..=168.
    pub request_keep_hours: u32,
    /// How often an event is tried before it becomes a dead letter, 1..=100.
    pub attempt_max: i32,
    /// The waits between the tries, in milliseconds; the last one repeats.
    pub retry_delays_ms: Vec<u64>,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            batch_size: 256,
            poll_busy_ms: 25,
            poll_idle_ms: 500,
            leader_timeout_ms: 10_000,
            bookmark_ms: 500,
            tails_max: 10_000,
            event_keep_days: 90,
            inbox_keep_days: 30,
            request_keep_hours: 24,
            attempt_max: 12,
            retry_delays_ms: vec![1_000, 5_000, 30_000, 120_000, 600_000],
        }
    }
}

impl EventsConfig {
    pub(crate) fn poll_busy(&self) -> Duration {
        Duration::from_millis(self.poll_busy_ms)
    }

    pub(crate) fn poll_idle(&self) -> Duration {
        Duration::from_millis(self.poll_idle_ms)
    }

    pub(crate) fn leader_timeout(&self) -> Duration {
        Duration::from_millis(self.leader_timeout_ms)
    }

    pub(crate) fn bookmark(&self) -> Duration {
        Duration::from_millis(self.bookmark_ms)
    }

    /// The wait after the try with this number, counted from 1.
    pub(crate) fn retry_delay(&self, attempts: i32) -> Duration {
        let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(0);
        let delay = self.retry_delays_ms.get(index).or(self.retry_delays_ms.last());
        Duration::from_millis(delay.copied().unwrap_or(1_000))
    }
}

impl Section for EventsConfig {
    fn docs() -> &'static [(&'static str, &'static str)] {
        &[
            ("batch_size", "outbox rows numbered by one statement and events in flight to the bus, 1..=1024"),
            ("poll_busy_ms", "pause between looks at the outbox while events come, 1..=1000"),
            ("poll_idle_ms", "pause between looks at the outbox while nobody pokes, 10..=5000"),
            ("leader_timeout_ms", "when Postgres ends the session of a silent leader, 1000..=60000"),
            ("bookmark_ms", "time between two bookmarks of a quiet watch, 50..=500"),
            ("tails_max", "the most open watches of one service in one process, 1..=100000"),
            ("event_keep_days", "how long an event stays in the log, 8..=3650"),
            ("inbox_keep_days", "how long a consumer remembers what it took, 8..=3650"),
            ("request_keep_hours", "how long the answer to a request id is kept, 1..=168"),
            ("attempt_max", "tries before an event becomes a dead letter, 1..=100"),
            ("retry_delays_ms", "waits between the tries; the last one repeats"),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        faults.range("batch_size", self.batch_size, 1..=1_024);
        faults.range("poll_busy_ms", self.poll_busy_ms, 1..=1_000);
        faults.range("poll_idle_ms", self.poll_idle_ms, 10..=5_000);
        faults.range("leader_timeout_ms", self.leader_timeout_ms, 1_000..=60_000);
        faults.range("bookmark_ms", self.bookmark_ms, 50..=500);
        faults.range("tails_max", self.tails_max, 1..=100_000);
        faults.range("event_keep_days", self.event_keep_days, 8..=3_650);
        faults.range("inbox_keep_days", self.inbox_keep_days, 8..=3_650);
        faults.range("request_keep_hours", self.request_keep_hours, 1..=168);
        faults.range("attempt_max", self.attempt_max, 1..=100);
        faults.require("retry_delays_ms", !self.retry_delays_ms.is_empty(), "must list at least one wait");
        let slower_than_leader = self.poll_idle_ms.saturating_mul(2) > self.leader_timeout_ms;
        faults.require(
            "leader_timeout_ms",
            !slower_than_leader,
            "must be at least twice poll_idle_ms, or a healthy leader is taken for dead",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_the_last_one_repeats() {
        let config = EventsConfig::default();
        let seconds: Vec<u64> = (1..=7).map(|attempts| config.retry_delay(attempts).as_secs()).collect();
        assert_eq!(seconds, [1, 5, 30, 120, 600, 600, 600]);
    }

    #[test]
    fn the_defaults_are_valid_and_a_leader_that_polls_too_slowly_is_refused() {
        let mut faults = Faults::default();
        EventsConfig::default().validate(&mut faults);
        NatsConfig::default().validate(&mut faults);
        assert!(faults.is_empty());
        EventsConfig { poll_idle_ms: 5_000, leader_timeout_ms: 6_000, ..EventsConfig::default() }.validate(&mut faults);
        assert!(!faults.is_empty());
    }

    /// A revoked token is refused within a second though its message is lost: half of that is the watcher's, to ask for all that is revoked.
    #[test]
    fn a_quiet_watch_is_told_every_half_second_that_it_is_whole() {
        for (bookmark_ms, is_good) in [(500, true), (501, false)] {
            let mut faults = Faults::default();
            EventsConfig { bookmark_ms, ..EventsConfig::default() }.validate(&mut faults);
            assert_eq!(faults.is_empty(), is_good, "{bookmark_ms}");
        }
    }
}
