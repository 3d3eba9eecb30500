//! The generated contract.
#[allow(clippy::all, missing_docs, unreachable_pub)]
mod generated { include!(concat!(env!("OUT_DIR"), "/mod.rs")); }
pub use generated::{grpc, muster::*};
/// The descriptor set.
pub static DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
