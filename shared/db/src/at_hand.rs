//! Connections at hand: those that came back clean and wait for the next transaction, the last one back first.
//!
//! Why beside sqlx's pool: that one asks the server for a sign of life whenever a connection comes back, a round trip after each transaction,
//! and hands out the one that rested longest, so that the caches of all server processes stay cold. Here the question is asked at most every
//! [`UNASKED_MAX`], when the connection goes back to sqlx, which also closes what is old or left over.
//!
//! Why a connection is opened in a task of its own: whoever waits for one gives up soon, and a connection that is being opened would be given up with
//! it. Under load, where opening takes longer than anybody waits, none would ever come to be.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use crate::Error;

/// How long a connection is used before it goes back to sqlx, which asks for its life; one that rests here goes within half of that again.
const UNASKED_MAX: Duration = Duration::from_secs(30);
/// How long the server may take to answer the question.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Connections of one pool.
#[derive(Debug)]
pub(crate) struct AtHand {
    /// One for each connection there may be, so that whoever has one finds a connection here or has another opened.
    permits: Arc<Semaphore>,
    resting: Mutex<Resting<Asked>>,
    /// Told of each connection that comes to rest.
    arrived: Notify,
}

/// Connections that rest, and how many are used meanwhile: what is there and what may be is looked at and changed under one lock.
#[derive(Debug)]
struct Resting<C> {
    connections: Vec<C>,
    /// How many are used; one that just came back is counted here too for a moment.
    used: usize,
    connections_max: usize,
    /// Whether somebody gives back what rests too long.
    is_tended: bool,
    is_closed: bool,
}

impl<C> Resting<C> {
    fn new(connections_max: usize) -> Self {
        Resting { connections: Vec::new(), used: 0, connections_max, is_tended: false, is_closed: false }
    }

    /// The one that came back last, which is used from now on.
    fn take(&mut self) -> Option<C> {
        let taken = self.connections.pop()?;
        self.used += 1;
        Some(taken)
    }

    /// Has one rest that was opened for somebody, unless meanwhile there are as many as there may be: then it is answered.
    fn welcome(&mut self, opened: C) -> Result<(), C> {
        if self.connections.len() + self.used >= self.connections_max {
            return Err(opened);
        }
        self.connections.push(opened);
        Ok(())
    }
}

/// A connection and when it was taken from sqlx. That asked for its life when it came back there: a dead one fails its BEGIN.
#[derive(Debug)]
struct Asked {
    connection: PoolConnection<Postgres>,
    at: Instant,
}

impl Asked {
    fn is_due(&self) -> bool {
        self.at.elapsed() >= UNASKED_MAX
    }
}

/// A connection that somebody uses, who says what becomes of it.
#[derive(Debug)]
pub(crate) struct Held {
    asked: Asked,
    used: Used,
    _permit: OwnedSemaphorePermit,
}

/// Counts a connection as used until it is dropped.
#[derive(Debug)]
struct Used(Arc<AtHand>);

impl Drop for Used {
    fn drop(&mut self) {
        self.0.resting().used -= 1;
    }
}

impl AtHand {
    pub(crate) fn new(connections_max: u32) -> Arc<Self> {
        let connections_max = connections_max as usize;
        let (permits, resting) = (Arc::new(Semaphore::new(connections_max)), Mutex::new(Resting::new(connections_max)));
        Arc::new(AtHand { permits, resting, arrived: Notify::new() })
    }

    /// The connection that came back last, else one of `pool`. Waits until there is one; first come, first served.
    ///
    /// # Errors
    /// [`Error::Unavailable`]
    pub(crate) async fn take(self: &Arc<Self>, pool: &PgPool) -> Result<Held, Error> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| Error::Unavailable(sqlx::Error::PoolClosed))?;
        let rested = self.resting().take();
        let asked = match rested {
            Some(asked) => asked,
            None => self.wait(pool).await?,
        };
        Ok(Held { asked, used: Used(Arc::clone(self)), _permit: permit })
    }

    /// The next connection that comes to rest: one that is opened for this, or comes back before that.
    async fn wait(self: &Arc<Self>, pool: &PgPool) -> Result<Asked, Error> {
        let mut failure = self.open(pool);
        loop {
            let mut arrived = pin!(self.arrived.notified());
            // From here on: one that comes to rest before the look is seen by it, one after that is told.
            arrived.as_mut().enable();
            if let Some(asked) = self.resting().take() {
                return Ok(asked);
            }
            tokio::select! {
                () = &mut arrived => {}
                Ok(error) = &mut failure, if !failure.is_terminated() => return Err(error),
            }
        }
    }

    /// Has sqlx open a connection that then rests here. Answers if that fails.
    fn open(self: &Arc<Self>, pool: &PgPool) -> oneshot::Receiver<Error> {
        let (failed, failure) = oneshot::channel();
        let (at_hand, pool) = (self.clone(), pool.clone());
        #[expect(clippy::disallowed_methods, reason = "ends by itself within sqlx's bound for a connection")]
        tokio::spawn(async move {
            match pool.acquire().await {
                Ok(connection) => at_hand.welcome(connection),
                // Nobody may be left who waits for it.
                Err(error) => drop(failed.send(error.into())),
            }
        });
        failure
    }

    /// Has a connection rest here that was opened for somebody, unless meanwhile there are as many without it as there may be.
    fn welcome(self: &Arc<Self>, connection: PoolConnection<Postgres>) {
        let mut resting = self.resting();
        if resting.is_closed {
            drop(resting);
            return give_back(connection);
        }
        match resting.welcome(Asked { connection, at: Instant::now() }) {
            Ok(()) => self.tell(resting),
            Err(mut one_too_many) => {
                drop(resting);
                one_too_many.connection.close_on_drop();
            }
        }
    }

    /// How many rest here.
    pub(crate) fn count(&self) -> usize {
        self.resting().connections.len()
    }

    /// Gives all of them back to sqlx, and whatever comes back from now on.
    pub(crate) fn close(&self) {
        self.permits.close();
        let mut resting = self.resting();
        resting.is_closed = true;
        resting.connections.drain(..).for_each(|asked| give_back(asked.connection));
    }

    fn rest(self: &Arc<Self>, asked: Asked) {
        let mut resting = self.resting();
        if resting.is_closed || asked.is_due() {
            drop(resting);
            return give_back(asked.connection);
        }
        resting.connections.push(asked);
        self.tell(resting);
    }

    /// Tells who waits that one came to rest, and has it tended.
    fn tell(self: &Arc<Self>, mut resting: MutexGuard<'_, Resting<Asked>>) {
        let is_tended = std::mem::replace(&mut resting.is_tended, true);
        drop(resting);
        self.arrived.notify_one();
        if !is_tended {
            #[expect(clippy::disallowed_methods, reason = "ends by itself once nothing rests here")]
            tokio::spawn(Arc::clone(self).tend());
        }
    }

    /// Gives back what rests too long, until nothing is left.
    async fn tend(self: Arc<Self>) {
        loop {
            tokio::time::sleep(UNASKED_MAX / 2).await;
            let mut resting = self.resting();
            resting.connections.extract_if(.., |asked| asked.is_due()).for_each(|asked| give_back(asked.connection));
            if resting.connections.is_empty() {
                resting.is_tended = false;
                return;
            }
        }
    }

    fn resting(&self) -> MutexGuard<'_, Resting<Asked>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.asked.connection
    }

    /// For the next one. The connection stands between two transactions.
    pub(crate) fn give_back(self) {
        let Held { asked, used, .. } = self;
        // Before the permit, or the next one would open another connection; and before it counts as unused, or it would not be counted for a moment.
        used.0.rest(asked);
    }

    /// Closes the connection.
    pub(crate) fn close(self) {
        let Held { mut asked, .. } = self;
        asked.connection.close_on_drop();
    }
}

/// Gives a connection back to sqlx, which asks the server for a sign of life first, without a bound: behind a network that swallows packets
/// the connection would count as used until TCP gives up, a quarter of an hour later.
fn give_back(mut connection: PoolConnection<Postgres>) {
    let back = connection.return_to_pool();
    #[expect(clippy::disallowed_methods, reason = "ends by itself within two seconds; sqlx spawns the same task, without the bound")]
    tokio::spawn(async move {
        // Dropped at the bound, the connection is closed and its place in the pool is free.
        if tokio::time::timeout(ANSWER_MAX, back).await.is_err() {
            tracing::warn!("the database did not answer in time; a connection was closed");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_that_are_opened_for_the_last_place_one_rests() {
        let mut resting = Resting::new(2);
        assert_eq!((resting.welcome('a'), resting.take()), (Ok(()), Some('a')));
        assert_eq!((resting.welcome('b'), resting.welcome('c')), (Ok(()), Err('c')), "one is used and one rests");
        assert_eq!((resting.take(), resting.welcome('d')), (Some('b'), Err('d')), "who has taken one uses it from then on");
        assert_eq!(resting.take(), None, "none is counted that does not rest");
        assert_eq!((resting.connections.len(), resting.used), (0, 2));
    }

    #[tokio::test]
    async fn a_connection_counts_as_used_until_whoever_has_it_lets_go() {
        let at_hand = AtHand::new(1);
        at_hand.resting().used += 1;
        drop(Used(at_hand.clone()));
        assert_eq!(at_hand.resting().used, 0);
    }
}
