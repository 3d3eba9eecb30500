//! What every service replicates from its peers: signing keys, revocations, permissions.

use std::net::SocketAddr;

use anyhow::Context;
use authz::Authorizer;
use contract::authorization::v1::replication_service_client::ReplicationServiceClient;
use rpc::{
    authn::{KeySet, PeerKeys, Revocations, Verifier, replicate_keys, replicate_revocations},
    client::Channel,
};
use runtime::{
    Clock, Tasks,
    feed::{Feed, FeedFaults, Options},
};

use crate::{Bound, Suite, SuiteConfig};

/// Whose contract has KeyService and RevocationService.
const IDENTITY: &str = "identity";
/// Whose contract has ReplicationService.
const AUTHORIZATION: &str = "authorization";

/// The way to the peers of one service.
pub(crate) struct Replicas<'a> {
    name: &'static str,
    own_address: SocketAddr,
    config: &'a SuiteConfig,
    peers: &'a PeerKeys,
    clock: Clock,
    faults: FeedFaults,
}

impl<'a> Replicas<'a> {
    pub(crate) fn new(suite: &'a Suite, bound: &Bound, peers: &'a PeerKeys) -> Self {
        let (clock, faults) = (suite.clock.clone(), suite.revocation_faults.clone());
        Replicas { name: bound.name(), own_address: bound.reachable(), config: &suite.suite, peers, clock, faults }
    }

    /// Starts replication as background tasks; permissions into `authorizer`, if it wants them.
    pub(crate) fn start(&self, tasks: &Tasks, authorizer: Option<&Authorizer>) -> anyhow::Result<Verifier> {
        let (keys, revocations) = (KeySet::new(), Revocations::new(self.clock.clone()));
        let identity = self.channel(IDENTITY)?;
        let shutdown = tasks.shutdown();
        tasks.spawn("signing keys", replicate_keys(keys.clone(), identity.clone(), shutdown.clone()));
        let feed = Feed::new(self.name, "revocations", Options::default()).with_faults(self.faults.clone());
        tasks.spawn("revocations", replicate_revocations(feed, revocations.clone(), identity, shutdown.clone()));
        if let Some(authorizer) = authorizer {
            let feed = Feed::new(self.name, "authorization", Options::default());
            let client = ReplicationServiceClient::new(self.channel(AUTHORIZATION)?);
            tasks.spawn("permissions", authz::replicate(feed, authorizer.clone(), client, shutdown.clone()));
        }
        Ok(Verifier::new(keys, revocations, self.peers.clone(), self.clock.clone()))
    }

    /// A channel to `peer`. A service reaches itself by its own port: at its first start no other replica may be ready.
    fn channel(&self, peer: &str) -> anyhow::Result<Channel> {
        let own = (peer == self.name).then(|| format!("http://{}", self.own_address));
        let address = own.or_else(|| self.config.peers.get(peer).cloned()).with_context(|| format!("suite.peers.{peer} is not set"))?;
        rpc::client::channel(peer, &address, self.peers).with_context(|| format!("suite.peers.{peer} is no address"))
    }
}
