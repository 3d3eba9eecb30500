//! Answers that their clients have not read, and what all of them hold.
//!
//! Whoever asks and does not read leaves the answer here, for as long as `answer_read_ms`. A few kilobytes of each are bounded by what connections
//! and streams on them may be; what is larger is counted, all together. Nobody is refused for it: the work is done. An answer that finds the budget
//! taken keeps its call's place until it is out, so that too much unread becomes fewer calls and not more memory.
//!
//! Deliberately absent: streams. One hands over a message when the client has room for it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

/// The longest answer that is not counted, in bytes. With 1,024 connections of 100 streams it is 400 MiB at the very worst.
const UNCOUNTED_BYTES: usize = 4 * 1024;

/// The budget of unread answers, in bytes. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct UnreadAnswers(Arc<Semaphore>);

/// An answer, and what is given back when the last piece of it is let go.
struct Held<T> {
    answer: Bytes,
    _with: T,
}

impl<T> AsRef<[u8]> for Held<T> {
    fn as_ref(&self) -> &[u8] {
        &self.answer
    }
}

impl UnreadAnswers {
    /// At most `bytes_max` of all together.
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes_max)))
    }

    /// `answer`, counted until the last piece of it is let go, wherever that is: a piece holds the memory of the whole.
    ///
    /// # Errors
    /// It comes back, not counted: there is too much of others'.
    pub fn count(&self, answer: Bytes) -> Result<Bytes, Bytes> {
        if answer.len() <= UNCOUNTED_BYTES {
            return Ok(answer);
        }
        let counted = u32::try_from(answer.len()).ok().and_then(|bytes| self.0.clone().try_acquire_many_owned(bytes).ok());
        match counted {
            Some(counted) => Ok(hold(answer, counted)),
            None => Err(answer),
        }
    }

    /// `answer`, counted; or with the `place` of its call, which is then given back when the last piece of it is let go.
    pub(crate) fn count_or_hold<P: Send + 'static>(&self, answer: Bytes, place: P) -> Bytes {
        self.count(answer).unwrap_or_else(|answer| hold(answer, place))
    }
}

/// `answer` together with `with`.
fn hold<T: Send + 'static>(answer: Bytes, with: T) -> Bytes {
    Bytes::from_owner(Held { answer, _with: with })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: usize) -> Bytes {
        vec![7; bytes].into()
    }

    #[test]
    fn an_answer_is_counted_until_the_last_piece_of_it_is_let_go() {
        let answers = UnreadAnswers::new(10_000);
        let mut first = answers.count(answer(9_000)).unwrap();
        assert_eq!(answers.count(answer(5_000)).unwrap_err(), answer(5_000), "it comes back as it was");
        let last = first.split_off(8_999);
        drop(first);
        assert!(answers.count(answer(5_000)).is_err());
        drop(last);
        assert!(answers.count(answer(5_000)).is_ok());
    }

    #[test]
    fn an_answer_that_finds_no_room_keeps_its_place_as_long_and_others_give_it_back() {
        let (answers, place) = (UnreadAnswers::new(10_000), Arc::new(()));
        let counted = answers.count_or_hold(answer(9_000), place.clone());
        let short = answers.count_or_hold(answer(UNCOUNTED_BYTES), place.clone());
        assert_eq!(Arc::strong_count(&place), 1);
        let late = answers.count_or_hold(answer(5_000), place.clone());
        assert_eq!((Arc::strong_count(&place), &late), (2, &answer(5_000)));
        drop((counted, short, late));
        assert_eq!(Arc::strong_count(&place), 1);
    }
}
