//! Settings of the notifications service beside those every service has.

use std::time::Duration;

use runtime::config::Faults;
use serde::{Deserialize, Serialize};

/// The section `notifications`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The longest time without a message to a watcher, in milliseconds, 10..=15000.
    pub watch_bookmark_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { watch_bookmark_ms: 14_000 }
    }
}

impl Config {
    pub(crate) fn watch_bookmark(&self) -> Duration {
        Duration::from_millis(self.watch_bookmark_ms)
    }
}

impl host::ServiceConfig for Config {
    const PORT: u16 = 7105;

    fn docs() -> &'static [(&'static str, &'static str)] {
        &[("watch_bookmark_ms", "the longest time without a message to a watcher, 10..=15000")]
    }

    fn validate(&self, faults: &mut Faults) {
        faults.range("watch_bookmark_ms", self.watch_bookmark_ms, 10..=15_000);
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
        assert_eq!(Config::docs().len(), 1);
    }
}
