//! Tests of the audit service: real server, real Postgres, real NATS.
#![expect(clippy::unwrap_used, reason = "a test may fail by unwrap")]

mod get_event;
mod keep_records;
mod list_events;
mod record_events;
mod verbs;
