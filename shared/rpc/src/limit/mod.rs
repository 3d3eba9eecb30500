//! How many calls run at once in a process, and what happens to one too many.
//!
//! A call that finds no room waits for a moment in a queue of bounded length and is refused after it: a client that hears `OVERLOADED` at once can
//! act on it, one that waits can't. What has no time left is refused before anything else is.
//!
//! Places are kept in [`Lane`]s, so that who can't be told apart can't crowd out who can: a watch that is silent for an hour must not keep a write
//! waiting, strangers who leave reflection open must not take the place of a feed, and what the services ask of each other must go on while
//! everybody else is turned away. Among streams each caller has a share. A call takes its place when its message has arrived in full, see
//! [`message`]: whoever sends half of one holds none; and gives it back when its answer is there, see [`answer`]. Health is asked for no place, but
//! for its Watch.
//!
//! Source: field note reliability, 7.3.

pub(crate) mod answer;
pub(crate) mod message;
pub(crate) mod share;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use contract::{Authn, MethodPolicy};
use metrics::Counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::authn::GATEWAY;
use crate::server::Limits;
use crate::{Deadline, Error, Subject};
use answer::UnreadAnswers;
use share::{Share, Shares};

/// A kind of call with places of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// A call of a user or of anybody.
    Call,
    /// A stream of a user.
    Stream,
    /// A stream that anybody may open: reflection, Watch of health.
    PublicStream,
    /// A call of a service on its own behalf.
    ServiceCall,
    /// A stream of one: a feed, a snapshot.
    ServiceStream,
}

impl Lane {
    /// The lane of a call under `policy`, by the verified `peer` if there is one. The gateway's calls are those of the people behind it.
    pub(crate) fn of(policy: &MethodPolicy, peer: Option<&str>) -> Self {
        let own = policy.authn == Authn::ServiceOnly || (policy.authn == Authn::Public && peer.is_some_and(|peer| peer != GATEWAY));
        match (policy.server_streaming, policy.authn) {
            (false, _) if own => Self::ServiceCall,
            (true, _) if own => Self::ServiceStream,
            (true, Authn::Public) => Self::PublicStream,
            (true, _) => Self::Stream,
            (false, _) => Self::Call,
        }
    }
}

/// The places of one server.
#[derive(Debug)]
pub(crate) struct Limiter {
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    public_streams: Arc<Semaphore>,
    service_calls: Arc<Semaphore>,
    service_streams: Arc<Semaphore>,
    shares: Shares<Subject>,
    /// Bytes of messages that are not there in full.
    unread: Arc<Semaphore>,
    /// What is held of answers.
    pub(crate) answers: UnreadAnswers,
    read_at_most: Duration,
    queue: Semaphore,
    queue_wait: Duration,
    shed: Counter,
    expired: Counter,
}

/// The place of one call, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _lane: OwnedSemaphorePermit,
    _share: Option<Share<Subject>>,
}

impl Limiter {
    pub(crate) fn new(service: &'static str, limits: &Limits) -> Self {
        let places = |max| Arc::new(Semaphore::new(max));
        Self {
            calls: places(limits.calls_max),
            streams: places(limits.streams_max),
            public_streams: places(limits.public_streams_max),
            service_calls: places(limits.service_calls_max),
            service_streams: places(limits.service_streams_max),
            shares: Shares::new(limits.caller_streams_max),
            unread: places(limits.unread_bytes_max),
            answers: UnreadAnswers::new(limits.answer_unread_bytes_max),
            read_at_most: Duration::from_millis(limits.request_read_ms),
            queue: Semaphore::new(limits.queue_max),
            queue_wait: Duration::from_millis(limits.queue_wait_ms),
            shed: metrics::counter!("muster_rpc_shed_total", "service" => service),
            expired: metrics::counter!("muster_rpc_deadline_refused_total", "service" => service),
        }
    }

    /// Refuses a call that has no time left, before anything is done for it.
    ///
    /// # Errors
    /// `DEADLINE_EXCEEDED`.
    pub(crate) fn in_time(&self, deadline: Deadline) -> Result<(), Error> {
        if deadline.is_expired() {
            self.expired.increment(1);
            return Err(Error::DeadlineExceeded);
        }
        Ok(())
    }

    /// A place for a call of `caller`, kept until it is dropped.
    ///
    /// # Errors
    /// `DEADLINE_EXCEEDED` when the call's time has run out, `OVERLOADED` when there is no room, or the caller has its share of the streams.
    pub(crate) async fn admit(&self, lane: Lane, caller: &Subject, deadline: Deadline) -> Result<Place, Error> {
        self.in_time(deadline)?;
        let share = match (lane, caller) {
            (Lane::Call | Lane::ServiceCall, _) | (_, Subject::Anonymous) => None,
            (_, caller) => Some(self.shares.take(caller).ok_or_else(|| self.overloaded())?),
        };
        Ok(Place { _lane: self.wait(lane, deadline).await?, _share: share })
    }

    async fn wait(&self, lane: Lane, deadline: Deadline) -> Result<OwnedSemaphorePermit, Error> {
        let places = match lane {
            Lane::Call => &self.calls,
            Lane::Stream => &self.streams,
            Lane::PublicStream => &self.public_streams,
            Lane::ServiceCall => &self.service_calls,
            Lane::ServiceStream => &self.service_streams,
        };
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
        Error::overloaded()
    }
}
