//! The way from one service to the others.

use std::net::SocketAddr;

use anyhow::Context;
use rpc::{authn::PeerKeys, client::Channel};

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
        let own = (peer == self.name).then(|| format!("http://{}", self.own_address));
        let address = own.or_else(|| self.config.peers.get(peer).cloned()).with_context(|| format!("suite.peers.{peer} is not set"))?;
        rpc::client::channel(peer, &address, &self.keys).with_context(|| format!("suite.peers.{peer} is no address"))
    }
}
