//! The log and the metrics of the test process, kept in memory so that a guard can look for what must not be in them.

use std::{
    io,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use runtime::telemetry::{Config, Guard, Metrics, init_to};
use tracing_subscriber::fmt::MakeWriter;

/// Every line that this process logged so far.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

static STARTED: LazyLock<(Guard, Lines)> = LazyLock::new(|| {
    let lines = Lines::default();
    // As talkative as an operator can make it: what is not logged at debug is not logged at all.
    let levels = "debug,async_nats=info,h2=info,hyper=info,hyper_util=info,sqlx=debug,tonic=debug,tower=info";
    let config = Config { levels: levels.to_owned(), ..Config::default() };
    let guard = init_to(&config, "muster-tests", lines.clone()).unwrap_or_else(|error| panic!("{error}"));
    (guard, lines)
});

/// The metrics of this process.
pub fn metrics() -> Metrics {
    STARTED.0.metrics()
}

/// What was logged so far, by every test of this process.
pub fn log() -> String {
    String::from_utf8_lossy(&STARTED.1.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
}
