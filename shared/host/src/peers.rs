//! The way from one service to the others.

use std::net::SocketAddr;

use anyhow::Context;
use rpc::{
    authn::PeerKeys,
    client::{Channel, Names},
};

use crate::{Bound, SuiteConfig};

/// Opens channels to other services, in the name of this one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Peers {
    name: &'static str,
    own_address: SocketAddr,
    config: SuiteConfig,
    keys: PeerKeys,
}

impl Peers {
    pub(crate) fn new(bound: &Bound, config: &SuiteConfig, keys: &PeerKeys) -> Self {
        Peers { name: bound.name(), own_address: bound.reachable(), config: config.clone(), keys: keys.clone() }
    }

    /// A channel to `peer`. A service reaches itself by its own port: at its first start no other replica may be ready.
    ///
    /// # Errors
    /// `suite.peers` has no address of that name, or none that is one.
    pub fn channel(&self, peer: &str) -> anyhow::Result<Channel> {
        Ok(self.channels(peer, 1)?.remove(0))
    }

    /// `count` such channels, each with a connection of its own, spread over the addresses of the peer's name.
    ///
    /// # Errors
    /// `suite.peers` has no address of that name, or none that is one.
    pub fn channels(&self, peer: &str, count: usize) -> anyhow::Result<Vec<Channel>> {
        let own = (peer == self.name).then(|| format!("http://{}", self.own_address));
        let address = own.or_else(|| self.config.peers.get(peer).cloned()).with_context(|| format!("suite.peers.{peer} is not set"))?;
        let channels = rpc::client::channels(&Names::system(), peer, &address, &self.keys, count);
        channels.with_context(|| format!("suite.peers.{peer} is no address"))
    }
}
