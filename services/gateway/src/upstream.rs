//! The services behind the edge, and the connections to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use host::Peers;
use rpc::client::{Channel, UNREAD_MAX};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::retry::Budget;

/// Connections to each service that are in use. One is a single lock for all calls (field note contracts-gateway, 3).
const CONNECTIONS: usize = 4;
/// Connections at most: enough for every call and stream that the edge takes by default (`calls_max`, `streams_max`), so that streams that are open
/// for an hour keep no call waiting.
const CONNECTIONS_MAX: usize = 64;

/// The services behind the edge, by name. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub(crate) struct Upstreams(Arc<BTreeMap<&'static str, Upstream>>);

/// One service: connections to its addresses in turns, made when they are first used and made anew, its name resolved anew, when they end. A server
/// asks each to end at its age, so that calls reach replicas that came later.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: &'static str,
    connections: Vec<Connection>,
    next: AtomicUsize,
    /// How many calls it is sent twice.
    pub(crate) budget: Budget,
}

#[derive(Debug)]
struct Connection {
    channel: Channel,
    places: Arc<Semaphore>,
}

impl Upstreams {
    /// The owner of each method for the outside, where `peers` says it is. It takes `connection_streams_max` streams on a connection.
    ///
    /// # Errors
    /// `suite.peers` has no address for one of them, or none that is one.
    pub(crate) fn new(peers: &Peers, connection_streams_max: u32) -> anyhow::Result<Self> {
        let (mut upstreams, calls_max) = (BTreeMap::new(), calls_max(connection_streams_max));
        for name in crate::owners().into_keys() {
            let connection = |channel| Connection { channel, places: Arc::new(Semaphore::new(calls_max)) };
            let connections = peers.channels(name, CONNECTIONS_MAX)?.into_iter().map(connection).collect();
            upstreams.insert(name, Upstream { name, connections, next: AtomicUsize::new(0), budget: Budget::new() });
        }
        Ok(Self(Arc::new(upstreams)))
    }

    /// The service called `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&Upstream> {
        self.0.get(name)
    }

    /// All of them.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Upstream> {
        self.0.values()
    }
}

/// Calls on one connection: some less than a service takes of `streams_max`, so that none waits there behind the others and those that have no
/// place, and no more than may stay unread on one.
fn calls_max(streams_max: u32) -> usize {
    (streams_max - streams_max / 10).min(UNREAD_MAX) as usize
}

impl Upstream {
    /// A connection for the next call, and the call's place on it until the answer is over: each of the first ones in its turn, the next one when
    /// they are full; none when all are.
    pub(crate) fn place(&self) -> Option<(Channel, OwnedSemaphorePermit)> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let first = (0..CONNECTIONS).map(|n| (turn.wrapping_add(n)) % CONNECTIONS);
        first.chain(CONNECTIONS..CONNECTIONS_MAX).find_map(|n| {
            let connection = &self.connections[n];
            Some((connection.channel.clone(), connection.places.clone().try_acquire_owned().ok()?))
        })
    }

    /// A connection for what is open as long as the edge is, and has no place.
    pub(crate) fn channel(&self) -> Channel {
        self.connections[0].channel.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_fewer_places_than_its_service_takes_streams_and_none_that_another_s_unread_answer_stops() {
        assert_eq!([10, 100, 1_000].map(calls_max), [9, 90, 128]);
    }
}
