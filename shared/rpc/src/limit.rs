//! How many calls run at once in a process, and what happens to one too many.
//!
//! A call that finds no room waits for a moment in a queue of bounded length and is refused after it: a client that hears `OVERLOADED` at once can
//! act on it, one that waits can't. What has no time left is refused before anything else is. Streams have places of their own, because a
//! watch that is silent for an hour must not keep a write waiting. Health is asked for no place.
//!
//! Source: field note reliability, 7.3.

use std::sync::Arc;
use std::time::Duration;

use metrics::Counter;
use rand::Rng;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::server::Limits;
use crate::{Deadline, Error};

/// The places of one server.
#[derive(Debug)]
pub(crate) struct Limiter {
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    queue: Semaphore,
    queue_wait: Duration,
    shed: Counter,
    expired: Counter,
}

impl Limiter {
    pub(crate) fn new(service: &'static str, limits: &Limits) -> Self {
        Self {
            calls: Arc::new(Semaphore::new(limits.calls_max)),
            streams: Arc::new(Semaphore::new(limits.streams_max)),
            queue: Semaphore::new(limits.queue_max),
            queue_wait: Duration::from_millis(limits.queue_wait_ms),
            shed: metrics::counter!("muster_rpc_shed_total", "service" => service),
            expired: metrics::counter!("muster_rpc_deadline_refused_total", "service" => service),
        }
    }

    /// A place for a call, kept until it is dropped.
    ///
    /// # Errors
    /// `DEADLINE_EXCEEDED` when the call's time has run out, `OVERLOADED` when there is no room.
    pub(crate) async fn admit(&self, streaming: bool, deadline: Deadline) -> Result<OwnedSemaphorePermit, Error> {
        if deadline.is_expired() {
            self.expired.increment(1);
            return Err(Error::DeadlineExceeded);
        }
        let places = if streaming { &self.streams } else { &self.calls };
        if let Ok(place) = places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let Ok(_queued) = self.queue.try_acquire() else {
            return Err(self.overloaded());
        };
        let until = deadline.instant().min(Instant::now() + self.queue_wait);
        match tokio::time::timeout_at(until, places.clone().acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Err(_) if deadline.is_expired() => {
                self.expired.increment(1);
                Err(Error::DeadlineExceeded)
            }
            Ok(Err(_)) | Err(_) => Err(self.overloaded()),
        }
    }

    fn overloaded(&self) -> Error {
        self.shed.increment(1);
        // With jitter: those who were refused together must not come back together.
        Error::Overloaded { retry_after: Duration::from_millis(rand::rng().random_range(500..1500)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(calls_max: usize, queue_max: usize) -> Limiter {
        Limiter::new("test", &Limits { calls_max, queue_max, queue_wait_ms: 50, streams_max: 1, ..Limits::default() })
    }

    fn soon() -> Deadline {
        Deadline::after(Duration::from_secs(1))
    }

    #[tokio::test(start_paused = true)]
    async fn one_too_many_is_refused_after_the_queue_s_wait() {
        let limiter = limiter(1, 1);
        let _place = limiter.admit(false, soon()).await.unwrap();
        assert!(matches!(limiter.admit(false, soon()).await, Err(Error::Overloaded { .. })));
        assert!(limiter.admit(true, soon()).await.is_ok(), "streams have places of their own");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_comes_free_goes_to_whoever_waits() {
        let limiter = limiter(1, 1);
        let place = limiter.admit(false, soon()).await.unwrap();
        let free = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            drop(place);
        };
        let (next, ()) = tokio::join!(limiter.admit(false, soon()), free);
        assert!(next.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_refuses_at_once() {
        let limiter = limiter(1, 0);
        let _place = limiter.admit(false, soon()).await.unwrap();
        let before = Instant::now();
        assert!(matches!(limiter.admit(false, soon()).await, Err(Error::Overloaded { .. })));
        assert_eq!(Instant::now(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_no_time_left_is_refused_first_whether_there_is_room_or_not() {
        let limiter = limiter(1, 1);
        assert!(matches!(limiter.admit(false, Deadline::after(Duration::ZERO)).await, Err(Error::DeadlineExceeded)));
        let _place = limiter.admit(false, soon()).await.unwrap();
        let short = Deadline::after(Duration::from_millis(10));
        assert!(matches!(limiter.admit(false, short).await, Err(Error::DeadlineExceeded)), "its time ran out in the queue");
    }
}
