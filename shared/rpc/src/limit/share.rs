//! How many things each one has, so that no one of them can take all places: streams of a caller, connections and unread answers of an address.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// What each one has that has any.
#[derive(Clone, Debug)]
pub struct Shares<K> {
    open: Arc<Mutex<HashMap<K, usize>>>,
    max: usize,
}

/// One thing of `owner`, until it is dropped.
#[derive(Debug)]
pub struct Share<K: Eq + Hash> {
    shares: Shares<K>,
    owner: K,
}

impl<K: Clone + Eq + Hash> Shares<K> {
    /// At most `max` for each.
    pub fn new(max: usize) -> Self {
        Self { open: Arc::default(), max }
    }

    /// One more for `owner`; none when that were too many.
    pub fn take(&self, owner: &K) -> Option<Share<K>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let held = open.entry(owner.clone()).or_insert(0);
        if *held >= self.max {
            return None;
        }
        *held += 1;
        Some(Share { shares: self.clone(), owner: owner.clone() })
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut open = self.shares.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = open.get_mut(&self.owner) {
            *held -= 1;
            if *held == 0 {
                open.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subject;

    #[test]
    fn who_has_no_stream_is_not_remembered() {
        let (shares, caller) = (Shares::new(2), Subject::Service("tasks".into()));
        let (first, second) = (shares.take(&caller), shares.take(&caller));
        assert!(first.is_some() && second.is_some() && shares.take(&caller).is_none());
        drop(first);
        assert!(shares.take(&caller).is_some());
        drop(second);
        assert!(shares.open.lock().unwrap().is_empty());
    }
}
