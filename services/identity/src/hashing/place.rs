//! Places among those who are hashed: how many there are, what their work is, and who is let in.
//!
//! A place is taken before anything else is done for a call, so that whoever can't be hashed in time costs microseconds, and those who are looked up
//! meanwhile are not let in beyond what the threads can do. It is given back when it is dropped: the hash is done, or nobody waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge};

use super::Refused;
use super::admission::{Load, smoothed};

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    threads: usize,
    ahead_max: usize,
    /// The work of one hash of our own.
    own_work: u64,
    taken: Mutex<Taken>,
}

#[derive(Debug)]
struct Taken {
    places: usize,
    work: u64,
    hash_time: Duration,
}

/// One place, and the work that is booked for it.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    work: u64,
}

impl Places {
    pub(super) fn new(threads: usize, ahead_max: usize, own_work: u64, hash_time: Duration) -> Arc<Self> {
        let taken = Mutex::new(Taken { places: 0, work: 0, hash_time });
        let places = Arc::new(Self { threads, ahead_max, own_work, taken });
        places.tell_ceiling(hash_time);
        places
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one hash of our own, if `remaining` suffices to wait for the others and be hashed.
    ///
    /// # Errors
    /// [`Refused::Overloaded`].
    pub(super) fn take(self: &Arc<Self>, remaining: Duration) -> Result<Place, Refused> {
        let mut taken = self.lock();
        self.admit(&taken, self.own_work, remaining)?;
        taken.places += 1;
        taken.work += self.own_work;
        Ok(Place { places: self.clone(), work: self.own_work })
    }

    fn admit(&self, others: &Taken, work: u64, remaining: Duration) -> Result<(), Refused> {
        let &Taken { places: ahead, work: ahead_work, hash_time } = others;
        let load = Load { ahead, ahead_work, own_work: self.own_work, threads: self.threads, hash_time };
        load.admit(work, remaining, self.ahead_max).map_err(|no_room| {
            counter!("identity_hash_refused_total").increment(1);
            Refused::Overloaded { retry_after: no_room.retry_after }
        })
    }

    /// How long one hash of our own takes at present.
    pub(super) fn hash_time(&self) -> Duration {
        self.lock().hash_time
    }

    /// Learns from `took`, the time of `work`: how long ours takes is learned from ours.
    pub(super) fn learn(&self, work: u64, took: Duration) {
        if work != self.own_work {
            return;
        }
        let mut taken = self.lock();
        taken.hash_time = smoothed(taken.hash_time, took);
        self.tell_ceiling(taken.hash_time);
    }

    /// Hashes of our own that this process computes in a second at most.
    fn tell_ceiling(&self, hash_time: Duration) {
        gauge!("identity_hash_ceiling_per_second").set(self.threads as f64 / hash_time.as_secs_f64().max(1e-9));
    }

    /// How many places are taken, and their work.
    #[cfg(test)]
    pub(super) fn taken(&self) -> (usize, u64) {
        let taken = self.lock();
        (taken.places, taken.work)
    }
}

impl Place {
    /// The work that is booked.
    pub(super) fn work(&self) -> u64 {
        self.work
    }

    /// Books `work` in place of what is booked, if `remaining` suffices for more.
    ///
    /// # Errors
    /// [`Refused::Overloaded`].
    pub(super) fn rebook(&mut self, work: u64, remaining: Duration) -> Result<(), Refused> {
        let mut taken = self.places.lock();
        if work > self.work {
            let others = Taken { places: taken.places - 1, work: taken.work - self.work, hash_time: taken.hash_time };
            self.places.admit(&others, work, remaining)?;
        }
        taken.work = taken.work - self.work + work;
        self.work = work;
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
        taken.places -= 1;
        taken.work -= self.work;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: Duration = Duration::from_millis(20);

    #[test]
    fn places_that_are_taken_are_waited_for_before_anything_is_hashed() {
        let places = Places::new(2, 64, 10, HASH);
        let first: Vec<Place> = (0..4).map(|_| places.take(HASH * 3).unwrap()).collect();
        assert_eq!(places.take(HASH * 3).unwrap_err(), Refused::Overloaded { retry_after: HASH });
        drop(first);
        assert!(places.take(HASH).is_ok());
        assert_eq!(places.taken(), (0, 0));
    }

    #[test]
    fn a_place_is_rebooked_for_dearer_work_only_where_its_time_suffices_and_keeps_what_it_had() {
        let places = Places::new(1, 1, 10, HASH);
        let mut place = places.take(HASH).unwrap();
        assert_eq!(place.rebook(30, HASH).unwrap_err(), Refused::Overloaded { retry_after: HASH * 2 });
        assert_eq!(places.taken(), (1, 10));
        place.rebook(30, HASH * 3).unwrap();
        assert_eq!(places.taken(), (1, 30));
        place.rebook(5, Duration::ZERO).unwrap();
        assert_eq!(places.taken(), (1, 5), "less is always room");
    }
}
