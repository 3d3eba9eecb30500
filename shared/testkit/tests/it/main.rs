//! Tests of testkit itself, on a service of one noun.
#![expect(clippy::unwrap_used, reason = "a test may fail by unwrap")]

mod actors;
mod bus;
mod databases;
mod leftovers;
mod pad;
mod time;
