//! What can go wrong, said so that the reader knows what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a stack did not start or stop.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Another process runs on the folder.
    Running {
        /// The folder.
        dir: PathBuf,
        /// The process that holds it.
        pid: u32,
        /// Where that process can be reached, as it said itself.
        address: String,
    },
    /// A program is not installed.
    Missing {
        /// What was looked for.
        what: &'static str,
        /// What to do about it.
        instead: String,
    },
    /// A program is too old.
    TooOld {
        /// The program's path.
        program: PathBuf,
        /// What it says its version is.
        found: String,
        /// The least version and why.
        wanted: &'static str,
    },
    /// A server did not start, or did not stop.
    Failed {
        /// Which one.
        what: &'static str,
        /// The reason, with the end of its log.
        why: String,
    },
    /// The system refused something.
    Io {
        /// What was tried.
        tried: String,
        /// What it answered.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(tried: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let tried = tried.into();
        move |source| Error::Io { tried, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Running { dir, pid, address } => {
                write!(f, "{} is in use by process {pid}, which answers on {address}; stop it first, or use another folder", dir.display())
            }
            Error::Missing { what, instead } => write!(f, "{what} is missing: {instead}"),
            Error::TooOld { program, found, wanted } => write!(f, "{} is version {found}, and {wanted}", program.display()),
            Error::Failed { what, why } => write!(f, "{what} failed: {why}"),
            Error::Io { tried, source } => write!(f, "can't {tried}: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
