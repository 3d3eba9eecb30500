//! Hosts one service: its dependencies go in; ports, start-up gate and drain come out. The same for `muster serve` and for tests.
//!
//! Order of a start: ports, keys, database, bus, replicas of keys, revocations and permissions, the service itself, then the gate: health
//! says SERVING once all three replicas are there, and never takes that back for a dependency that goes away later. The edge has ports, keys and
//! itself, and its gate is open.
//! Order of a stop: health says NOT_SERVING, a delay in which whoever sends calls hears of it, calls are drained, background tasks end, connections close.
//!
//! Deliberately absent: what any service does, and the process around it (telemetry, signals), which is `services/muster`'s.

mod bound;
mod config;
mod dependencies;
mod peers;
mod replicas;
mod running;
mod service;

pub use bound::Bound;
pub use config::{Hosted, ServiceConfig, SuiteConfig};
pub use peers::Peers;
pub use running::{Running, Suite, start, start_edge};
pub use service::{Deps, EdgeDeps, Service};
