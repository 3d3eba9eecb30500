//! The command as a person runs it.
#![expect(clippy::unwrap_used, reason = "a test that can't go on stops")]

mod config;
mod kill;
mod suite;
mod up;
