//! The edge between real sockets: raw gRPC frames in front of it, an upstream that says what it saw behind it.

#![expect(clippy::unwrap_used, reason = "tests")]

mod apart;
mod bad_input;
mod edge;
mod front;
mod frozen;
mod killed;
mod many;
mod native;
mod retries;
mod unread;
mod upstream;
mod web;
mod well_known;
