//! Key pairs themselves: making, reading, signing, and the public half as a JSON Web Key.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use aws_lc_rs::{digest, error::KeyRejected};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use zeroize::Zeroizing;

use super::Algorithm;

/// A private key, ready to sign.
pub enum KeyPair {
    /// Ed25519.
    EdDsa(Ed25519KeyPair),
    /// RSA 2048.
    Rs256(rsa::KeyPair),
}

/// The system has no randomness, or a stored key can't be read.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the signing key can't be made or read")]
pub struct BadKey;

impl From<Unspecified> for BadKey {
    fn from(_: Unspecified) -> Self {
        BadKey
    }
}

impl From<KeyRejected> for BadKey {
    fn from(_: KeyRejected) -> Self {
        BadKey
    }
}

impl KeyPair {
    /// A new key. RSA takes a core for some tenths of a second: call it where that may be.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self, BadKey> {
        match algorithm {
            Algorithm::EdDsa => Ok(KeyPair::EdDsa(Ed25519KeyPair::generate()?)),
            Algorithm::Rs256 => Ok(KeyPair::Rs256(rsa::KeyPair::generate(KeySize::Rsa2048)?)),
        }
    }

    /// The key as PKCS #8, to be sealed.
    ///
    /// # Errors
    /// The key can't be written.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, BadKey> {
        let bytes = match self {
            KeyPair::EdDsa(pair) => pair.to_pkcs8v1()?.as_ref().to_vec(),
            KeyPair::Rs256(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair)?.as_ref().to_vec(),
        };
        Ok(Zeroizing::new(bytes))
    }

    /// Reads what [`to_pkcs8`](Self::to_pkcs8) gave.
    ///
    /// # Errors
    /// It is not a key of `algorithm`.
    pub fn from_pkcs8(algorithm: Algorithm, pkcs8: &[u8]) -> Result<Self, BadKey> {
        match algorithm {
            Algorithm::EdDsa => Ok(KeyPair::EdDsa(Ed25519KeyPair::from_pkcs8(pkcs8)?)),
            Algorithm::Rs256 => Ok(KeyPair::Rs256(rsa::KeyPair::from_pkcs8(pkcs8)?)),
        }
    }

    /// Which kind it is.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            KeyPair::EdDsa(_) => Algorithm::EdDsa,
            KeyPair::Rs256(_) => Algorithm::Rs256,
        }
    }

    /// Signs `message`.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BadKey> {
        match self {
            KeyPair::EdDsa(pair) => Ok(pair.try_sign(message)?.as_ref().to_vec()),
            KeyPair::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)?;
                Ok(signature)
            }
        }
    }

    /// The key's id: the thumbprint of its public half. Source: RFC 7638.
    pub fn key_id(&self) -> String {
        // The required members in the order of their names, without blanks.
        let canonical = match self {
            KeyPair::EdDsa(pair) => format!("{{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"{}\"}}", x(pair)),
            KeyPair::Rs256(pair) => {
                let (n, e) = n_and_e(pair);
                format!("{{\"e\":\"{e}\",\"kty\":\"RSA\",\"n\":\"{n}\"}}")
            }
        };
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
    }

    /// The public half as a JSON Web Key (RFC 7517; RFC 8037 for Ed25519).
    pub fn public_key(&self) -> String {
        let kid = self.key_id();
        match self {
            KeyPair::EdDsa(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x(pair)}).to_string()
            }
            KeyPair::Rs256(pair) => {
                let (n, e) = n_and_e(pair);
                json!({"kty": "RSA", "alg": "RS256", "use": "sig", "kid": kid, "n": n, "e": e}).to_string()
            }
        }
    }
}

fn x(pair: &Ed25519KeyPair) -> String {
    URL_SAFE_NO_PAD.encode(pair.public_key())
}

fn n_and_e(pair: &rsa::KeyPair) -> (String, String) {
    let public = pair.public_key();
    let (n, e) = (public.modulus(), public.exponent());
    (URL_SAFE_NO_PAD.encode(n.big_endian_without_leading_zero()), URL_SAFE_NO_PAD.encode(e.big_endian_without_leading_zero()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_key_is_the_same_key() {
        for algorithm in [Algorithm::EdDsa, Algorithm::Rs256] {
            let pair = KeyPair::generate(algorithm).unwrap();
            let again = KeyPair::from_pkcs8(algorithm, &pair.to_pkcs8().unwrap()).unwrap();
            assert_eq!((pair.key_id(), pair.public_key()), (again.key_id(), again.public_key()));
            assert_eq!(pair.sign(b"message").unwrap(), again.sign(b"message").unwrap(), "both schemes are deterministic");
        }
    }

    #[test]
    fn a_key_of_one_algorithm_is_none_of_the_other() {
        let pair = KeyPair::generate(Algorithm::EdDsa).unwrap();
        assert!(KeyPair::from_pkcs8(Algorithm::Rs256, &pair.to_pkcs8().unwrap()).is_err());
    }
}
