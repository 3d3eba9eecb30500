//! How current a copy is.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// The position and freshness of a copy, for whoever decides by it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct FeedStatus(watch::Sender<Option<Heard>>);

#[derive(Clone, Copy, Debug)]
struct Heard {
    position: i64,
    at: Instant,
}

impl Default for FeedStatus {
    fn default() -> Self {
        FeedStatus(watch::Sender::new(None))
    }
}

impl FeedStatus {
    /// Whether a first snapshot is installed. It stays true ever after; ask [`staleness`](Self::staleness) for the rest.
    pub fn is_ready(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Waits for the first snapshot.
    pub async fn ready(&self) {
        self.reaches(|_| true).await;
    }

    /// The position of the copy; `None` before the first snapshot.
    pub fn position(&self) -> Option<i64> {
        self.0.borrow().map(|heard| heard.position)
    }

    /// The time since the peer was last heard on an unbroken position; `None` before the first snapshot.
    pub fn staleness(&self) -> Option<Duration> {
        self.0.borrow().map(|heard| heard.at.elapsed())
    }

    /// Waits until the copy has reached `position`, at most `at_most`; tells whether it did.
    pub async fn wait_for(&self, position: i64, at_most: Duration) -> bool {
        tokio::time::timeout(at_most, self.reaches(|held| held >= position)).await.is_ok()
    }

    pub(super) fn heard(&self, position: i64) {
        self.0.send_replace(Some(Heard { position, at: Instant::now() }));
    }

    async fn reaches(&self, enough: impl Fn(i64) -> bool) {
        // An error would say that the sender is gone, and it is held here.
        let _ = self.0.subscribe().wait_for(|heard| heard.is_some_and(|heard| enough(heard.position))).await;
    }
}
