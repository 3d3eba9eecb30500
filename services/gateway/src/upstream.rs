//! The services behind the edge, and the connections to them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use contract::Exposure;
use rpc::authn::PeerKeys;
use rpc::client::{self, Channel};

/// Connections to each service. One is a single lock and a single flow-control window for all calls (field note contracts-gateway, 3).
const CONNECTIONS: usize = 4;

/// Upstreams that can't be had.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamsError {
    /// Nobody said where a service is whose methods are shown.
    #[error("suite.peers.{0} is not set")]
    Unset(&'static str),
    /// What was said is no address.
    #[error("suite.peers.{name} is no address: {source}")]
    NoAddress {
        /// Of which service.
        name: &'static str,
        /// Why.
        source: tonic::transport::Error,
    },
}

/// The services behind the edge, by name. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Upstreams(Arc<BTreeMap<&'static str, Upstream>>);

/// One service: connections that are made when they are first used and made anew, its name resolved anew, when they end. A server asks each to
/// end at its age, so that calls reach replicas that came later.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: &'static str,
    channels: [Channel; CONNECTIONS],
    next: AtomicUsize,
}

impl Upstreams {
    /// The owner of each method for the outside, at the address that `peers` has for it (`http://host:port`).
    ///
    /// # Errors
    /// One of them has no address.
    pub fn new(peers: &BTreeMap<String, String>, keys: &PeerKeys) -> Result<Self, UpstreamsError> {
        let mut upstreams = BTreeMap::new();
        for policy in contract::METHODS.iter().filter(|policy| policy.exposure == Exposure::Edge) {
            let name = policy.owner;
            if upstreams.contains_key(name) {
                continue;
            }
            let address = peers.get(name).ok_or(UpstreamsError::Unset(name))?;
            let channel = || client::channel(name, address, keys).map_err(|source| UpstreamsError::NoAddress { name, source });
            let channels = [channel()?, channel()?, channel()?, channel()?];
            upstreams.insert(name, Upstream { name, channels, next: AtomicUsize::new(0) });
        }
        Ok(Self(Arc::new(upstreams)))
    }

    /// The service called `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&Upstream> {
        self.0.get(name)
    }
}

impl Upstream {
    /// A connection for the next call, each in its turn.
    pub(crate) fn channel(&self) -> Channel {
        self.channels[self.next.fetch_add(1, Ordering::Relaxed) % CONNECTIONS].clone()
    }
}
