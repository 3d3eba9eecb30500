//! How long to wait before trying again: exponential, capped, with full jitter.
//!
//! Full jitter draws each delay from nothing to the cap of that attempt, so that clients which failed together don't come back together.
//! Source: AWS Architecture Blog, "Exponential Backoff And Jitter".

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// The delays of one loop's attempts.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    attempt: u32,
    jitter: Jitter,
}

#[derive(Clone, Debug)]
enum Jitter {
    Full(SmallRng),
    None,
}

impl Backoff {
    /// Delays up to `first`, doubling with every attempt and never above `most`, each drawn from zero to its cap.
    pub fn new(first: Duration, most: Duration) -> Self {
        Self::with(first, most, Jitter::Full(SmallRng::from_rng(&mut rand::rng())))
    }

    /// The same draws for the same seed.
    pub fn seeded(first: Duration, most: Duration, seed: u64) -> Self {
        Self::with(first, most, Jitter::Full(SmallRng::seed_from_u64(seed)))
    }

    /// No jitter: every delay is its cap. For tests and for loops that are alone in the world.
    pub fn exact(first: Duration, most: Duration) -> Self {
        Self::with(first, most, Jitter::None)
    }

    fn with(first: Duration, most: Duration, jitter: Jitter) -> Self {
        Self { first, most, attempt: 0, jitter }
    }

    /// How many delays were drawn since the last success.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The delay before the next attempt.
    pub fn next_delay(&mut self) -> Duration {
        let cap = self.first.saturating_mul(2_u32.saturating_pow(self.attempt)).min(self.most);
        self.attempt = self.attempt.saturating_add(1);
        match &mut self.jitter {
            Jitter::Full(random) => cap.mul_f64(random.random()),
            Jitter::None => cap,
        }
    }

    /// Begins again with the first delay: the last attempt succeeded.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// Sleeps for the next delay.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_delay()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(2);

    #[test]
    fn caps_double_and_stop_at_the_most() {
        let mut backoff = Backoff::exact(FIRST, MOST);
        let millis: Vec<u128> = (0..7).map(|_| backoff.next_delay().as_millis()).collect();
        assert_eq!(millis, [100, 200, 400, 800, 1600, 2000, 2000]);
        backoff.reset();
        assert_eq!(backoff.next_delay(), FIRST);
    }

    #[test]
    fn a_thousand_attempts_do_not_overflow() {
        let mut backoff = Backoff::exact(FIRST, MOST);
        assert!((0..1_000).all(|_| backoff.next_delay() <= MOST));
    }

    #[test]
    fn one_seed_gives_one_row_of_delays_and_two_seeds_give_two() {
        let row = |seed| {
            let mut backoff = Backoff::seeded(FIRST, MOST, seed);
            (0..8).map(|_| backoff.next_delay()).collect::<Vec<_>>()
        };
        assert_eq!(row(1), row(1));
        assert_ne!(row(1), row(2));
    }

    proptest::proptest! {
        #[test]
        fn jitter_stays_below_the_cap_of_its_attempt(seed: u64) {
            let mut drawn = Backoff::seeded(FIRST, MOST, seed);
            let mut caps = Backoff::exact(FIRST, MOST);
            for _ in 0..12 {
                proptest::prop_assert!(drawn.next_delay() <= caps.next_delay());
            }
        }
    }
}
