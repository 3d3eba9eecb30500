//! The wish to stop, told to everyone at once.
//!
//! Deliberately absent: the order of a service's drain, which is the host's (shared/host).

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A flag that is raised once and heard by every clone and child.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// A flag that nobody has raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag of its own that is raised with this one: one service of several in a process can stop alone.
    pub fn child(&self) -> Self {
        Shutdown(self.0.child_token())
    }

    /// Raises the flag. Raising it again changes nothing.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// Whether the flag is raised.
    pub fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until the flag is raised; at once when it is already.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// Runs `future` until it ends or the flag is raised; `None` says that it was cut off.
    pub async fn or<F: Future>(&self, future: F) -> Option<F::Output> {
        self.0.run_until_cancelled(future).await
    }

    /// Takes SIGTERM and SIGINT over at once; the future waits for them. The first raises the flag, the second ends the process with code
    /// 130, so that a stuck drain can be left. A process has one of these, and `main` spawns it.
    ///
    /// # Errors
    /// The system refused a signal handler.
    pub fn on_signals(&self) -> io::Result<impl Future<Output = ()> + Send + 'static> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = self.clone();
        Ok(async move {
            let mut next = async || tokio::select! { _ = terminate.recv() => "SIGTERM", _ = interrupt.recv() => "SIGINT" };
            let name = next().await;
            tracing::info!(signal = name, "stopping");
            shutdown.request();
            let name = next().await;
            tracing::warn!(signal = name, "asked twice: leaving at once");
            std::process::exit(130);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_hears_its_parent_and_not_the_other_way_round() {
        let parent = Shutdown::new();
        let (one, other) = (parent.child(), parent.child());
        one.request();
        assert!(one.is_requested() && !parent.is_requested() && !other.is_requested());
        parent.request();
        other.requested().await;
        assert!(other.is_requested());
    }

    #[tokio::test]
    async fn a_sigterm_raises_the_flag() {
        let shutdown = Shutdown::new();
        let tasks = crate::Tasks::new("test", Shutdown::new());
        tasks.spawn_once("signals", shutdown.on_signals().unwrap());
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).unwrap();
        shutdown.requested().await;
    }

    #[tokio::test]
    async fn a_future_is_cut_off_when_the_flag_is_raised() {
        let shutdown = Shutdown::new();
        assert_eq!(shutdown.or(async { 7 }).await, Some(7));
        shutdown.request();
        assert_eq!(shutdown.or(std::future::pending::<()>()).await, None);
    }
}
