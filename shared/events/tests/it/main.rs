//! The event log against a real Postgres and a real NATS: what happens to an event when any part of the way fails.

mod admin;
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
