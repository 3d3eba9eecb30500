//! The keys that sign access tokens: PUBLISHED -> ACTIVE -> RETIRED; in an emergency REVOKED.
//!
//! A key is in the set before it signs, for longer than a verifier may keep the set, so that none meets it for the first time in a token; and stays in the set after, until the last
//! token it signed is past its time. At most one key is PUBLISHED and one ACTIVE, which the table's unique indexes keep.
//! A key is rotated by command, or by the service itself when it has signed for as long as is set: by one replica, which holds the lock that every
//! rotation takes and looks again under it.
//!
//! Why the algorithm is that of the PUBLISHED key: a start under another setting takes the PUBLISHED key back, which signed nothing, and
//! publishes one of its own; from there it is a rotation like any other, due as soon as verifiers know the key. Every replica signs by the ACTIVE
//! key, whatever it is set to itself, so that replicas of both settings stand beside one another while they are replaced, and the one that started
//! last is followed by all.
//!
//! In an emergency nothing that signed before is trusted: each key that still verifies is out of the set and told as a revocation, which verifiers
//! look at on every call, and which makes them and other replicas fetch anew at once.

pub mod convert;
pub mod grpc;
pub mod ops;
pub mod pair;
pub mod store;

use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

pub use pair::KeyPair;

use crate::token::access::ISSUER;

/// How long a verifier may keep the set.
pub const KEY_SET_MAX_AGE_SECONDS: i32 = 60;
/// How long a key is PUBLISHED before it signs: as long as the set may be kept, and as long again for the way there and clocks that differ.
pub const PUBLISHED_MIN: Duration = Duration::seconds(2 * KEY_SET_MAX_AGE_SECONDS as i64);
/// How long a RETIRED key verifies beyond the life of a token: a replica may sign with it until it has read of the change, and clocks of verifiers
/// differ.
pub(crate) const VERIFIES_ON: Duration = Duration::MINUTE;

/// How access tokens are signed (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// Ed25519: 24 µs a signature.
    #[default]
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSA 2048 with SHA-256: 0.9 ms a signature, for verifiers that know nothing else.
    #[serde(rename = "RS256")]
    Rs256,
}

/// Where a key stands. As in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[repr(i16)]
pub enum KeyState {
    /// In the set, not signing yet.
    Published = 1,
    /// Signs.
    Active = 2,
    /// Verifies until the last token it signed is past its time.
    Retired = 3,
    /// Out of the set at once: in an emergency, or because another algorithm was set before it signed.
    Revoked = 4,
}

/// A signing key without its private half.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SigningKey {
    /// The `kid`.
    pub key_id: String,
    /// `EdDSA` or `RS256`.
    pub algorithm: String,
    /// Where it stands.
    pub state: KeyState,
    /// The public half: a JSON Web Key.
    pub public_key: String,
    /// When it was made.
    pub create_time: OffsetDateTime,
    /// When it began to sign.
    pub activate_time: Option<OffsetDateTime>,
    /// When it stopped signing.
    pub retire_time: Option<OffsetDateTime>,
    /// When it was taken out of the set before its time.
    pub revoke_time: Option<OffsetDateTime>,
}

impl Algorithm {
    /// The one with this name.
    pub fn named(name: &str) -> Option<Self> {
        [Algorithm::EdDsa, Algorithm::Rs256].into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Its name in `alg` and in the table.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Rs256 => "RS256",
        }
    }
}

impl SigningKey {
    /// How long after `now` every verifier has a key that is PUBLISHED; `None` when they have it.
    pub fn unknown_for(&self, now: OffsetDateTime) -> Option<Duration> {
        let left = self.create_time + PUBLISHED_MIN - now;
        left.is_positive().then_some(left)
    }

    /// Whether the service itself puts `next` in its place at `now`: verifiers have that one, and this one has signed for `rotated_after`, unless
    /// that is zero, or is of another algorithm than what was set since.
    pub fn gives_way_to(&self, next: &SigningKey, now: OffsetDateTime, rotated_after: Duration) -> bool {
        let is_due = rotated_after.is_positive() && self.activate_time.is_some_and(|since| now >= since + rotated_after);
        (is_due || self.algorithm != next.algorithm) && next.unknown_for(now).is_none()
    }

    /// Whether tokens it signed may still be good at `now`, when a token lives `token_ttl`.
    pub fn verifies(&self, now: OffsetDateTime, token_ttl: Duration) -> bool {
        match self.state {
            KeyState::Published | KeyState::Active => true,
            KeyState::Retired => self.retire_time.is_some_and(|retired| now < retired + token_ttl + VERIFIES_ON),
            KeyState::Revoked => false,
        }
    }
}

/// The JSON Web Key Set of `keys` (RFC 7517): those that verify at `now`.
pub fn json_web_key_set(keys: &[SigningKey], now: OffsetDateTime, token_ttl: Duration) -> String {
    let keys: Vec<&str> = keys.iter().filter(|key| key.verifies(now, token_ttl)).map(|key| key.public_key.as_str()).collect();
    format!("{{\"keys\":[{}]}}", keys.join(","))
}

/// The metadata of the issuer (OpenID Connect Discovery 1.0, 3; RFC 8414, 2), with what is reached over HTTP at `public_url`. There are no endpoints
/// of OAuth: sessions are opened by RPC. Both algorithms are named, whichever is set: while that is changed tokens of both are about.
pub fn openid_configuration(public_url: &str) -> String {
    let base = public_url.trim_end_matches('/');
    serde_json::json!({
        "issuer": ISSUER,
        "jwks_uri": format!("{base}/.well-known/jwks.json"),
        "response_types_supported": [],
        "grant_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [Algorithm::EdDsa.name(), Algorithm::Rs256.name()],
        "acr_values_supported": ["aal1", "aal2"],
        "claims_supported": ["iss", "aud", "sub", "sid", "org", "ws", "roles", "jti", "iat", "exp", "auth_time", "aal", "acr", "amr"],
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::minutes(15);

    fn key(state: KeyState, retire_time: Option<OffsetDateTime>) -> SigningKey {
        let (key_id, algorithm, public_key) = ("k".into(), "EdDSA".into(), "{\"kid\":\"k\"}".into());
        let create_time = OffsetDateTime::UNIX_EPOCH;
        let revoke_time = retire_time.filter(|_| state == KeyState::Revoked);
        SigningKey { key_id, algorithm, state, public_key, create_time, activate_time: None, retire_time, revoke_time }
    }

    #[test]
    fn a_retired_key_verifies_until_its_last_token_is_past_its_time() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::days(1);
        assert!(key(KeyState::Published, None).verifies(now, TTL));
        assert!(key(KeyState::Active, None).verifies(now, TTL));
        assert!(key(KeyState::Retired, Some(now - TTL)).verifies(now, TTL));
        assert!(!key(KeyState::Retired, Some(now - TTL - Duration::MINUTE)).verifies(now, TTL));
        assert!(!key(KeyState::Revoked, Some(now)).verifies(now, TTL));
    }

    #[test]
    fn a_key_is_known_once_no_set_without_it_may_be_kept() {
        let published = key(KeyState::Published, None);
        let made = published.create_time;
        assert_eq!(published.unknown_for(made), Some(PUBLISHED_MIN));
        assert_eq!(published.unknown_for(made + PUBLISHED_MIN - Duration::SECOND), Some(Duration::SECOND));
        assert_eq!(published.unknown_for(made + PUBLISHED_MIN), None);
        assert!(PUBLISHED_MIN > Duration::seconds(KEY_SET_MAX_AGE_SECONDS.into()));
    }

    #[test]
    fn a_key_gives_way_when_it_has_signed_for_as_long_as_is_set_and_never_when_nothing_is() {
        let since = OffsetDateTime::UNIX_EPOCH;
        let active = SigningKey { activate_time: Some(since), ..key(KeyState::Active, None) };
        let next = key(KeyState::Published, None);
        assert!(!active.gives_way_to(&next, since + Duration::DAY - Duration::SECOND, Duration::DAY));
        assert!(active.gives_way_to(&next, since + Duration::DAY, Duration::DAY));
        assert!(!active.gives_way_to(&next, since + Duration::DAY * 1_000, Duration::ZERO));
        let young = SigningKey { create_time: since + Duration::DAY, ..next };
        assert!(!active.gives_way_to(&young, since + Duration::DAY, Duration::DAY), "verifiers may not have it");
    }

    #[test]
    fn a_key_of_another_algorithm_than_what_was_set_since_gives_way_as_soon_as_verifiers_have_the_next() {
        let made = OffsetDateTime::UNIX_EPOCH;
        let active = SigningKey { activate_time: Some(made), ..key(KeyState::Active, None) };
        let next = SigningKey { algorithm: "RS256".into(), ..key(KeyState::Published, None) };
        assert!(!active.gives_way_to(&next, made + PUBLISHED_MIN - Duration::SECOND, Duration::ZERO));
        assert!(active.gives_way_to(&next, made + PUBLISHED_MIN, Duration::ZERO));
    }

    #[test]
    fn the_metadata_names_the_issuer_of_tokens_and_the_key_set_below_the_public_url() {
        let told: serde_json::Value = serde_json::from_str(&openid_configuration("https://muster.example/")).unwrap();
        assert_eq!(told["issuer"], "muster");
        assert_eq!(told["jwks_uri"], "https://muster.example/.well-known/jwks.json");
        assert_eq!(told["id_token_signing_alg_values_supported"], serde_json::json!(["EdDSA", "RS256"]));
    }

    #[test]
    fn the_set_is_json_of_the_keys_that_verify() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let keys = [key(KeyState::Active, None), key(KeyState::Revoked, None), key(KeyState::Published, None)];
        let set: serde_json::Value = serde_json::from_str(&json_web_key_set(&keys, now, TTL)).unwrap();
        assert_eq!(set["keys"].as_array().unwrap().len(), 2);
        assert_eq!(json_web_key_set(&[], now, TTL), "{\"keys\":[]}");
    }
}
