//! Logs, metrics and traces of a process: one subscriber, one registry, one exporter, whatever number of services run in it.
//!
//! Whatever leaves here passes [`redact`]: fields named like secrets or personal data, and values that look like them, are replaced.
//! Metrics carry the label `service` where a service is meant; an organization is never a label.
//!
//! Deliberately absent: what a call logs and counts (shared/rpc), and the HTTP port of `/metrics` (shared/host).

mod build;
mod config;
mod json;
mod levels;
mod metrics;
mod process;
pub mod redact;
#[cfg(test)]
mod tests;
mod trace;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, reload};

pub use build::{COMMIT, VERSION};
pub use config::{Config, Format};
pub use levels::{BadLevels, Levels};
pub use metrics::Metrics;
pub use trace::{traceparent, traceparent_of, with_parent};

/// Why telemetry did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A process has one subscriber and one registry.
    #[error("telemetry is started already in this process")]
    Started,
    /// The levels don't parse.
    #[error(transparent)]
    Levels(#[from] BadLevels),
    /// The exporter of traces can't be built.
    #[error("can't export traces: {0}")]
    Traces(String),
}

/// Keeps telemetry running. Dropping it flushes what is not exported yet, for at most two seconds: `main` holds it to the end.
#[derive(Debug)]
pub struct Guard {
    metrics: Metrics,
    levels: Levels,
    traces: trace::Traces,
}

impl Guard {
    /// The metrics of the process.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// The log levels of the process.
    pub fn levels(&self) -> Levels {
        self.levels.clone()
    }

    /// Exports every span that has ended. It blocks its thread, at most five seconds.
    pub fn flush(&self) {
        self.traces.flush();
    }
}

/// Starts telemetry for the process `name` (`muster`), with logs on stdout (JSON) or stderr (pretty).
///
/// # Errors
/// [`Error::Started`] for a second call in one process.
pub fn init(config: &Config, name: &'static str) -> Result<Guard, Error> {
    match config.format {
        Format::Json => init_to(config, name, std::io::stdout),
        Format::Pretty => init_to(config, name, std::io::stderr),
    }
}

/// Starts telemetry with the logs going to `writer`, so that a test can read them.
///
/// # Errors
/// [`Error::Started`] for a second call in one process.
pub fn init_to<W>(config: &Config, name: &'static str, writer: W) -> Result<Guard, Error>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    static STARTED: AtomicBool = AtomicBool::new(false);
    let (filter, handle) = reload::Layer::new(levels::parse(&config.levels)?);
    if STARTED.swap(true, Ordering::SeqCst) {
        return Err(Error::Started);
    }
    let traces = trace::Traces::start(config, name)?;
    let metrics = Metrics::install()?;
    let spans = tracing_opentelemetry::layer()
        .with_tracer(traces.tracer())
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(exported());
    let writer = BoxMakeWriter::new(writer);
    // Spans first: a log line asks for the trace id of the span around it.
    tracing_subscriber::registry()
        .with(spans)
        .with(log(config.format, name, writer).with_filter(filter))
        .try_init()
        .map_err(|_| Error::Started)?;
    let levels = Levels::new(&config.levels, move |filter| handle.reload(filter).map_err(|error| error.to_string()));
    Ok(Guard { metrics, levels, traces })
}

/// Starts telemetry once for all tests of a process, with the levels of `MUSTER_TEST_LOG` (default `off`) to stderr.
///
/// # Panics
/// When the levels don't parse, or when [`init`] was called before.
pub fn init_for_tests() -> &'static Guard {
    static TESTS: OnceLock<Guard> = OnceLock::new();
    TESTS.get_or_init(|| {
        let levels = std::env::var("MUSTER_TEST_LOG").unwrap_or_else(|_| "off".to_owned());
        let config = Config { format: Format::Pretty, levels, ..Config::default() };
        init(&config, "test").unwrap_or_else(|error| panic!("{error}"))
    })
}

type BoxedLayer<S> = Box<dyn Layer<S> + Send + Sync>;

fn log<S>(format: Format, name: &'static str, writer: BoxMakeWriter) -> BoxedLayer<S>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    match format {
        Format::Json => json::JsonLog::new(name, writer).boxed(),
        Format::Pretty => fmt::layer().with_writer(writer).with_target(true).fmt_fields(redact::fields()).boxed(),
    }
}

/// What is exported: spans of level INFO, but none of the libraries that carry the export itself, which would feed on it.
fn exported() -> Targets {
    let carriers = ["h2", "hyper", "hyper_util", "opentelemetry", "opentelemetry_sdk", "opentelemetry_otlp", "tonic", "tower"];
    Targets::new().with_default(LevelFilter::INFO).with_targets(carriers.map(|target| (target, LevelFilter::OFF)))
}
