//! Tests of the notifications service: real server, real Postgres, real NATS.
#![expect(clippy::unwrap_used, reason = "a test may fail by unwrap")]

mod inbox;
mod tell;
mod verbs;
mod watch_inbox;
