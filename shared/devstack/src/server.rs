//! What the three servers have in common: a child that can be paused, killed, and started again on the same data and address.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, io};

use crate::child::{Child, Spec};
use crate::home::Home;
use crate::{Error, wait};

/// How long a server may take to be ready. Long for a recovery after a crash; a start from nothing takes well under a second.
const READY: Duration = Duration::from_secs(60);
/// How much of the log an error quotes.
const LOG_LINES: usize = 12;

/// Whether the server of that pid is ready; `Some` carries what only it knows (its port).
pub(crate) type Ready<T> = Box<dyn Fn(u32) -> Option<T> + Send + Sync>;

pub(crate) struct Server<T> {
    home: Arc<Home>,
    spec: Spec,
    ready: Ready<T>,
    child: Mutex<Option<Child>>,
}

impl<T> std::fmt::Debug for Server<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl<T> Server<T> {
    pub(crate) fn new(home: Arc<Home>, spec: Spec, ready: Ready<T>) -> Self {
        Self { home, spec, ready, child: Mutex::new(None) }
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts it, unless it runs, and waits until it is ready.
    pub(crate) fn start(&self) -> Result<Option<T>, Error> {
        let mut slot = self.child();
        if slot.as_mut().is_some_and(Child::is_running) {
            return Ok(None);
        }
        *slot = None;
        let mut child = Child::spawn(&self.spec, &self.home.user)?;
        let mut dead = false;
        let ready = wait::until(READY, || {
            dead = !child.is_running();
            if dead { Some(None) } else { (self.ready)(child.pid()).map(Some) }
        });
        match ready.flatten() {
            Some(ready) => {
                *slot = Some(child);
                Ok(Some(ready))
            }
            None => {
                let what = if dead { "it ended at once".to_owned() } else { format!("it was not ready within {} s", READY.as_secs()) };
                Err(Error::Failed { what: self.spec.name, why: format!("{what}; its log ends\n{}", self.log_end()) })
            }
        }
    }

    /// Ends it as the spec says. It may be started again.
    pub(crate) fn stop(&self) {
        if let Some(mut child) = self.child().take() {
            child.end();
        }
    }

    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.child().take() {
            child.kill();
        }
    }

    pub(crate) fn pause(&self) {
        if let Some(child) = self.child().as_ref() {
            child.pause();
        }
    }

    pub(crate) fn resume(&self) {
        if let Some(child) = self.child().as_ref() {
            child.wake();
        }
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.child().as_mut().and_then(|child| child.is_running().then(|| child.pid()))
    }

    /// That it is down, with the end of its log; `None` while it runs.
    pub(crate) fn ended(&self) -> Option<Error> {
        let why = || format!("it ended by itself; its log ends\n{}", self.log_end());
        self.pid().is_none().then(|| Error::Failed { what: self.spec.name, why: why() })
    }

    fn log_end(&self) -> String {
        let text = fs::read(&self.spec.log).or_else(|_| Ok::<_, io::Error>(Vec::new())).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].iter().map(|line| format!("    {line}\n")).collect()
    }
}

impl<T> Drop for Server<T> {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The fault helpers of one server, the same for each of the three.
macro_rules! faults {
    ($server:ident) => {
        impl $server {
            /// Its process id; `None` while it is down.
            pub fn pid(&self) -> Option<u32> {
                self.0.server.pid()
            }

            /// That it is down, with the end of its log.
            pub(crate) fn ended(&self) -> Option<crate::Error> {
                self.0.server.ended()
            }

            /// Stops every process of it in its tracks (SIGSTOP): it answers nothing and closes nothing, like a machine that hangs.
            pub fn pause(&self) {
                self.0.server.pause();
            }

            /// Lets it go on after [`pause`](Self::pause).
            pub fn resume(&self) {
                self.0.server.resume();
            }

            /// Kills it (SIGKILL), and returns when all of it is gone.
            pub async fn kill(&self) {
                let this = self.0.clone();
                // It can't fail; only a runtime that is shutting down does not run it, and then everything ends anyway.
                let _ = crate::blocking(move || Ok(this.server.kill())).await;
            }

            /// Stops it in good order.
            pub async fn stop(&self) {
                let this = self.0.clone();
                // As above.
                let _ = crate::blocking(move || Ok(this.server.stop())).await;
            }

            /// Starts it again on the same data and the same address, unless it runs.
            ///
            /// # Errors
            /// [`Error::Failed`](crate::Error::Failed) with the end of its log.
            pub async fn restart(&self) -> Result<(), crate::Error> {
                let this = self.0.clone();
                crate::blocking(move || this.server.start().map(drop)).await
            }
        }
    };
}
pub(crate) use faults;
