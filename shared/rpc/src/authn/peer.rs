//! Peer tokens: by which a service shows a peer which service it is.
//!
//! A JWT of 60 seconds, signed with the service's own Ed25519 key for one audience, kept until half of its life is over. Who is believed stands
//! in the trust file: service -> public key. A token stolen on the way is good for a minute, at one peer; mTLS takes this place later.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, encode};
use runtime::Clock;
use serde::{Deserialize, Serialize};

use super::cache::{Cache, fingerprint};
use super::jwt;
use super::peer_files::PeerKeyError;
use crate::Error;

/// How long a peer token is good for, in seconds.
pub const PEER_TOKEN_SECONDS: i64 = 60;
/// What must be left of a token that is sent once more, in seconds.
const REUSE_SECONDS: i64 = 30;
/// How far two services' clocks may be apart, in seconds.
const LEEWAY_SECONDS: i64 = 10;
/// Verified tokens kept: a few per peer and half a minute.
const VERIFIED_MAX: usize = 1024;
/// The type in the header, so that no token of another use passes.
const TYPE: &str = "muster-peer+jwt";

/// What a service signs with and whom it trusts. Cheap to clone.
#[derive(Clone)]
pub struct PeerKeys(Arc<Inner>);

struct Inner {
    service: Box<str>,
    key: EncodingKey,
    trust: HashMap<Box<str>, DecodingKey>,
    clock: Clock,
    signed: Mutex<HashMap<Box<str>, Signed>>,
    verified: Cache<Verified>,
}

struct Signed {
    token: HeaderValue,
    expire: i64,
}

#[derive(Clone)]
struct Verified {
    peer: Arc<str>,
    expire: i64,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
}

impl std::fmt::Debug for PeerKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerKeys").field("service", &self.0.service).finish_non_exhaustive()
    }
}

impl PeerKeys {
    /// The keys of `service`: its own, as PKCS #8, and its peers' public ones, as base64url of 32 bytes.
    ///
    /// # Errors
    /// A key is no Ed25519 key.
    pub fn new(service: &str, pkcs8: &[u8], trust: &BTreeMap<String, String>, clock: Clock) -> Result<Self, PeerKeyError> {
        Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| PeerKeyError::NoKey(service.to_owned()))?;
        let key = |(peer, public): (&String, &String)| {
            let bytes = URL_SAFE_NO_PAD.decode(public).ok().filter(|bytes| bytes.len() == 32);
            bytes.map(|bytes| (peer.as_str().into(), DecodingKey::from_ed_der(&bytes))).ok_or_else(|| PeerKeyError::NoKey(peer.clone()))
        };
        Ok(Self(Arc::new(Inner {
            service: service.into(),
            key: EncodingKey::from_ed_der(pkcs8),
            trust: trust.iter().map(key).collect::<Result<_, _>>()?,
            clock,
            signed: Mutex::default(),
            verified: Cache::new(VERIFIED_MAX),
        })))
    }

    /// New keys for all of `services`, which trust one another: for tests, and for a process that hosts them all.
    ///
    /// # Errors
    /// The system gives no randomness.
    pub fn generate(services: &[&str], clock: &Clock) -> Result<BTreeMap<String, Self>, PeerKeyError> {
        let pairs =
            services.iter().map(|service| Ok(((*service).to_owned(), new_key()?))).collect::<Result<BTreeMap<_, _>, PeerKeyError>>()?;
        let trust = pairs
            .iter()
            .map(|(service, pkcs8)| Ok((service.clone(), public_half(service, pkcs8)?)))
            .collect::<Result<_, PeerKeyError>>()?;
        pairs.iter().map(|(service, pkcs8)| Ok((service.clone(), Self::new(service, pkcs8, &trust, clock.clone())?))).collect()
    }

    /// The service these keys are of.
    pub fn service(&self) -> &str {
        &self.0.service
    }

    /// A token for `audience`, good for at least 30 seconds.
    ///
    /// # Errors
    /// `INTERNAL` when it can't be signed.
    pub fn sign(&self, audience: &str) -> Result<HeaderValue, Error> {
        let now = self.0.clock.now().unix_timestamp();
        let mut signed = self.0.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signed) = signed.get(audience)
            && (now + REUSE_SECONDS..=now + PEER_TOKEN_SECONDS).contains(&signed.expire)
        {
            return Ok(signed.token.clone());
        }
        let expire = now + PEER_TOKEN_SECONDS;
        let claims = Claims { iss: self.0.service.to_string(), aud: audience.to_owned(), iat: now, exp: expire };
        let header = Header { typ: Some(TYPE.to_owned()), kid: Some(self.0.service.to_string()), ..Header::new(Algorithm::EdDSA) };
        let token = encode(&header, &claims, &self.0.key).map_err(|error| Error::Internal(format!("peer token: {error}")))?;
        let mut token = HeaderValue::try_from(token).map_err(|error| Error::Internal(format!("peer token: {error}")))?;
        token.set_sensitive(true);
        signed.insert(audience.into(), Signed { token: token.clone(), expire });
        Ok(token)
    }

    /// The service that signed `token` for this one.
    ///
    /// # Errors
    /// `PEER_TOKEN_INVALID`.
    pub fn verify(&self, token: &HeaderValue) -> Result<Arc<str>, Error> {
        let now = self.0.clock.now().unix_timestamp();
        let name = fingerprint(token.as_bytes());
        let known = self.0.verified.get(&name);
        let verified = match known {
            Some(verified) => verified,
            None => {
                let verified = token.to_str().ok().and_then(|token| self.verified(token, now)).ok_or(Error::PeerTokenInvalid)?;
                self.0.verified.insert(name, verified.clone());
                verified
            }
        };
        if verified.expire + LEEWAY_SECONDS <= now { Err(Error::PeerTokenInvalid) } else { Ok(verified.peer) }
    }

    fn verified(&self, token: &str, now: i64) -> Option<Verified> {
        let head = jwt::head(token, TYPE)?;
        let key = self.0.trust.get(head.key_id.as_str())?;
        let claims: Claims = jwt::claims(token, key, Algorithm::EdDSA).filter(|_| head.algorithm == Algorithm::EdDSA)?;
        let lives = claims.exp.checked_sub(claims.iat).is_some_and(|life| (1..=PEER_TOKEN_SECONDS).contains(&life));
        let right = claims.iss == head.key_id && claims.aud == *self.0.service && lives && claims.iat <= now + LEEWAY_SECONDS;
        right.then(|| Verified { peer: claims.iss.into(), expire: claims.exp })
    }
}

/// A new Ed25519 key, as PKCS #8.
pub(super) fn new_key() -> Result<Vec<u8>, PeerKeyError> {
    let document = Ed25519KeyPair::generate_pkcs8(&aws_lc_rs::rand::SystemRandom::new()).map_err(|_| PeerKeyError::NoRandomness)?;
    Ok(document.as_ref().to_vec())
}

/// The public half of a key, as it stands in a trust file.
pub(super) fn public_half(service: &str, pkcs8: &[u8]) -> Result<String, PeerKeyError> {
    let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| PeerKeyError::NoKey(service.to_owned()))?;
    Ok(URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()))
}
