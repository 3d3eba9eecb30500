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
    /// When it was renewed last, likewise.
    renewed: AtomicU64,
}

impl Lease {
    pub(super) fn new() -> Self {
        Self { made: Instant::now(), until: AtomicU64::new(u64::MAX), renewed: AtomicU64::new(u64::MAX) }
    }

    /// Good for `time` from now.
    pub(super) fn renew(&self, time: Duration) {
        let now = self.made.elapsed();
        self.until.store(nanos(now + time), Ordering::Release);
        self.renewed.store(nanos(now), Ordering::Release);
    }

    /// Whether it was renewed within `time`; as good as that before the first renewal.
    pub(super) fn was_renewed_within(&self, time: Duration) -> bool {
        self.made.elapsed() <= Duration::from_nanos(self.renewed.load(Ordering::Acquire)).saturating_add(time)
    }

    /// Whether it is good.
    pub(super) fn holds(&self) -> bool {
        self.made.elapsed() <= Duration::from_nanos(self.until.load(Ordering::Acquire))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
