//! Which log lines are written, changeable while the process runs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;

/// The levels don't parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not log levels, which look like info,tasks=debug: {0}")]
pub struct BadLevels(String);

/// The log levels of the process. Cheap to clone.
#[derive(Clone)]
pub struct Levels {
    replace: Arc<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>,
    text: Arc<Mutex<String>>,
}

impl fmt::Debug for Levels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Levels").field(&self.get()).finish()
    }
}

impl Levels {
    pub(super) fn new(levels: &str, replace: impl Fn(EnvFilter) -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self { replace: Arc::new(replace), text: Arc::new(Mutex::new(levels.to_owned())) }
    }

    /// The levels in force, as they were set.
    pub fn get(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets the levels from now on, for the whole process.
    ///
    /// # Errors
    /// [`BadLevels`]; the levels in force stay.
    pub fn set(&self, levels: &str) -> Result<(), BadLevels> {
        let parsed = parse(levels)?;
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        (self.replace)(parsed).map_err(BadLevels)?;
        levels.clone_into(&mut text);
        Ok(())
    }
}

pub(super) fn parse(levels: &str) -> Result<EnvFilter, BadLevels> {
    EnvFilter::builder().parse(levels).map_err(|error| BadLevels(error.to_string()))
}
