//! Tokens to refuse before their time.
//!
//! Four kinds: a session is over, a key is not to be trusted, a user's tokens from before a moment are void, an organization's are. A revocation is forgotten when no token
//! it could match lives any more, so the set is as large as what was revoked within a token's life.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use authz::STALENESS_MAX;
use contract::identity::v1::revocation_service_client::RevocationServiceClient;
use contract::identity::v1::{ListRevocationsRequest, Revocation, RevocationKind, WatchRevocationsRequest};
use contract::time::datetime;
use futures::StreamExt;
use runtime::feed::{Changes, Feed, Message, Replica};
use runtime::{Clock, OrganizationId, SessionId, Shutdown, UserId};
use time::OffsetDateTime;
use tokio::sync::watch;
use tonic::{Code, Status};

use super::AccessToken;
use super::lease::Lease;
use crate::client::Channel;

/// The revocation set of a process. Cheap to clone; clones share one state.
#[derive(Clone, Debug)]
pub struct Revocations(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    set: RwLock<Set>,
    ready: watch::Sender<bool>,
    /// How many signing keys were told of, for those who keep keys.
    signing_keys: watch::Sender<usize>,
    lease: Lease,
}

#[derive(Debug, Default)]
struct Set {
    signing_keys: HashMap<String, Void>,
    sessions: HashMap<SessionId, Void>,
    users: HashMap<UserId, Void>,
    organizations: HashMap<OrganizationId, Void>,
    /// The size at which what has lapsed is looked for again.
    sweep_at: usize,
}

/// Tokens issued before `not_before` are void; the entry lapses at `expire`.
#[derive(Clone, Copy, Debug)]
struct Void {
    not_before: OffsetDateTime,
    expire: OffsetDateTime,
}

/// How long identity may not have been heard when a sensitive method is served: four heartbeats, `events.bookmark_ms` by default, which are there
/// anyway. A heartbeat says what the database said a second before at most. Source: design, 3, "Decisions".
pub const SENSITIVE_STALENESS_MAX: Duration = Duration::from_secs(2);

/// A set smaller than this is not swept.
const SWEEP_MIN: usize = 1024;

impl Revocations {
    /// A set that knows of nothing yet; `clock` says what has lapsed.
    pub fn new(clock: Clock) -> Self {
        let (ready, signing_keys) = (watch::Sender::new(false), watch::Sender::new(0));
        Self(Arc::new(Inner { clock, set: RwLock::default(), ready, signing_keys, lease: Lease::new() }))
    }

    /// Replaces the set. From the first one on it is ready.
    pub fn install(&self, revocations: &[Revocation]) {
        let mut set = Set::default();
        revocations.iter().for_each(|revocation| set.add(revocation));
        set.sweep(self.0.clock.now());
        *self.0.set.write().unwrap_or_else(PoisonError::into_inner) = set;
        self.tell_of_signing_keys(revocations);
        self.heard();
        self.0.ready.send_replace(true);
    }

    /// Adds to the set.
    pub fn apply(&self, revocations: &[Revocation]) {
        let mut set = self.0.set.write().unwrap_or_else(PoisonError::into_inner);
        revocations.iter().for_each(|revocation| set.add(revocation));
        set.sweep(self.0.clock.now());
        drop(set);
        self.tell_of_signing_keys(revocations);
    }

    fn tell_of_signing_keys(&self, revocations: &[Revocation]) {
        let told = revocations.iter().filter(|revocation| revocation.kind() == RevocationKind::SigningKey).count();
        self.0.signing_keys.send_if_modified(|count| {
            *count += told;
            told > 0
        });
    }

    /// Changes when a signing key is revoked: whoever keeps keys looks again then.
    pub(super) fn signing_keys(&self) -> watch::Receiver<usize> {
        self.0.signing_keys.subscribe()
    }

    /// Whether a first set is installed.
    pub fn is_ready(&self) -> bool {
        *self.0.ready.borrow()
    }

    /// Waits for the first set.
    pub async fn ready(&self) {
        // An error would say that the sender is gone, and it is held here.
        let _ = self.0.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Notes that identity lives and the set is current.
    pub fn heard(&self) {
        self.0.lease.renew(STALENESS_MAX);
    }

    /// Whether identity was heard within [`STALENESS_MAX`], so that a token that is not in the set was not revoked since.
    pub fn is_current(&self) -> bool {
        self.0.lease.holds()
    }

    /// Whether identity was heard within [`SENSITIVE_STALENESS_MAX`].
    pub fn is_current_to_the_second(&self) -> bool {
        self.0.lease.was_renewed_within(SENSITIVE_STALENESS_MAX)
    }

    /// How many revocations are held.
    pub fn len(&self) -> usize {
        self.0.set.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether whatever the key named `key_id` signed is void.
    pub(super) fn refuses_key(&self, key_id: &str) -> bool {
        self.0.set.read().unwrap_or_else(PoisonError::into_inner).signing_keys.contains_key(key_id)
    }

    /// Whether `token` is void.
    pub fn refuses(&self, token: &AccessToken) -> bool {
        let set = self.0.set.read().unwrap_or_else(PoisonError::into_inner);
        let before = |void: Option<&Void>| void.is_some_and(|void| token.issue_time < void.not_before);
        set.sessions.contains_key(&token.session_id)
            || set.signing_keys.contains_key(&*token.key_id)
            || before(set.users.get(&token.user_id))
            || before(set.organizations.get(&token.organization_id))
    }
}

impl Set {
    fn len(&self) -> usize {
        self.signing_keys.len() + self.sessions.len() + self.users.len() + self.organizations.len()
    }

    fn add(&mut self, revocation: &Revocation) {
        // A revocation that can't be read in full is taken at its widest: it refuses rather than lets pass.
        let at = |timestamp: Option<&prost_types::Timestamp>| timestamp.and_then(datetime).unwrap_or(FAR_FUTURE);
        let void = Void { not_before: at(revocation.not_before.as_ref()), expire: at(revocation.expire_time.as_ref()) };
        let id = &revocation.subject_id;
        match revocation.kind() {
            RevocationKind::Session => widen(&mut self.sessions, id.parse().ok(), void),
            RevocationKind::User => widen(&mut self.users, id.parse().ok(), void),
            RevocationKind::Organization => widen(&mut self.organizations, id.parse().ok(), void),
            RevocationKind::SigningKey => widen(&mut self.signing_keys, Some(id.clone()).filter(|id| !id.is_empty()), void),
            RevocationKind::Unspecified => tracing::error!("a revocation of a kind that is not known was passed over"),
        }
    }

    /// Forgets what has lapsed, when the set has doubled since it last was done.
    fn sweep(&mut self, now: OffsetDateTime) {
        if self.len() < self.sweep_at.max(SWEEP_MIN) {
            return;
        }
        self.signing_keys.retain(|_, void| void.expire > now);
        self.sessions.retain(|_, void| void.expire > now);
        self.users.retain(|_, void| void.expire > now);
        self.organizations.retain(|_, void| void.expire > now);
        self.sweep_at = self.len() * 2;
    }
}

/// Later than any token.
const FAR_FUTURE: OffsetDateTime = time::macros::datetime!(9999-12-31 23:59:59 UTC);

fn widen<K: Hash + Eq>(map: &mut HashMap<K, Void>, id: Option<K>, void: Void) {
    let Some(id) = id else {
        tracing::error!("a revocation of something without an id was passed over");
        return;
    };
    let held = map.entry(id).or_insert(void);
    held.not_before = held.not_before.max(void.not_before);
    held.expire = held.expire.max(void.expire);
}

/// Keeps `revocations` as identity tells them, until shutdown. The caller makes the feed and so holds its switches:
/// `Feed::new("tasks", "revocations", Options::default())`.
pub async fn replicate_revocations(feed: Feed, revocations: Revocations, channel: Channel, shutdown: Shutdown) {
    feed.run(Copy { revocations, client: RevocationServiceClient::new(channel) }, shutdown).await;
}

struct Copy {
    revocations: Revocations,
    client: RevocationServiceClient<Channel>,
}

impl Replica for Copy {
    type Snapshot = Vec<Revocation>;
    type Body = Vec<Revocation>;
    type Error = Status;

    async fn snapshot(&mut self) -> Result<(i64, Self::Snapshot), Status> {
        let answer = self.client.list_revocations(ListRevocationsRequest {}).await?.into_inner();
        Ok((answer.position, answer.revocations))
    }

    async fn watch(&mut self, position: i64) -> Result<Changes<Self>, Status> {
        let stream = self.client.watch_revocations(WatchRevocationsRequest { from_position: position }).await?.into_inner();
        let message = |news: contract::identity::v1::WatchRevocationsResponse| Message {
            previous_position: news.previous_position,
            position: news.position,
            body: news.revocations,
        };
        Ok(stream.map(move |news| news.map(message)).boxed())
    }

    fn needs_snapshot(&self, status: &Status) -> bool {
        status.code() == Code::OutOfRange
    }

    fn install(&mut self, _: i64, snapshot: Vec<Revocation>) {
        self.revocations.install(&snapshot);
    }

    fn apply(&mut self, _: i64, body: Vec<Revocation>) {
        self.revocations.apply(&body);
    }

    fn current(&mut self) {
        self.revocations.heard();
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::authn::PeerKeys;

    #[tokio::test(start_paused = true)]
    async fn a_heartbeat_is_enough_to_stay_current_and_silence_is_not() {
        let (clock, _) = Clock::fixed(datetime!(2026-03-01 12:00 UTC));
        let peers = PeerKeys::generate(&["tasks"], &clock).unwrap();
        let channel = crate::client::channel("identity", "http://127.0.0.1:1", &peers["tasks"]).unwrap();
        let revocations = Revocations::new(clock);
        let mut copy = Copy { revocations: revocations.clone(), client: RevocationServiceClient::new(channel) };
        copy.install(1, vec![]);
        tokio::time::advance(STALENESS_MAX).await;
        assert!(revocations.is_current());
        copy.current();
        tokio::time::advance(STALENESS_MAX).await;
        assert!(revocations.is_current());
        tokio::time::advance(std::time::Duration::from_millis(1)).await;
        assert!(!revocations.is_current());
    }
}
