//! Faults that a test puts on the way between a peer and its copy. A feed without them pays one atomic read a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Loses messages, or falls silent, on command. Clones steer the same feed.
#[derive(Clone, Debug)]
pub struct FeedFaults(Arc<Faults>);

#[derive(Debug)]
struct Faults {
    /// 0: lose none; 1: lose the next message; n: let n-1 pass first.
    countdown: AtomicU64,
    silent: watch::Sender<bool>,
}

impl Default for FeedFaults {
    fn default() -> Self {
        FeedFaults(Arc::new(Faults { countdown: AtomicU64::new(0), silent: watch::Sender::new(false) }))
    }
}

impl FeedFaults {
    /// Loses the n-th message from now, counting from 1; heartbeats don't count and are not lost.
    pub fn lose_message(&self, n: u64) {
        self.0.countdown.store(n, Ordering::SeqCst);
    }

    /// While silent, nothing arrives: neither snapshots nor messages nor heartbeats, as behind a black hole.
    pub fn set_silent(&self, silent: bool) {
        self.0.silent.send_replace(silent);
    }

    pub(super) fn loses_this_one(&self) -> bool {
        let before = self.0.countdown.load(Ordering::SeqCst);
        before > 0 && self.0.countdown.fetch_sub(1, Ordering::SeqCst) == 1
    }

    pub(super) async fn silence_over(&self) {
        if !*self.0.silent.borrow() {
            return;
        }
        // An error would say that the sender is gone, and it is held here.
        let _ = self.0.silent.subscribe().wait_for(|silent| !silent).await;
    }
}
