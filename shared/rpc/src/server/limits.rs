//! The limits of a server: every one is set, none is left to a library's default.

use runtime::config::{Faults, Section};
use serde::{Deserialize, Serialize};

/// The limits of a server. The defaults are those of field note reliability, section 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Calls that run at once, without streams.
    pub calls_max: usize,
    /// Calls that wait for a place.
    pub queue_max: usize,
    /// How long one waits.
    pub queue_wait_ms: u64,
    /// Streams of users that are open at once.
    pub streams_max: usize,
    /// Streams that one user, or one peer, has open at once.
    pub caller_streams_max: usize,
    /// Streams that anybody may open (reflection, Watch of health) that are open at once.
    pub public_streams_max: usize,
    /// Calls of services on their own behalf that run at once: places that nobody else can take.
    pub service_calls_max: usize,
    /// Streams of services on their own behalf, such as feeds, that are open at once: places that nobody else can take.
    pub service_streams_max: usize,
    /// Connections that are open at once.
    pub connections_max: usize,
    /// Connections that one address, of IPv6 one /64, has open at once.
    pub address_connections_max: usize,
    /// Streams on one connection at once.
    pub connection_streams_max: u32,
    /// After which a connection is asked to end (GOAWAY), plus or minus a tenth.
    pub connection_age_ms: u64,
    /// Within which a new connection must say something.
    pub handshake_ms: u64,
    /// Silence after which a connection is pinged.
    pub keepalive_ms: u64,
    /// Within which it must answer.
    pub keepalive_timeout_ms: u64,
    /// Within which the message of a request must arrive in full.
    pub request_read_ms: u64,
    /// Within which a client must take the next piece of an answer (16 KiB, or a message that is smaller), and after the deadline the rest of it,
    /// else its call is cut off; and some byte, else its connection is.
    pub answer_read_ms: u64,
    /// Bytes of messages that have not arrived in full, of all callers together; the first 4 KiB of each are not counted.
    pub unread_bytes_max: usize,
    /// Bytes of answers that their clients have not read, streams apart, of all callers together; those of at most 4 KiB are not counted.
    pub answer_unread_bytes_max: usize,
    /// The largest request, unless a method is granted more.
    pub request_bytes_max: usize,
    /// The largest answer.
    pub response_bytes_max: usize,
    /// How long a server that says NOT_SERVING goes on taking connections and calls, before it drains: the time that load balancers need to
    /// hear of it.
    pub drain_delay_ms: u64,
    /// How long calls may go on after that.
    pub drain_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            calls_max: 256,
            queue_max: 1024,
            queue_wait_ms: 50,
            streams_max: 1024,
            caller_streams_max: 100,
            public_streams_max: 64,
            service_calls_max: 64,
            service_streams_max: 256,
            connections_max: 1024,
            address_connections_max: 1024,
            connection_streams_max: 100,
            connection_age_ms: 1_800_000,
            handshake_ms: 10_000,
            keepalive_ms: 30_000,
            keepalive_timeout_ms: 10_000,
            request_read_ms: 10_000,
            answer_read_ms: 30_000,
            unread_bytes_max: 64 * 1024 * 1024,
            answer_unread_bytes_max: 64 * 1024 * 1024,
            request_bytes_max: 1024 * 1024,
            response_bytes_max: 4 * 1024 * 1024,
            drain_delay_ms: 0,
            drain_ms: 15_000,
        }
    }
}

impl Section for Limits {
    fn docs() -> &'static [(&'static str, &'static str)] {
        &[
            ("calls_max", "Calls that run at once, without streams, 1..=100000."),
            ("queue_max", "Calls that wait for a place, 0..=100000."),
            ("queue_wait_ms", "How long a call waits for a place, 0..=5000 ms."),
            ("streams_max", "Streams of users that are open at once, 1..=100000."),
            ("caller_streams_max", "Streams that one user, or one peer, has open at once, 1..=100000."),
            ("public_streams_max", "Streams that anybody may open (reflection, Watch of health) that are open at once, 1..=100000."),
            ("service_calls_max", "Calls of services on their own behalf that run at once: places that nobody else takes, 1..=100000."),
            (
                "service_streams_max",
                "Streams of services, such as feeds, that are open at once: places that nobody else takes, 1..=100000.",
            ),
            ("connections_max", "Connections that are open at once, 1..=100000; keep it below the limit of file descriptors."),
            ("address_connections_max", "Connections that one address, of IPv6 one /64, has open at once, 1..=100000."),
            ("connection_streams_max", "Streams on one connection at once, 10..=1000."),
            ("connection_age_ms", "After which a connection is asked to end, plus or minus a tenth, 1000..=86400000 ms."),
            ("handshake_ms", "Within which a new connection must say something, 100..=60000 ms."),
            ("keepalive_ms", "Silence after which a connection is pinged, 1000..=3600000 ms."),
            ("keepalive_timeout_ms", "Within which it must answer, 100..=60000 ms."),
            ("request_read_ms", "Within which the message of a request must arrive in full, 100..=60000 ms."),
            (
                "answer_read_ms",
                "Within which a client must take the next piece of an answer, and after the deadline the rest of it, else its call is cut off, 100..=600000 ms.",
            ),
            (
                "unread_bytes_max",
                "Messages that have not arrived in full, all together, without 4 KiB of each, 16777216..=1073741824 bytes.",
            ),
            (
                "answer_unread_bytes_max",
                "Answers that their clients have not read, all together, without those of at most 4 KiB, 16777216..=1073741824 bytes; beyond \
                 it, calls keep their places until they are read.",
            ),
            ("request_bytes_max", "The largest request, unless a method is granted more, 1024..=16777216 bytes."),
            ("response_bytes_max", "The largest answer, 1024..=16777216 bytes."),
            (
                "drain_delay_ms",
                "How long a service that says NOT_SERVING goes on taking calls before it drains, 0..=60000 ms; under Kubernetes 5000, and \
                 terminationGracePeriodSeconds no less than drain_delay_ms, drain_ms and 10 s together.",
            ),
            ("drain_ms", "How long calls may go on after a stop was asked for and the delay is over, 0..=60000 ms."),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        faults.range("calls_max", self.calls_max, 1..=100_000);
        faults.range("queue_max", self.queue_max, 0..=100_000);
        faults.range("queue_wait_ms", self.queue_wait_ms, 0..=5_000);
        faults.range("streams_max", self.streams_max, 1..=100_000);
        faults.range("caller_streams_max", self.caller_streams_max, 1..=100_000);
        faults.range("public_streams_max", self.public_streams_max, 1..=100_000);
        faults.range("service_calls_max", self.service_calls_max, 1..=100_000);
        faults.range("service_streams_max", self.service_streams_max, 1..=100_000);
        faults.range("connections_max", self.connections_max, 1..=100_000);
        faults.range("address_connections_max", self.address_connections_max, 1..=100_000);
        faults.range("connection_streams_max", self.connection_streams_max, 10..=1_000);
        faults.range("connection_age_ms", self.connection_age_ms, 1_000..=86_400_000);
        faults.range("handshake_ms", self.handshake_ms, 100..=60_000);
        faults.range("keepalive_ms", self.keepalive_ms, 1_000..=3_600_000);
        faults.range("keepalive_timeout_ms", self.keepalive_timeout_ms, 100..=60_000);
        faults.range("request_read_ms", self.request_read_ms, 100..=60_000);
        faults.range("answer_read_ms", self.answer_read_ms, 100..=600_000);
        faults.range("unread_bytes_max", self.unread_bytes_max, 16_777_216..=1_073_741_824);
        faults.range("answer_unread_bytes_max", self.answer_unread_bytes_max, 16_777_216..=1_073_741_824);
        faults.range("request_bytes_max", self.request_bytes_max, 1_024..=16_777_216);
        faults.range("response_bytes_max", self.response_bytes_max, 1_024..=16_777_216);
        faults.range("drain_delay_ms", self.drain_delay_ms, 0..=60_000);
        faults.range("drain_ms", self.drain_ms, 0..=60_000);
    }
}
