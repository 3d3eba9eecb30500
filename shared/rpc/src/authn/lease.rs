//! How long a copy of what identity says may be relied on without hearing from it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Good until a moment that moves on with every sign of life; for ever before the first.
#[derive(Debug)]
pub(super) struct Lease {
    made: Instant,
    /// Nanoseconds from `made`.
    until: AtomicU64,
}

impl Lease {
    pub(super) fn new() -> Self {
        Self { made: Instant::now(), until: AtomicU64::new(u64::MAX) }
    }

    /// Good for `time` from now.
    pub(super) fn renew(&self, time: Duration) {
        let until = (self.made.elapsed() + time).as_nanos();
        self.until.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Whether it is good.
    pub(super) fn holds(&self) -> bool {
        self.made.elapsed() <= Duration::from_nanos(self.until.load(Ordering::Acquire))
    }
}
