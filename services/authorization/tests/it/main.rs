//! The authorization service on a real Postgres and a real NATS, told by a log that plays identity.
#![expect(clippy::unwrap_used, reason = "a test may panic, also in a helper of it")]

mod memberships;
mod projection;
mod replication;
mod verbs;
mod world;
