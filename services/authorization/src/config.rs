//! Settings of the authorization service beside those every service has.

use runtime::config::Faults;
use serde::{Deserialize, Serialize};

/// The section `authorization`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Assignments and workspaces in one message of a snapshot, 1..=10000. An entry takes up to 130 bytes on the wire.
    pub snapshot_chunk_size: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { snapshot_chunk_size: 1_000 }
    }
}

impl host::ServiceConfig for Config {
    const PORT: u16 = 7102;

    fn docs() -> &'static [(&'static str, &'static str)] {
        &[("snapshot_chunk_size", "assignments and workspaces in one message of a snapshot, 1..=10000")]
    }

    fn validate(&self, faults: &mut Faults) {
        faults.range("snapshot_chunk_size", self.snapshot_chunk_size, 1..=10_000);
    }
}
