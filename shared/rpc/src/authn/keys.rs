//! The keys that verify access tokens: identity's JSON Web Key Set, kept current.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use authz::STALENESS_MAX;
use contract::identity::v1::GetJsonWebKeySetRequest;
use contract::identity::v1::key_service_client::KeyServiceClient;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use runtime::{Backoff, Shutdown};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use super::Revocations;
use super::lease::Lease;
use crate::Error;
use crate::client::Channel;

/// How often a token with an unknown key may make the set be fetched again.
const REFETCH_MIN: Duration = Duration::from_secs(5);
/// How long a call waits for the set that its token asks for.
const REFETCH_WAIT: Duration = Duration::from_secs(1);
/// Calls that wait for it at once: more are told to come again.
const REFETCH_WAITS_MAX: usize = 64;
/// How long a set is kept, whatever its publisher says.
const AGE: std::ops::RangeInclusive<u64> = 5..=3600;

/// A key and the one algorithm it is for.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// The key set of a process. Cheap to clone; clones share one state. Without a first set no token is verified.
#[derive(Clone)]
pub struct KeySet(Arc<Inner>);

struct Inner {
    keys: ArcSwap<HashMap<String, Key>>,
    /// The text that the keys came from.
    text: Mutex<String>,
    /// Grows when the text changes: what was verified before must be verified again.
    generation: AtomicU64,
    /// How many sets were installed; 0 before the first.
    installed: watch::Sender<u64>,
    /// Asks [`replicate_keys`] for the set out of turn.
    wanted: Notify,
    /// Whether there is somebody to ask, and when that was done last.
    refetch: Mutex<Refetch>,
    waits: Semaphore,
    /// Runs out when the set is overdue for longer than [`STALENESS_MAX`].
    lease: Lease,
}

#[derive(Default)]
struct Refetch {
    possible: bool,
    asked: Option<Instant>,
}

/// A key set that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum KeySetError {
    /// It is no JSON Web Key Set.
    #[error("the key set can't be read: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It holds no key that can verify access tokens.
    #[error("the key set holds no Ed25519 or RSA key for signatures")]
    Empty,
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySet").field("key_ids", &self.0.keys.load().keys().collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

impl Default for KeySet {
    fn default() -> Self {
        Self::new()
    }
}

impl KeySet {
    /// A set without keys.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            keys: ArcSwap::default(),
            text: Mutex::default(),
            generation: AtomicU64::new(0),
            installed: watch::Sender::new(0),
            wanted: Notify::new(),
            refetch: Mutex::default(),
            waits: Semaphore::new(REFETCH_WAITS_MAX),
            lease: Lease::new(),
        }))
    }

    /// Takes over a JSON Web Key Set (RFC 7517). Keys of other kinds than `OKP`/`Ed25519` and `RSA`, and keys without `kid`, are passed over.
    ///
    /// # Errors
    /// The text is no key set, or none of its keys can be used; what was known stays.
    pub fn install(&self, json: &str) -> Result<(), KeySetError> {
        let set: JwkSet = serde_json::from_str(json)?;
        let keys: HashMap<String, Key> = set.keys.iter().filter_map(usable).collect();
        if keys.is_empty() {
            return Err(KeySetError::Empty);
        }
        let mut text = self.0.text.lock().unwrap_or_else(PoisonError::into_inner);
        if *text != json {
            self.0.keys.store(Arc::new(keys));
            self.0.generation.fetch_add(1, Ordering::AcqRel);
            json.clone_into(&mut text);
        }
        drop(text);
        self.0.installed.send_modify(|installed| *installed += 1);
        Ok(())
    }

    /// Whether a first set is installed.
    pub fn is_ready(&self) -> bool {
        *self.0.installed.borrow() > 0
    }

    /// Waits for the first set.
    pub async fn ready(&self) {
        // An error would say that the sender is gone, and it is held here.
        let _ = self.0.installed.subscribe().wait_for(|installed| *installed > 0).await;
    }

    pub(super) fn generation(&self) -> u64 {
        self.0.generation.load(Ordering::Acquire)
    }

    /// The key named `key_id`. A name that is not known makes the set be fetched again, at most once in five seconds, and the call wait for
    /// it, at most one: a key that was just rotated in is found, and tokens of made-up keys cost next to nothing.
    ///
    /// # Errors
    /// `OVERLOADED` when too many calls wait already.
    pub(super) async fn find(&self, key_id: &str) -> Result<Option<Key>, Error> {
        if let Some(key) = self.0.keys.load().get(key_id) {
            return Ok(Some(key.clone()));
        }
        let mut installed = self.0.installed.subscribe();
        let Some(wait) = self.ask_for_refetch() else { return Ok(None) };
        let _place = self.0.waits.try_acquire().map_err(|_| Error::overloaded())?;
        // Time running out and a set arriving end alike: with a look at what is there.
        let _ = tokio::time::timeout(wait, installed.changed()).await;
        Ok(self.0.keys.load().get(key_id).cloned())
    }

    /// Whether the set was fetched when it was due, or is overdue for no longer than [`STALENESS_MAX`]. A set that nobody keeps current never
    /// is due.
    pub(super) fn is_current(&self) -> bool {
        self.0.lease.holds()
    }

    /// How long to wait for a set that was asked for, by this call or by one shortly before; `None` when it is not worth it.
    fn ask_for_refetch(&self) -> Option<Duration> {
        let mut refetch = self.0.refetch.lock().unwrap_or_else(PoisonError::into_inner);
        if !refetch.possible {
            return None;
        }
        let since = refetch.asked.map_or(REFETCH_MIN, |asked| asked.elapsed());
        if since >= REFETCH_MIN {
            refetch.asked = Some(Instant::now());
            self.0.wanted.notify_one();
            return Some(REFETCH_WAIT);
        }
        REFETCH_WAIT.checked_sub(since)
    }

    fn set_refetch_possible(&self, possible: bool) {
        self.0.refetch.lock().unwrap_or_else(PoisonError::into_inner).possible = possible;
    }
}

fn usable(jwk: &Jwk) -> Option<(String, Key)> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        _ => return None,
    };
    let for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
    let stated = jwk.common.key_algorithm.is_none_or(|stated| stated == KeyAlgorithm::from(algorithm));
    let key = DecodingKey::from_jwk(jwk).ok()?;
    (for_signatures && stated).then_some((jwk.common.key_id.clone()?, Key { algorithm, key }))
}

/// Keeps `keys` as identity publishes them, until shutdown: fetched again at the age the publisher states, when a token names a key that is
/// not known, and when `revocations` hears that one is revoked. A failure is retried with backoff; what was known stays in force.
pub async fn replicate_keys(keys: KeySet, revocations: Revocations, channel: Channel, shutdown: Shutdown) {
    keys.set_refetch_possible(true);
    shutdown.or(fetch_forever(&keys, &revocations, KeyServiceClient::new(channel))).await;
    keys.set_refetch_possible(false);
}

async fn fetch_forever(keys: &KeySet, revocations: &Revocations, mut client: KeyServiceClient<Channel>) {
    let mut revoked = revocations.signing_keys();
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    loop {
        let pause = match client.get_json_web_key_set(GetJsonWebKeySetRequest {}).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                let age = u64::try_from(answer.max_age_seconds).unwrap_or(0).clamp(*AGE.start(), *AGE.end());
                keys.install(&answer.json_web_key_set).map(|()| Duration::from_secs(age)).map_err(|error| error.to_string())
            }
            Err(status) => Err(status.to_string()),
        };
        let pause = match pause {
            Ok(pause) => {
                backoff.reset();
                keys.0.lease.renew(pause + STALENESS_MAX);
                pause
            }
            Err(error) => {
                metrics::counter!("muster_key_set_failures_total").increment(1);
                tracing::warn!(error, attempt = backoff.attempt(), "the key set was not fetched: trying again");
                backoff.next_delay()
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = keys.0.wanted.notified() => {}
            _ = revoked.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn calls_that_wait_for_a_key_are_bounded_and_one_too_many_is_told_to_come_again() {
        let keys = KeySet::new();
        keys.set_refetch_possible(true);
        let waiting = futures::future::join_all((0..REFETCH_WAITS_MAX).map(|_| keys.find("made up")));
        let one_more = async {
            tokio::task::yield_now().await;
            keys.find("made up").await
        };
        let (waited, one_more) = tokio::join!(waiting, one_more);
        assert!(waited.iter().all(|found| matches!(found, Ok(None))));
        assert!(matches!(one_more, Err(Error::Overloaded { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn a_set_that_is_overdue_for_a_minute_is_not_current() {
        let keys = KeySet::new();
        tokio::time::advance(Duration::from_secs(86_400)).await;
        assert!(keys.is_current(), "nobody keeps it current");
        keys.0.lease.renew(Duration::from_secs(300) + STALENESS_MAX);
        tokio::time::advance(Duration::from_secs(360)).await;
        assert!(keys.is_current());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!keys.is_current());
    }
}
