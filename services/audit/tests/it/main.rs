//! Tests of the audit service: real server, real Postgres, real NATS.
#![expect(clippy::unwrap_used, reason = "a test may fail by unwrap")]

mod record_events;
mod verbs;
