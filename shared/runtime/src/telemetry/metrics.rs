//! The metrics registry of the process, rendered on demand as Prometheus text.
//!
//! Names end in their unit: `_seconds`, `_bytes`, `_total`. Histograms have fixed buckets, so that two processes can be added up.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use super::{Error, build, process};
use crate::Clock;

/// 1 ms to 10 s: from an embedded decision to the longest default deadline.
const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// 256 B to 4 MiB: the largest message sent.
const BYTES: [f64; 8] = [256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0, 4_194_304.0];
/// What is counted by the piece: batches, attempts, rows.
const PIECES: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0];

/// The metrics of the process. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    recorder: PrometheusHandle,
    start_seconds: i64,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").field("start_seconds", &self.start_seconds).finish_non_exhaustive()
    }
}

impl Metrics {
    /// Puts the registry in place of the process's recorder.
    pub(super) fn install() -> Result<Self, Error> {
        let buckets = |builder: PrometheusBuilder, matcher, values: &[f64]| builder.set_buckets_for_metric(matcher, values);
        let built = buckets(PrometheusBuilder::new(), Matcher::Suffix("_seconds".to_owned()), &SECONDS)
            .and_then(|builder| buckets(builder, Matcher::Suffix("_bytes".to_owned()), &BYTES))
            .and_then(|builder| builder.set_buckets(&PIECES));
        let recorder = built.map_err(|_| Error::Started)?.build_recorder();
        let handle = recorder.handle();
        metrics::set_global_recorder(recorder).map_err(|_| Error::Started)?;
        metrics::gauge!("muster_build_info", "version" => build::VERSION, "commit" => build::COMMIT).set(1.0);
        Ok(Metrics { recorder: handle, start_seconds: Clock::system().now().unix_timestamp() })
    }

    /// Every metric as Prometheus text (version 0.0.4), the process's own use of the machine last.
    pub fn render(&self) -> String {
        let mut text = self.recorder.render();
        process::render(self.start_seconds, &mut text);
        text
    }

    /// Folds what histograms have collected since the last time. `render` does it too; a process that nobody scrapes calls this every few
    /// seconds, so that memory stays bounded.
    pub fn upkeep(&self) {
        self.recorder.run_upkeep();
    }

    /// Calls [`upkeep`](Self::upkeep) every five seconds until shutdown.
    pub async fn keep(self, shutdown: crate::Shutdown) {
        let mut tick = tokio::time::interval(std::time::Duration::from_secs(5));
        while shutdown.or(tick.tick()).await.is_some() {
            self.upkeep();
        }
    }
}
