//! The engine held against a naive interpreter, and fed over a real socket.

mod naive;
mod oracle;
mod replication;
mod waiting;
mod world;
