//! The one binary, as a library: what a test can call is what a person runs.
//!
//! Deliberately absent: any logic of a service.

mod bench;
pub mod cli;
mod client;
pub mod config;
mod demo;
mod events;
mod import;
pub mod keys;
mod levels;
pub mod migrate;
mod output;
mod progress;
pub mod seed;
pub mod serve;
mod table;
mod token;
mod up;
