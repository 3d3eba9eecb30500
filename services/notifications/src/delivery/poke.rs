//! Waking the senders of this process when there is something to send. A hint: they look by themselves too.

use std::sync::Arc;
use std::time::Duration;

use db::Tx;
use tokio::sync::Notify;

/// How long a sender that was woken waits for what comes together with what woke it, so that a burst is taken into hand at once.
const BREATH: Duration = Duration::from_millis(10);

/// Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Poke(Arc<Notify>);

impl Poke {
    /// Wakes a sender once `tx` is committed.
    pub(crate) fn after(&self, tx: &mut Tx) {
        let notify = self.0.clone();
        tx.after_commit(move || notify.notify_one());
    }

    /// Until somebody pokes, and at most `at_most`.
    pub(crate) async fn wait(&self, at_most: Duration) {
        if tokio::time::timeout(at_most, self.0.notified()).await.is_ok() {
            tokio::time::sleep(BREATH).await;
        }
    }
}
