//! The stack, asked from outside: a real server on a port of the system's choice, real clients, the contract's own services.
#![expect(clippy::unwrap_used, reason = "a test panics where it fails, also in what its tests have in common")]

mod admin;
mod app;
mod calls;
mod channel;
mod client;
mod connections;
mod crowds;
mod deadlines;
mod handlers;
mod health;
mod keys;
mod metadata;
mod names;
mod peers;
mod reflection;
mod scopes;
mod shutdown;
mod tokens;
mod wire;
