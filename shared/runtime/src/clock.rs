//! Wall-clock time, so that tests can set it.
//!
//! Deliberately absent: durations between two moments of one process. Those are `tokio::time::Instant`, which a test can pause.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use time::OffsetDateTime;

/// The wall clock of a service: the system's, or one that stands still until its handle moves it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Fixed(Arc<AtomicI64>),
}

/// Moves a fixed clock.
#[derive(Clone, Debug)]
pub struct ClockHandle(Arc<AtomicI64>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Clock(Source::System)
    }

    /// A clock that stands at `now` and the handle that moves it.
    pub fn fixed(now: OffsetDateTime) -> (Self, ClockHandle) {
        let cell = Arc::new(AtomicI64::new(micros_of(now)));
        (Clock(Source::Fixed(cell.clone())), ClockHandle(cell))
    }

    /// The time in UTC, cut to whole microseconds: what a `timestamptz` keeps, so that a stored time reads back equal.
    pub fn now(&self) -> OffsetDateTime {
        match &self.0 {
            Source::System => {
                #[expect(clippy::disallowed_methods, reason = "this is the clock that everything else asks")]
                let now = OffsetDateTime::now_utc();
                moment(micros_of(now))
            }
            Source::Fixed(cell) => moment(cell.load(Ordering::SeqCst)),
        }
    }
}

impl ClockHandle {
    /// Moves the clock forward by `by`, for every clone of it.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// Sets the clock, also backwards.
    pub fn set(&self, now: OffsetDateTime) {
        self.0.store(micros_of(now), Ordering::SeqCst);
    }
}

fn micros_of(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000)).unwrap_or(i64::MAX)
}

fn moment(micros: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixed_clock_stands_still_until_it_is_moved() {
        let start = time::macros::datetime!(2026-03-01 12:00:00.123456789 UTC);
        let (clock, handle) = Clock::fixed(start);
        let copy = clock.clone();
        assert_eq!(clock.now(), time::macros::datetime!(2026-03-01 12:00:00.123456 UTC));
        handle.advance(Duration::from_secs(90));
        assert_eq!(copy.now(), time::macros::datetime!(2026-03-01 12:01:30.123456 UTC));
        handle.set(start);
        assert_eq!(copy.now(), time::macros::datetime!(2026-03-01 12:00:00.123456 UTC));
    }

    #[test]
    fn the_system_clock_gives_whole_microseconds() {
        assert_eq!(Clock::system().now().nanosecond() % 1_000, 0);
    }
}
