//! How many streams each caller has open, so that no one of them can take all places.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::Subject;

/// The streams of each caller that has any.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    open: Arc<Mutex<HashMap<Subject, usize>>>,
    max: usize,
}

/// One stream of a caller, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    shares: Shares,
    caller: Subject,
}

impl Shares {
    /// At most `max` for each caller.
    pub(super) fn new(max: usize) -> Self {
        Self { open: Arc::default(), max }
    }

    /// One more for `caller`; none when that were too many.
    pub(super) fn take(&self, caller: &Subject) -> Option<Share> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let held = open.entry(caller.clone()).or_insert(0);
        if *held >= self.max {
            return None;
        }
        *held += 1;
        Some(Share { shares: self.clone(), caller: caller.clone() })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut open = self.shares.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = open.get_mut(&self.caller) {
            *held -= 1;
            if *held == 0 {
                open.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
