//! The event log against a real Postgres and a real NATS: what happens to an event when any part of the way fails.

#![expect(clippy::unwrap_used, reason = "a failing step fails its test, also in what tests share")]

mod admin;
mod backlog;
mod child;
mod conservation;
mod crash;
mod failures;
mod faults;
mod leader;
mod retention;
mod tail;
mod verbs;
mod world;
