//! Which aggregates wait for an event's next try, and which of their events wait behind it.
//!
//! The truth about tries is `inbox_attempt`; it is read when a term begins and after Postgres was away. Then the consumer is made anew, so
//! that what waited behind them comes again in its order.
//!
//! Deliberately absent: a bound. It holds at most as many entries as messages may be in flight (1,024 a source).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A try that is this late was lost by the server with its stream: it holds back nobody any more.
const LATE_MAX: Duration = Duration::from_secs(120);
/// Added to the wait of an event that is held back, so that it comes after the one it waits for.
const MARGIN: Duration = Duration::from_millis(100);

/// A try may come this much before its time: the server's clock is another one.
const EARLY: Duration = Duration::from_millis(20);

/// By service and aggregate id: the positions that wait, each with the time of its next try.
#[derive(Default)]
pub(super) struct Held(Mutex<HashMap<(String, String), BTreeMap<i64, Instant>>>);

impl Held {
    /// Forgets everything of one service.
    pub(super) fn clear(&self, service: &str) {
        self.lock().retain(|(of, _), _| of != service);
    }

    /// The event at `position` is tried again in `delay`.
    pub(super) fn hold(&self, service: &str, aggregate_id: &str, position: i64, delay: Duration) {
        self.lock().entry((service.to_owned(), aggregate_id.to_owned())).or_default().insert(position, Instant::now() + delay);
    }

    /// The event at `position` was taken or given up.
    pub(super) fn release(&self, service: &str, aggregate_id: &str, position: i64) {
        let mut held = self.lock();
        let key = (service.to_owned(), aggregate_id.to_owned());
        if let Some(positions) = held.get_mut(&key) {
            positions.remove(&position);
            if positions.is_empty() {
                held.remove(&key);
            }
        }
    }

    /// How long the event at `position` has to wait: for its own next try (it may come early when the consumer is made anew), or for an
    /// earlier event of its aggregate. `None` when it needn't.
    pub(super) fn wait(&self, service: &str, aggregate_id: &str, position: i64) -> Option<Duration> {
        let held = self.lock();
        if held.is_empty() {
            return None;
        }
        let now = Instant::now();
        let positions = held.get(&(service.to_owned(), aggregate_id.to_owned()))?;
        let own = positions.get(&position).map(|due| due.saturating_duration_since(now)).filter(|wait| *wait > EARLY);
        let earlier = positions.range(..position).map(|(_, due)| *due).filter(|due| *due + LATE_MAX > now).max();
        own.max(earlier.map(|due| due.saturating_duration_since(now) + MARGIN))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), BTreeMap<i64, Instant>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn a_waiting_event_holds_back_later_ones_of_its_aggregate_alone() {
        let held = Held::default();
        held.hold("identity", "ana", 7, DELAY);
        assert_eq!(held.wait("identity", "ana", 8), Some(DELAY + MARGIN));
        assert_eq!(held.wait("identity", "ana", 6), None);
        assert_eq!(held.wait("identity", "bo", 8), None);
        assert_eq!(held.wait("tasks", "ana", 8), None);
        held.release("identity", "ana", 7);
        assert_eq!(held.wait("identity", "ana", 8), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_before_its_time_is_put_off_and_one_in_time_is_not() {
        let held = Held::default();
        held.hold("identity", "ana", 7, DELAY);
        assert_eq!(held.wait("identity", "ana", 7), Some(DELAY));
        tokio::time::advance(DELAY).await;
        assert_eq!(held.wait("identity", "ana", 7), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_try_that_never_comes_holds_back_nobody_for_ever() {
        let held = Held::default();
        held.hold("identity", "ana", 7, DELAY);
        tokio::time::advance(DELAY + LATE_MAX).await;
        assert_eq!(held.wait("identity", "ana", 8), None);
    }
}
