//! A log in memory that is watched the way the suite's Watch RPCs are.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{Stream, stream};
use tokio::{sync::watch, time::timeout};

/// How long a watch stays silent before it sends a heartbeat.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Entries in the order they came: position `n` is entry `n - 1`. Clones are the same log.
#[derive(Debug)]
pub(super) struct Log<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    entries: Mutex<Vec<T>>,
    head: watch::Sender<i64>,
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Log(self.0.clone())
    }
}

impl<T: Clone + Send + 'static> Log<T> {
    pub(super) fn new() -> Self {
        Log(Arc::new(Inner { entries: Mutex::default(), head: watch::Sender::new(0) }))
    }

    fn entries(&self) -> MutexGuard<'_, Vec<T>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what `entry` makes of the entries so far.
    pub(super) fn push(&self, entry: impl FnOnce(&[T]) -> T) {
        let mut entries = self.entries();
        let next = entry(&entries);
        entries.push(next);
        self.0.head.send_replace(position_of(entries.len()));
    }

    /// What came after `position`, and the position it leads to.
    pub(super) fn after(&self, position: i64) -> (Vec<T>, i64) {
        let entries = self.entries();
        let from = usize::try_from(position).unwrap_or(usize::MAX).min(entries.len());
        (entries[from..].to_vec(), position_of(entries.len()))
    }

    /// What happens after `position`, one batch an item: (previous position, position, entries). Silence makes an empty one.
    pub(super) fn watch(&self, position: i64) -> impl Stream<Item = (i64, i64, Vec<T>)> + Send + use<T> {
        let (log, head) = (self.clone(), self.0.head.subscribe());
        stream::unfold((log, head, position), |(log, mut head, position)| async move {
            if *head.borrow_and_update() <= position {
                // Either outcome leads to a message: news, or a heartbeat.
                let _ = timeout(HEARTBEAT, head.changed()).await;
            }
            let (entries, reached) = log.after(position);
            Some(((position, reached, entries), (log, head, reached)))
        })
    }
}

fn position_of(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}
