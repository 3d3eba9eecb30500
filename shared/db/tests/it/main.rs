//! Tests of shared/db against a real Postgres.

#![expect(clippy::unwrap_used, reason = "a test that can't go on ends by a panic")]

mod at_hand;
mod cancellation;
mod errors;
mod events;
mod filters;
mod migrations;
mod network;
mod once;
mod pad;
mod pages;
mod roles;
mod round_trips;
mod tenants;
