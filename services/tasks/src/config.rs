//! Settings of the tasks service beside those every service has.

use std::time::Duration;

use runtime::config::Faults;
use serde::{Deserialize, Serialize};

/// The section `tasks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Messages that wait for a slow watcher, 1..=1024. One holds an item: 100 KB at most, 1 KB as a rule.
    pub watch_buffer: usize,
    /// How long a watcher may let a full buffer stand before it is cut off, in milliseconds, 10..=60000.
    pub watch_slow_ms: u64,
    /// The longest time without a message to a watcher, in milliseconds, 10..=15000.
    pub watch_bookmark_ms: u64,
    /// How often a watcher's permission is looked at beside every message, in milliseconds, 10..=900: it is lost within a second.
    pub watch_recheck_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { watch_buffer: 64, watch_slow_ms: 5_000, watch_bookmark_ms: 14_000, watch_recheck_ms: 250 }
    }
}

impl Config {
    pub(crate) fn watch_slow(&self) -> Duration {
        Duration::from_millis(self.watch_slow_ms)
    }

    pub(crate) fn watch_bookmark(&self) -> Duration {
        Duration::from_millis(self.watch_bookmark_ms)
    }

    pub(crate) fn watch_recheck(&self) -> Duration {
        Duration::from_millis(self.watch_recheck_ms)
    }
}

impl host::ServiceConfig for Config {
    const PORT: u16 = 7103;

    fn docs() -> &'static [(&'static str, &'static str)] {
        &[
            ("watch_buffer", "messages that wait for a slow watcher, 1..=1024"),
            ("watch_slow_ms", "how long a watcher may let a full buffer stand before it is cut off, 10..=60000"),
            ("watch_bookmark_ms", "the longest time without a message to a watcher, 10..=15000"),
            ("watch_recheck_ms", "how often a watcher's permission is looked at, 10..=900"),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        faults.range("watch_buffer", self.watch_buffer, 1..=1_024);
        faults.range("watch_slow_ms", self.watch_slow_ms, 10..=60_000);
        faults.range("watch_bookmark_ms", self.watch_bookmark_ms, 10..=15_000);
        faults.range("watch_recheck_ms", self.watch_recheck_ms, 10..=900);
    }
}

#[cfg(test)]
mod tests {
    use host::ServiceConfig;

    use super::*;

    #[test]
    fn the_defaults_are_valid_and_every_key_is_told() {
        let mut faults = Faults::default();
        Config::default().validate(&mut faults);
        assert!(faults.is_empty());
        assert_eq!(Config::docs().len(), 4);
    }
}
