//! The authorization service under its real server, told by events of identity.
#![expect(clippy::unwrap_used, reason = "a test may panic, also in a helper of it")]

mod decisions;
mod freshness;
mod memberships;
mod projection;
mod rebuild;
mod replication;
mod verbs;
