//! Settings of the authorization service beside those every service has.

use runtime::config::Faults;
use serde::{Deserialize, Serialize};

/// The section `authorization`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Assignments and workspaces in one message of a snapshot, 1..=10000. An entry takes up to 130 bytes on the wire.
    pub snapshot_chunk_size: usize,
    /// Snapshots that are read at once for other services, 1..=16. Each holds one of `database.worker_connections` (4) until it is sent, 30 s at
    /// most; a service that finds no place is told to come back.
    pub snapshots_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { snapshot_chunk_size: 1_000, snapshots_max: 2 }
    }
}

impl host::ServiceConfig for Config {
    const PORT: u16 = 7102;

    fn docs() -> &'static [(&'static str, &'static str)] {
        &[
            ("snapshot_chunk_size", "assignments and workspaces in one message of a snapshot, 1..=10000"),
            ("snapshots_max", "snapshots read at once for other services, 1..=16"),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        faults.range("snapshot_chunk_size", self.snapshot_chunk_size, 1..=10_000);
        faults.range("snapshots_max", self.snapshots_max, 1..=16);
    }
}
