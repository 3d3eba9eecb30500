//! Who is let into the queue. Pure.

use std::time::Duration;

/// The queue as it is when a call arrives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Hashes waiting or being computed.
    pub(super) ahead: usize,
    /// The work of those, and of one hash of our own, in one unit.
    pub(super) ahead_work: u64,
    pub(super) own_work: u64,
    /// How many are computed at a time, at least 1.
    pub(super) threads: usize,
    /// How long one of our own takes at present.
    pub(super) hash_time: Duration,
}

/// There is no room in the time the call has; after `retry_after` there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom {
    pub(super) retry_after: Duration,
}

impl Load {
    /// Lets a call of `work` in whose time suffices to wait and be hashed, and whose place is within `ahead_max`. A call refused on arrival costs
    /// microseconds; one that gives up in the queue has cost everybody behind it a place.
    pub(super) fn admit(self, work: u64, remaining: Duration, ahead_max: usize) -> Result<(), NoRoom> {
        let needed = self.wait().saturating_add(scaled(self.hash_time, work, self.own_work));
        if needed <= remaining && self.ahead < ahead_max {
            return Ok(());
        }
        // When the same call, made again, would just fit; never less than a hash, so that nobody spins.
        Err(NoRoom { retry_after: needed.saturating_sub(remaining).max(self.hash_time) })
    }

    /// How long until a thread is free for a call that arrives now. What is being computed counts in full; and a quarter more than by the last
    /// hashes, which the next may outlast: whoever is let in and comes too late has waited for nothing.
    fn wait(self) -> Duration {
        let rounds = self.ahead_work / self.own_work.max(1) / self.threads.max(1) as u64;
        let wait = self.hash_time.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX));
        wait.saturating_add(wait / 4)
    }
}

/// `time` for `part` of what takes it for `whole`.
fn scaled(time: Duration, part: u64, whole: u64) -> Duration {
    let nanos = time.as_nanos().saturating_mul(part.into()) / u128::from(whole.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The running mean of hash times: seven parts old, one part new.
pub(super) fn smoothed(mean: Duration, measured: Duration) -> Duration {
    (mean * 7 + measured) / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: Duration = Duration::from_millis(20);
    const OWN: u64 = 38_912;

    fn load(ahead: usize) -> Load {
        Load { ahead, ahead_work: ahead as u64 * OWN, own_work: OWN, threads: 2, hash_time: HASH }
    }

    #[test]
    fn an_idle_service_takes_whoever_has_time_for_one_hash() {
        assert_eq!(load(0).admit(OWN, HASH, 100), Ok(()));
        assert_eq!(load(1).admit(OWN, HASH, 100), Ok(()), "the second thread is free");
        assert_eq!(load(0).admit(OWN, HASH - Duration::from_micros(1), 100), Err(NoRoom { retry_after: HASH }));
    }

    #[test]
    fn the_queue_is_as_long_as_the_callers_deadline() {
        // 100 ms: three rounds of waiting, 25 ms each, and one of hashing, by two threads.
        let remaining = Duration::from_millis(100);
        let admitted = (0..).take_while(|ahead| load(*ahead).admit(OWN, remaining, 100).is_ok()).count();
        assert_eq!(admitted, 8);
    }

    #[test]
    fn the_hint_is_when_the_call_would_just_fit() {
        let remaining = Duration::from_millis(100);
        assert_eq!(load(20).admit(OWN, remaining, 100), Err(NoRoom { retry_after: Duration::from_millis(170) }));
    }

    #[test]
    fn a_dear_hash_takes_the_time_it_costs_from_itself_and_from_those_behind_it() {
        assert!(load(0).admit(10 * OWN, HASH * 9, 100).is_err(), "as dear as ten");
        assert_eq!(load(0).admit(10 * OWN, HASH * 10, 100), Ok(()));
        let behind = Load { ahead: 1, ahead_work: 10 * OWN, ..load(0) };
        assert_eq!(behind.admit(OWN, HASH * 6, 100), Err(NoRoom { retry_after: HASH * 5 / 4 }));
        assert_eq!(behind.admit(OWN, HASH * 8, 100), Ok(()));
        assert_eq!(load(0).admit(OWN / 2, HASH / 2, 100), Ok(()), "a cheap one fits where ours does not");
    }

    #[test]
    fn the_bound_holds_however_long_the_caller_would_wait() {
        assert_eq!(load(7).admit(OWN, Duration::from_secs(30), 8), Ok(()));
        assert!(load(8).admit(OWN, Duration::from_secs(30), 8).is_err());
    }

    #[test]
    fn the_mean_follows_a_machine_that_became_slow() {
        let mean = (0..40).fold(HASH, |mean, _| smoothed(mean, HASH * 3));
        assert!(mean > HASH * 2 && mean <= HASH * 3, "{mean:?}");
    }
}
