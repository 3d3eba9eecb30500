//! The engine held against a naive interpreter, and fed over a real socket.
#![expect(clippy::unwrap_used, reason = "a test may panic, also in a helper of it")]

mod naive;
mod oracle;
mod replication;
mod waiting;
mod world;
