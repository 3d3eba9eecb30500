//! What every service replicates from its peers: signing keys, revocations, permissions.

use authz::Authorizer;
use contract::authorization::v1::replication_service_client::ReplicationServiceClient;
use rpc::authn::{KeySet, PeerKeys, Revocations, Verifier, replicate_keys, replicate_revocations};
use runtime::{
    Clock, Tasks,
    feed::{Feed, FeedFaults, Options},
};

use crate::{Bound, Peers, Suite};

/// Whose contract has KeyService and RevocationService.
const IDENTITY: &str = "identity";
/// Whose contract has ReplicationService.
const AUTHORIZATION: &str = "authorization";

/// The way to the peers of one service.
pub(crate) struct Replicas<'a> {
    name: &'static str,
    peers: &'a Peers,
    keys: &'a PeerKeys,
    key_set: KeySet,
    revocations: Revocations,
    clock: Clock,
    revocation_faults: FeedFaults,
    permission_faults: FeedFaults,
}

impl<'a> Replicas<'a> {
    pub(crate) fn new(suite: &Suite, bound: &Bound, peers: &'a Peers, keys: &'a PeerKeys) -> Self {
        let clock = suite.clock.clone();
        let (key_set, revocations) = (KeySet::new(), Revocations::new(clock.clone()));
        let (revocation_faults, permission_faults) = (suite.revocation_faults.clone(), suite.permission_faults.clone());
        Replicas { name: bound.name(), peers, keys, key_set, revocations, clock, revocation_faults, permission_faults }
    }

    /// A verifier by the replicated keys and revocations; ready once replication was started and has heard of both.
    pub(crate) fn verifier(&self) -> Verifier {
        Verifier::new(self.key_set.clone(), self.revocations.clone(), self.keys.clone(), self.clock.clone())
    }

    /// Starts replication as background tasks; permissions into `authorizer`, if it wants them.
    pub(crate) fn start(&self, tasks: &Tasks, authorizer: Option<&Authorizer>) -> anyhow::Result<()> {
        let identity = self.peers.channel(IDENTITY)?;
        let shutdown = tasks.shutdown();
        let keys = replicate_keys(self.key_set.clone(), self.revocations.clone(), identity.clone(), shutdown.clone());
        tasks.spawn("signing keys", keys);
        let feed = Feed::new(self.name, "revocations", Options::default()).with_faults(self.revocation_faults.clone());
        tasks.spawn("revocations", replicate_revocations(feed, self.revocations.clone(), identity, shutdown.clone()));
        if let Some(authorizer) = authorizer {
            let feed = Feed::new(self.name, "authorization", Options::default()).with_faults(self.permission_faults.clone());
            let client = ReplicationServiceClient::new(self.peers.channel(AUTHORIZATION)?);
            tasks.spawn("permissions", authz::replicate(feed, authorizer.clone(), client, shutdown.clone()));
        }
        Ok(())
    }
}
