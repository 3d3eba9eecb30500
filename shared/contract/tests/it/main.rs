//! The contract, looked at from outside: what the build refuses, what the generated code answers, what may not be loosened.

#![expect(clippy::unwrap_used, reason = "what fails here fails a test")]

#[path = "../../build/mod.rs"]
mod build;

mod catalogue;
mod golden;
mod protos;
mod refusals;
mod released;
mod text;
