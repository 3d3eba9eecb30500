//! One test binary; one file per guard or story.

#![expect(clippy::unwrap_used, reason = "what a test can't have, it fails for")]

mod access_log;
mod canaries;
mod docs_paths;
mod drain;
mod every_event;
mod every_reason;
mod every_rpc;
mod every_table;
mod fuzz;
mod health;
mod layering;
mod migrations;
mod revocation;
mod story;
mod welcome;
mod well_known;
