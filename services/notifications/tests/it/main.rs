//! Tests of the notifications service: real server, real Postgres, real NATS.
#![expect(clippy::unwrap_used, reason = "a test may fail by unwrap")]

mod account_mails;
mod deliveries;
mod inbox;
mod lapse;
mod mailbox;
mod preferences;
mod retention;
mod send_mail;
mod sign_in;
mod sink;
mod smtp_security;
mod stop;
mod tell;
mod verbs;
mod watch_inbox;
