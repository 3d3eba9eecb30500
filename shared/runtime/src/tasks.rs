//! Background tasks that are known by name: shutdown waits for them, and the death of one takes its host down.
//!
//! A detached task that dies in silence is the worst failure of a long-lived process: it answers calls and does half of its work.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::Shutdown;

/// The background tasks of one host. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tasks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    service: &'static str,
    shutdown: Shutdown,
    tracker: TaskTracker,
    running: Mutex<Running>,
    failure: watch::Sender<Option<TaskFailure>>,
}

#[derive(Debug, Default)]
struct Running {
    next: u64,
    tasks: BTreeMap<u64, (Cow<'static, str>, Option<AbortHandle>)>,
}

/// A task ended that should not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("background task `{name}` {cause}")]
pub struct TaskFailure {
    /// The name it was spawned under.
    pub name: String,
    /// What became of it: `ended`, `failed: …` or `panicked: …`.
    pub cause: String,
}

/// What a task may answer when it ends: nothing, or an error.
pub trait Outcome: Send + 'static {
    /// The text of the failure, if it is one, with its chain of causes.
    fn failure(self) -> Option<String>;
}

impl Outcome for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: fmt::Display + Send + 'static> Outcome for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|error| format!("{error:#}"))
    }
}

impl Tasks {
    /// No tasks yet; `shutdown` is what asks them to end. `service` labels their log lines and metrics.
    pub fn new(service: &'static str, shutdown: Shutdown) -> Self {
        let running = Mutex::default();
        Tasks(Arc::new(Inner { service, shutdown, tracker: TaskTracker::new(), running, failure: watch::Sender::new(None) }))
    }

    /// The flag that these tasks obey.
    pub fn shutdown(&self) -> &Shutdown {
        &self.0.shutdown
    }

    /// The service that these tasks work for.
    pub fn service(&self) -> &'static str {
        self.0.service
    }

    /// Starts a task that runs until shutdown. Ending earlier, an error and a panic are failures: [`failed`](Self::failed) answers.
    pub fn spawn<F>(&self, name: impl Into<Cow<'static, str>>, future: F)
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        self.start(name.into(), true, future);
    }

    /// Starts a task that may end by itself (one connection, one piece of work). An error and a panic are failures all the same.
    pub fn spawn_once<F>(&self, name: impl Into<Cow<'static, str>>, future: F)
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        self.start(name.into(), false, future);
    }

    fn start<F>(&self, name: Cow<'static, str>, endless: bool, future: F)
    where
        F: Future<Output: Outcome> + Send + 'static,
    {
        let span = tracing::info_span!(parent: None, "task", service = self.0.service, task = %name);
        let number = self.0.enter(name.clone());
        let inner = self.0.clone();
        let handle = self.0.tracker.spawn(
            async move {
                let _left = Leave { inner: inner.clone(), number };
                let ended = AssertUnwindSafe(future).catch_unwind().await;
                let stopping = inner.shutdown.is_requested();
                let cause = match ended.map(Outcome::failure) {
                    Ok(None) if endless && !stopping => Some("ended".to_owned()),
                    Ok(None) => None,
                    Ok(Some(error)) => Some(format!("failed: {error}")),
                    Err(panic) => Some(format!("panicked: {}", panic_text(&*panic))),
                };
                if let Some(cause) = cause {
                    tracing::error!(cause, "background task died");
                    metrics::counter!("muster_background_task_failures_total", "service" => inner.service, "task" => name.clone())
                        .increment(1);
                    let failure = TaskFailure { name: name.into_owned(), cause };
                    inner.failure.send_if_modified(|first| first.is_none() && first.replace(failure).is_none());
                }
            }
            .instrument(span),
        );
        if let Some((_, abort)) = self.0.running().tasks.get_mut(&number) {
            *abort = Some(handle.abort_handle());
        }
    }

    /// Waits for the first failure of a task. A host that hears it shuts down and exits with an error.
    pub async fn failed(&self) -> TaskFailure {
        let mut failure = self.0.failure.subscribe();
        loop {
            if let Some(failure) = failure.borrow_and_update().clone() {
                return failure;
            }
            if failure.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The first failure so far.
    pub fn failure(&self) -> Option<TaskFailure> {
        self.0.failure.borrow().clone()
    }

    /// The names of the tasks that run now, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.running().tasks.values().map(|(name, _)| name.to_string()).collect();
        names.sort();
        names
    }

    /// Raises the flag and waits for every task, at most `at_most`. What is left then is aborted, and its names are returned.
    pub async fn stop(&self, at_most: Duration) -> Vec<String> {
        self.0.shutdown.request();
        self.0.tracker.close();
        if tokio::time::timeout(at_most, self.0.tracker.wait()).await.is_ok() {
            return Vec::new();
        }
        let left = self.names();
        for (name, abort) in self.0.running().tasks.values() {
            tracing::warn!(service = self.0.service, task = %name, "background task did not stop in time: aborted");
            if let Some(abort) = abort {
                abort.abort();
            }
        }
        left
    }
}

impl Inner {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, name: Cow<'static, str>) -> u64 {
        let mut running = self.running();
        running.next += 1;
        let number = running.next;
        running.tasks.insert(number, (name, None));
        metrics::gauge!("muster_background_tasks", "service" => self.service).set(running.tasks.len() as f64);
        number
    }
}

/// Takes a task off the list when its future is gone, however it went.
struct Leave {
    inner: Arc<Inner>,
    number: u64,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut running = self.inner.running();
        running.tasks.remove(&self.number);
        metrics::gauge!("muster_background_tasks", "service" => self.inner.service).set(running.tasks.len() as f64);
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_MOST: Duration = Duration::from_secs(10);

    fn tasks() -> Tasks {
        Tasks::new("test", Shutdown::new())
    }

    #[tokio::test]
    async fn a_task_that_ends_early_takes_the_host_down() {
        let tasks = tasks();
        tasks.spawn("relay", async {});
        assert_eq!(tasks.failed().await, TaskFailure { name: "relay".into(), cause: "ended".into() });
    }

    #[tokio::test]
    async fn a_panic_and_an_error_are_told_with_their_text() {
        let panicking = tasks();
        panicking.spawn_once("relay", async { assert_eq!(1, 2, "no luck") });
        assert_eq!(
            panicking.failed().await.to_string(),
            "background task `relay` panicked: assertion `left == right` failed: no luck\n  left: 1\n right: 2"
        );
        let failing = tasks();
        failing.spawn_once("relay", async { Err::<(), _>("disk full") });
        assert_eq!(failing.failed().await.to_string(), "background task `relay` failed: disk full");
    }

    #[tokio::test]
    async fn the_first_failure_is_the_one_that_is_kept() {
        let tasks = tasks();
        tasks.spawn("first", async {});
        tasks.failed().await;
        tasks.spawn("second", async {});
        assert!(tasks.stop(AT_MOST).await.is_empty());
        assert_eq!(tasks.failure().unwrap().name, "first");
    }

    #[tokio::test]
    async fn a_task_that_obeys_shutdown_is_no_failure() {
        let tasks = tasks();
        let shutdown = tasks.shutdown().clone();
        tasks.spawn("relay", async move { shutdown.requested().await });
        tasks.spawn_once("errand", async {});
        assert!(tasks.names().contains(&"relay".to_owned()));
        assert!(tasks.stop(AT_MOST).await.is_empty());
        assert_eq!((tasks.failure(), tasks.names()), (None, vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ignores_shutdown_is_named_and_aborted() {
        let tasks = tasks();
        tasks.spawn("deaf", std::future::pending::<()>());
        assert_eq!(tasks.stop(AT_MOST).await, ["deaf"]);
        tasks.0.tracker.wait().await;
        assert_eq!(tasks.names(), Vec::<String>::new());
    }
}
