//! The services behind the edge, and the connections to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use host::Peers;
use rpc::client::Channel;

use crate::retry::Budget;

/// Connections to each service. One is a single lock and a single flow-control window for all calls (field note contracts-gateway, 3).
const CONNECTIONS: usize = 4;

/// The services behind the edge, by name. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub(crate) struct Upstreams(Arc<BTreeMap<&'static str, Upstream>>);

/// One service: connections that are made when they are first used and made anew, its name resolved anew, when they end. A server asks each to
/// end at its age, so that calls reach replicas that came later.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: &'static str,
    channels: [Channel; CONNECTIONS],
    next: AtomicUsize,
    /// How many calls it is sent twice.
    pub(crate) budget: Budget,
}

impl Upstreams {
    /// The owner of each method for the outside, where `peers` says it is.
    ///
    /// # Errors
    /// `suite.peers` has no address for one of them, or none that is one.
    pub(crate) fn new(peers: &Peers) -> anyhow::Result<Self> {
        let mut upstreams = BTreeMap::new();
        for name in crate::owners().into_keys() {
            let channels = [peers.channel(name)?, peers.channel(name)?, peers.channel(name)?, peers.channel(name)?];
            upstreams.insert(name, Upstream { name, channels, next: AtomicUsize::new(0), budget: Budget::new() });
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

impl Upstream {
    /// A connection for the next call, each in its turn.
    pub(crate) fn channel(&self) -> Channel {
        self.channels[self.next.fetch_add(1, Ordering::Relaxed) % CONNECTIONS].clone()
    }
}
