//! The command as a person runs it.
#![expect(clippy::unwrap_used, reason = "a test that can't go on stops")]

mod commands;
mod config;
mod demo;
mod events;
mod kill;
mod metrics;
mod suite;
mod trace;
mod up;
mod world;
