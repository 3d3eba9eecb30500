//! The keys that sign access tokens: PUBLISHED -> ACTIVE -> RETIRED.
//!
//! A key is in the set before it signs, for longer than a verifier may keep the set, so that none meets it for the first time in a token; and stays in the set after, until the last
//! token it signed is past its time. For each algorithm at most one key is PUBLISHED and one ACTIVE, which the table's unique indexes keep.
//! A key is rotated by command, or by the service itself when it has signed for as long as is set: by one replica, which holds the lock that every
//! rotation takes and looks again under it.

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
    /// Out of the set at once.
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
}

impl Algorithm {
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

    /// Whether it has signed for `rotated_after` at `now`; never when that is zero.
    pub fn is_due(&self, now: OffsetDateTime, rotated_after: Duration) -> bool {
        rotated_after.is_positive() && self.activate_time.is_some_and(|since| now >= since + rotated_after)
    }

    /// Whether tokens it signed may still be good at `now`, when a token lives `token_ttl`.
    pub fn verifies(&self, now: OffsetDateTime, token_ttl: Duration) -> bool {
        match self.state {
            KeyState::Published | KeyState::Active => true,
            // A replica may sign with it until it has read of the change; a minute covers that and the clocks of verifiers.
            KeyState::Retired => self.retire_time.is_some_and(|retired| now < retired + token_ttl + Duration::MINUTE),
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
/// of OAuth: sessions are opened by RPC.
pub fn openid_configuration(public_url: &str, algorithm: Algorithm) -> String {
    let base = public_url.trim_end_matches('/');
    serde_json::json!({
        "issuer": ISSUER,
        "jwks_uri": format!("{base}/.well-known/jwks.json"),
        "response_types_supported": [],
        "grant_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [algorithm.name()],
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
        SigningKey { key_id, algorithm, state, public_key, create_time, activate_time: None, retire_time }
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
    fn a_key_is_due_when_it_has_signed_for_as_long_as_is_set_and_never_when_nothing_is() {
        let since = OffsetDateTime::UNIX_EPOCH;
        let active = SigningKey { activate_time: Some(since), ..key(KeyState::Active, None) };
        assert!(!active.is_due(since + Duration::DAY - Duration::SECOND, Duration::DAY));
        assert!(active.is_due(since + Duration::DAY, Duration::DAY));
        assert!(!active.is_due(since + Duration::DAY * 1_000, Duration::ZERO));
        assert!(!key(KeyState::Published, None).is_due(since + Duration::DAY, Duration::DAY));
    }

    #[test]
    fn the_metadata_names_the_issuer_of_tokens_and_the_key_set_below_the_public_url() {
        let told: serde_json::Value = serde_json::from_str(&openid_configuration("https://muster.example/", Algorithm::Rs256)).unwrap();
        assert_eq!(told["issuer"], "muster");
        assert_eq!(told["jwks_uri"], "https://muster.example/.well-known/jwks.json");
        assert_eq!(told["id_token_signing_alg_values_supported"], serde_json::json!(["RS256"]));
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
