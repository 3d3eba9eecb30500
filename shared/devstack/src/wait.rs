//! Waiting for something outside of this process.

use std::time::{Duration, Instant};

/// Asks every 3 ms until `answer` gives one, for at most `at_most`.
pub(crate) fn until<T>(at_most: Duration, mut answer: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = answer() {
            return Some(answer);
        }
        if start.elapsed() >= at_most {
            return None;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}
