//! SIGHUP: log levels are read anew from the configuration, while the process runs. Nothing else of it is.

use runtime::{
    config::{self, Sources},
    telemetry::Levels,
};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;

/// Follows `sources` whenever the process is told to. A configuration with faults changes nothing, and the log says so.
///
/// # Errors
/// The process can't listen to signals.
pub(crate) fn follow(sources: Sources, levels: Levels) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut hangups = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangups.recv().await.is_some() {
            match config::load::<Config>(&sources).map(|loaded| loaded.config.telemetry.levels) {
                Ok(text) => match levels.set(&text) {
                    Ok(()) => tracing::info!(levels = text, "log levels are read anew"),
                    Err(error) => tracing::warn!(%error, "the log levels stay as they are"),
                },
                Err(error) => tracing::warn!(%error, "the log levels stay as they are"),
            }
        }
    })
}
