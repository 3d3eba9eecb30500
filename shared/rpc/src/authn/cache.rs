//! Tokens that were verified, by the SHA-256 of their text: bounded, without a clock.
//!
//! Two generations in each shard. A hit in the old one moves to the new one; when the new one is full it becomes the old one and what was old is
//! forgotten. What is in use stays, what is not goes, and a flood of fresh tokens costs one verification each and no memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};

/// Shards, so that cores do not wait for one another.
const SHARDS: usize = 16;

/// The name of a token: its text is kept nowhere.
pub(super) type Fingerprint = [u8; 32];

/// The fingerprint of `token`.
pub(super) fn fingerprint(token: &[u8]) -> Fingerprint {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest(&SHA256, token).as_ref());
    fingerprint
}

#[derive(Debug)]
pub(super) struct Cache<V> {
    shards: [Mutex<Generations<V>>; SHARDS],
    per_generation: usize,
}

#[derive(Debug)]
struct Generations<V> {
    new: HashMap<Fingerprint, V>,
    old: HashMap<Fingerprint, V>,
}

impl<V: Clone> Cache<V> {
    /// A cache of at most `capacity` tokens.
    pub(super) fn new(capacity: usize) -> Self {
        let shard = |_| Mutex::new(Generations { new: HashMap::new(), old: HashMap::new() });
        Self { shards: std::array::from_fn(shard), per_generation: (capacity / SHARDS / 2).max(1) }
    }

    pub(super) fn get(&self, fingerprint: &Fingerprint) -> Option<V> {
        let mut shard = self.shard(fingerprint).lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = shard.new.get(fingerprint) {
            return Some(value.clone());
        }
        let value = shard.old.remove(fingerprint)?;
        self.keep(&mut shard, *fingerprint, value.clone());
        Some(value)
    }

    pub(super) fn insert(&self, fingerprint: Fingerprint, value: V) {
        let mut shard = self.shard(&fingerprint).lock().unwrap_or_else(PoisonError::into_inner);
        self.keep(&mut shard, fingerprint, value);
    }

    /// Calls `f` with each token that is kept.
    pub(super) fn each(&self, mut f: impl FnMut(&V)) {
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.new.values().chain(shard.old.values()).for_each(&mut f);
        }
    }

    fn keep(&self, shard: &mut Generations<V>, fingerprint: Fingerprint, value: V) {
        if shard.new.len() >= self.per_generation {
            shard.old = std::mem::take(&mut shard.new);
        }
        shard.new.insert(fingerprint, value);
    }

    fn shard(&self, fingerprint: &Fingerprint) -> &Mutex<Generations<V>> {
        &self.shards[usize::from(fingerprint[0]) % SHARDS]
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let held = |shard: &Mutex<Generations<V>>| shard.lock().map(|shard| shard.new.len() + shard.old.len()).unwrap();
        self.shards.iter().map(held).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_tokens_is_forgotten_and_the_one_in_use_stays() {
        let cache = Cache::new(320);
        let used = fingerprint(b"in use");
        cache.insert(used, 0);
        for n in 1..10_000_u32 {
            cache.insert(fingerprint(&n.to_le_bytes()), n);
            assert_eq!(cache.get(&used), Some(0), "after {n}");
        }
        assert!(cache.len() <= 320, "{} are kept", cache.len());
        assert_eq!(cache.get(&fingerprint(&1_u32.to_le_bytes())), None);
    }
}
