//! The verifier of a process: access tokens and peer tokens, each verified once and looked at on every call.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use http::HeaderValue;
use runtime::{Clock, SessionId};
use time::OffsetDateTime;
use tokio::sync::watch;

use super::cache::{Cache, fingerprint};
use super::{AccessToken, KeySet, PeerKeys, Revocations, jwt, token};
use crate::Error;

/// How far the issuer's clock may be from ours. Source: field note reliability, 4, "Clock skew".
const LEEWAY: Duration = Duration::from_secs(30);
/// Verified tokens kept: 16 384 at about 200 bytes are 3 MiB.
const VERIFIED_MAX: usize = 16_384;
/// The type of an access token. Source: RFC 9068, 2.1.
const TYPE: &str = "at+jwt";

/// Verifies who calls. Cheap to clone; clones share one state.
#[derive(Clone, Debug)]
pub struct Verifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keys: KeySet,
    revocations: Revocations,
    peers: PeerKeys,
    clock: Clock,
    verified: Cache<Verified>,
}

#[derive(Clone, Debug)]
struct Verified {
    token: Arc<AccessToken>,
    /// The generation of the key set that verified it.
    generation: u64,
    /// When it was last found good since that was asked, in microseconds since 1970; 0 for not at all.
    used: Arc<AtomicI64>,
}

impl Verifier {
    /// A verifier by these keys and this revocation set, for the service of `peers`.
    pub fn new(keys: KeySet, revocations: Revocations, peers: PeerKeys, clock: Clock) -> Self {
        Self(Arc::new(Inner { keys, revocations, peers, clock, verified: Cache::new(VERIFIED_MAX) }))
    }

    /// Whether access tokens can be verified: keys and revocations are known.
    pub fn is_ready(&self) -> bool {
        self.0.keys.is_ready() && self.0.revocations.is_ready()
    }

    /// Waits for keys and revocations.
    pub async fn ready(&self) {
        self.0.keys.ready().await;
        self.0.revocations.ready().await;
    }

    /// The keys of this service and the peers it trusts.
    pub fn peers(&self) -> &PeerKeys {
        &self.0.peers
    }

    /// What the access token in an `authorization` header says.
    ///
    /// # Errors
    /// `CREDENTIALS_MISSING` for another scheme than Bearer, `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_REVOKED`, `NOT_READY`,
    /// `REVOCATIONS_STALE` when identity was not heard for too long, `OVERLOADED` when too many wait for a key.
    pub async fn subject(&self, authorization: &HeaderValue) -> Result<Arc<AccessToken>, Error> {
        self.access_token(bearer(authorization.as_bytes()).ok_or(Error::CredentialsMissing)?).await
    }

    /// What an access token says.
    ///
    /// # Errors
    /// As [`subject`](Self::subject), but for the scheme.
    pub async fn access_token(&self, text: &[u8]) -> Result<Arc<AccessToken>, Error> {
        if !self.is_ready() {
            return Err(Error::NotReady);
        }
        let name = fingerprint(text);
        let generation = self.0.keys.generation();
        let known = self.0.verified.get(&name).filter(|verified| verified.generation == generation);
        let Verified { token, used, .. } = match known {
            Some(verified) => verified,
            None => {
                let token = std::str::from_utf8(text).map_err(|_| Error::TokenInvalid)?;
                let token = Arc::new(self.verified(token).await?.ok_or(Error::TokenInvalid)?);
                let verified = Verified { token, generation, used: Arc::default() };
                self.0.verified.insert(name, verified.clone());
                verified
            }
        };
        let now = self.0.clock.now();
        self.recheck_at(&token, now)?;
        used.store(micros(now), Ordering::Relaxed);
        Ok(token)
    }

    /// Changes when this process hears that a signing key is revoked.
    pub fn signing_keys_revoked(&self) -> watch::Receiver<usize> {
        self.0.revocations.signing_keys()
    }

    /// The sessions whose tokens were found good here since this was asked last, each with when it last was. A token that many others pushed out
    /// of the cache meanwhile is left out: what is told is true, and not all of it.
    pub fn take_used(&self) -> HashMap<SessionId, OffsetDateTime> {
        let mut last: HashMap<SessionId, OffsetDateTime> = HashMap::new();
        self.0.verified.each(|verified| {
            let used = i128::from(verified.used.swap(0, Ordering::Relaxed));
            if used > 0
                && let Ok(used) = OffsetDateTime::from_unix_timestamp_nanos(used * 1_000)
            {
                last.entry(verified.token.session_id).and_modify(|last| *last = used.max(*last)).or_insert(used);
            }
        });
        last
    }

    /// Whether a token that was verified is still good: its time, and the revocation set.
    pub(crate) fn recheck(&self, token: &AccessToken) -> Result<(), Error> {
        self.recheck_at(token, self.0.clock.now())
    }

    fn recheck_at(&self, token: &AccessToken, now: OffsetDateTime) -> Result<(), Error> {
        if token.expire_time + LEEWAY <= now {
            return Err(Error::TokenExpired);
        }
        if token.issue_time > now + LEEWAY {
            return Err(Error::TokenInvalid);
        }
        if self.0.revocations.refuses(token) {
            return Err(Error::TokenRevoked);
        }
        if self.0.revocations.is_current() && self.0.keys.is_current() { Ok(()) } else { Err(Error::RevocationsStale) }
    }

    /// Whether what was revoked is known well enough for a sensitive method. It is asked beside [`subject`](Self::subject).
    ///
    /// # Errors
    /// `REVOCATIONS_STALE`.
    pub(crate) fn require_current_to_the_second(&self) -> Result<(), Error> {
        if self.0.revocations.is_current_to_the_second() { Ok(()) } else { Err(Error::RevocationsStale) }
    }

    /// How long ago the token's session was authenticated, by this service's clock; `None` when the token does not say.
    pub(crate) fn auth_age(&self, token: &AccessToken) -> Option<time::Duration> {
        token.auth_time.map(|auth_time| self.0.clock.now() - auth_time)
    }

    async fn verified(&self, text: &str) -> Result<Option<AccessToken>, Error> {
        let Some(head) = jwt::head(text, TYPE) else { return Ok(None) };
        // Whoever comes with a token of a key that was taken out of the set is told so, and makes nobody fetch it.
        if self.0.revocations.refuses_key(&head.key_id) {
            return Err(Error::TokenRevoked);
        }
        let key = self.0.keys.find(&head.key_id).await?.filter(|key| key.algorithm == head.algorithm);
        let claims = key.and_then(|key| jwt::claims::<token::Claims>(text, &key.key, key.algorithm));
        Ok(claims.and_then(|claims| claims.accept(&head.key_id)))
    }

    /// The service that signed a `muster-peer` header for this one.
    ///
    /// # Errors
    /// `PEER_TOKEN_INVALID`.
    pub fn peer(&self, token: &HeaderValue) -> Result<Arc<str>, Error> {
        self.0.peers.verify(token)
    }
}

/// Since 1970; an i64 has them for as long as tokens have years.
fn micros(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1_000).unwrap_or_default()
}

/// The token after the scheme, whose name is in any case (RFC 9110, 11.1).
fn bearer(header: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = header.split_at_checked(7)?;
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use contract::identity::v1::{Revocation, RevocationKind};
    use runtime::{Ids, OrganizationId};
    use time::macros::datetime;

    use super::*;
    use crate::Fault;

    #[tokio::test(start_paused = true)]
    async fn without_a_word_from_identity_for_a_minute_no_token_passes() {
        let (clock, _) = Clock::fixed(datetime!(2026-03-01 12:00 UTC));
        let (session_id, now) = (Ids::system().next_id::<SessionId>(), clock.now());
        let token = |session_id| AccessToken {
            key_id: "k1".into(),
            user_id: Ids::system().next_id(),
            session_id,
            organization_id: OrganizationId::SYSTEM,
            workspace_id: None,
            aal: 1,
            auth_time: None,
            issue_time: now,
            expire_time: now + Duration::from_secs(60),
        };
        let peers = PeerKeys::generate(&["tasks"], &clock).unwrap().remove("tasks").unwrap();
        let revocations = Revocations::new(clock.clone());
        let verifier = Verifier::new(KeySet::new(), revocations.clone(), peers, clock);
        let says = |session| verifier.recheck(&token(session)).map_or_else(|error| error.status().1.wire, |()| "OK");
        let other = Ids::system().next_id::<SessionId>();
        revocations.install(&[Revocation {
            kind: RevocationKind::Session.into(),
            subject_id: session_id.to_string(),
            ..Revocation::default()
        }]);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!([says(other), says(session_id)], ["OK", "TOKEN_REVOKED"]);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!([says(other), says(session_id)], ["REVOCATIONS_STALE", "TOKEN_REVOKED"]);
        assert!(Error::RevocationsStale.retry_after().is_some());
        revocations.heard();
        assert_eq!(says(other), "OK");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sensitive_method_is_served_while_identity_was_heard_within_two_seconds() {
        let (clock, _) = Clock::fixed(datetime!(2026-03-01 12:00 UTC));
        let peers = PeerKeys::generate(&["tasks"], &clock).unwrap().remove("tasks").unwrap();
        let revocations = Revocations::new(clock.clone());
        let verifier = Verifier::new(KeySet::new(), revocations.clone(), peers, clock);
        let is_served = || verifier.require_current_to_the_second().is_ok();
        assert!(is_served(), "nobody keeps it current");
        revocations.install(&[]);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(is_served());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!is_served() && revocations.is_current(), "any other method is");
        revocations.heard();
        assert!(is_served());
    }
}
