//! What the cross-service tests share: the whole suite in this process, callers of it, and where the repository's files are.
//!
//! Deliberately absent: anything that one service's own tests can show. Those live beside the service and meet the fixture authority; here the
//! real services meet.

mod actor;
mod fault;
mod files;
mod guarded;
mod suite;

pub mod dynamic;
pub mod reflect;
pub mod rules;
pub mod telemetry;
pub mod world;

pub use actor::{Actor, Place, Places, short, text};
pub use fault::Fault;
pub use files::{files, root};
pub use guarded::Guarded;
pub use suite::Suite;
