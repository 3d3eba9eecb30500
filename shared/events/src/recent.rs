//! The newest stretch of the log, held in memory for all tails of the process and for the relay: an event is read once, however many watch.
//!
//! Whoever of the tails finds that the log went on reads for all; the others wait for that and find the events here. A tail that stands before
//! the stretch catches up by reads of its own, a few of them at a time, so that watchers can't use up the connections of the relay and the
//! consumers.
//!
//! Deliberately absent: a task of its own. Nobody watches, nothing is read.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as Turn, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::{Error, Log, Logged};

/// Events held at most; a tail that is further behind catches up by itself.
const EVENTS_MAX: usize = 4_096;
/// Bytes of bodies held at most.
const BYTES_MAX: usize = 16 << 20;
/// Events that one statement brings for all: at most 32 MiB of bodies.
const PAGE: i64 = 128;
/// Tails that read for themselves at once: half of the connections for background work (`db::DbConfig::worker_connections`, 4).
const CATCH_UPS: usize = 2;

/// When one that found no place may ask again: watches end at the latest after an hour.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What the tails of one log share.
pub(crate) struct Recent {
    stretch: Mutex<Stretch>,
    /// Held by the tail that reads for all.
    turn: Turn<()>,
    catch_ups: Semaphore,
    tails: Arc<Semaphore>,
    tails_max: usize,
}

/// Everything after `floor` up to `end`, without a gap.
#[derive(Default)]
struct Stretch {
    floor: i64,
    end: i64,
    events: VecDeque<Arc<Logged>>,
    bytes: usize,
}

/// What a tail finds.
pub(crate) enum Found {
    /// Everything after its position, up to where it ends.
    Events(Vec<Arc<Logged>>, i64),
    /// It stands before the stretch: it has to read for itself.
    Behind,
}

impl Recent {
    pub(crate) fn new(tails_max: usize) -> Self {
        Recent {
            stretch: Mutex::default(),
            turn: Turn::new(()),
            catch_ups: Semaphore::new(CATCH_UPS),
            tails: Arc::new(Semaphore::new(tails_max.min(Semaphore::MAX_PERMITS))),
            tails_max: tails_max.min(Semaphore::MAX_PERMITS),
        }
    }

    /// A place for one more tail.
    pub(crate) fn admit(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.tails.clone().try_acquire_owned().map_err(|_| rpc::Error::Overloaded { retry_after: RETRY_AFTER }.into())
    }

    /// Whether there is a tail.
    pub(crate) fn is_followed(&self) -> bool {
        self.tails.available_permits() < self.tails_max
    }

    /// Waits for the turn to read for oneself. The semaphore is never closed, so there is always one.
    pub(crate) async fn catch_up(&self) -> Option<SemaphorePermit<'_>> {
        self.catch_ups.acquire().await.ok()
    }

    /// Waits for the turn to ask the database for all.
    pub(crate) async fn turn(&self) -> impl Drop + '_ {
        self.turn.lock().await
    }

    /// What comes after `position`; the log is known to go beyond it.
    ///
    /// # Errors
    /// `RESUME_TOKEN_EXPIRED` when retention took what comes next; those of Postgres.
    pub(crate) async fn after(&self, log: &Log, position: i64) -> Result<Found, Error> {
        if let Some(found) = self.stretch().after(position) {
            return Ok(found);
        }
        let _turn = self.turn().await;
        if let Some(found) = self.stretch().after(position) {
            return Ok(found);
        }
        let events = log.read(position, PAGE).await?;
        metrics::counter!("muster_event_tail_reads_total", "service" => log.service(), "kind" => "shared").increment(1);
        if events.first().is_none_or(|first| first.position() != position + 1) {
            return Err(Error::ResumeTokenExpired);
        }
        let mut stretch = self.stretch();
        stretch.extend(position, events);
        stretch.after(position).ok_or(Error::ResumeTokenExpired)
    }

    fn stretch(&self) -> MutexGuard<'_, Stretch> {
        self.stretch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stretch {
    /// `None`: nothing is known of what comes after `position`.
    fn after(&self, position: i64) -> Option<Found> {
        if position < self.floor {
            return Some(Found::Behind);
        }
        let skip = usize::try_from(position - self.floor).ok()?;
        (position < self.end).then(|| Found::Events(self.events.iter().skip(skip).cloned().collect(), self.end))
    }

    /// Adds what was read after `position`, which is the end or beyond it: nobody watched then, and what is held is of no use to anybody.
    fn extend(&mut self, position: i64, events: Vec<Logged>) {
        if position != self.end {
            *self = Stretch { floor: position, end: position, ..Stretch::default() };
        }
        for event in events {
            self.end = event.position();
            self.bytes += event.body.len();
            self.events.push_back(Arc::new(event));
        }
        while self.events.len() > EVENTS_MAX || (self.bytes > BYTES_MAX && self.events.len() > 1) {
            let Some(oldest) = self.events.pop_front() else { return };
            self.bytes -= oldest.body.len();
            self.floor = oldest.position();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Envelope;

    fn events(positions: std::ops::RangeInclusive<i64>, size: usize) -> Vec<Logged> {
        let event = |position| Logged { envelope: Envelope { position, ..Envelope::default() }, body: vec![0; size].into() };
        positions.map(event).collect()
    }

    fn positions(stretch: &Stretch, after: i64) -> Option<Vec<i64>> {
        match stretch.after(after)? {
            Found::Events(events, end) => {
                assert_eq!(events.last().map(|event| event.position()), Some(end));
                Some(events.iter().map(|event| event.position()).collect())
            }
            Found::Behind => Some(vec![]),
        }
    }

    #[test]
    fn a_tail_gets_what_comes_after_it_or_hears_that_it_is_behind() {
        let mut stretch = Stretch::default();
        stretch.extend(10, events(11..=13, 1));
        stretch.extend(13, events(14..=15, 1));
        assert_eq!(positions(&stretch, 12), Some(vec![13, 14, 15]));
        assert_eq!(positions(&stretch, 10), Some(vec![11, 12, 13, 14, 15]));
        assert_eq!(positions(&stretch, 15), None, "to be read");
        assert_eq!(positions(&stretch, 9), Some(vec![]), "behind");
    }

    #[test]
    fn the_oldest_go_when_it_holds_too_many_or_too_much() {
        let mut stretch = Stretch::default();
        stretch.extend(0, events(1..=EVENTS_MAX as i64 + 5, 1));
        assert_eq!((stretch.floor, stretch.events.len(), stretch.bytes), (5, EVENTS_MAX, EVENTS_MAX));
        stretch.extend(stretch.end, events(stretch.end + 1..=stretch.end + 1, BYTES_MAX));
        assert_eq!((stretch.events.len(), stretch.bytes), (1, BYTES_MAX));
    }

    #[test]
    fn a_stretch_that_nobody_followed_is_begun_anew() {
        let mut stretch = Stretch::default();
        stretch.extend(0, events(1..=3, 1));
        stretch.extend(90, events(91..=92, 1));
        assert_eq!((stretch.floor, stretch.bytes), (90, 2));
        assert_eq!(positions(&stretch, 2), Some(vec![]), "behind");
    }
}
