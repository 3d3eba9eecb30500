//! A value that is never printed.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What stands in place of a secret that is set.
pub(crate) const REDACTED: &str = "[redacted]";
/// What stands in place of a secret that is not set. By this mark the loader knows which keys may be given as `<key>_file`.
pub(crate) const UNSET: &str = "[unset]";

/// A password, key or URL with a password in it. Empty means not set. It serializes and prints as `[redacted]`, and is wiped when dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The value itself. Every call of this is a place to review.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether a value was given.
    pub fn is_set(&self) -> bool {
        !self.expose().is_empty()
    }
}

impl Default for Secret {
    fn default() -> Self {
        Secret(SecretString::from(String::new()))
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Secret(SecretString::from(value))
    }
}

impl From<&str> for Secret {
    fn from(value: &str) -> Self {
        value.to_owned().into()
    }
}

impl From<Secret> for SecretString {
    fn from(secret: Secret) -> Self {
        secret.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() { REDACTED } else { UNSET })
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.is_set() { REDACTED } else { UNSET })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = String::deserialize(deserializer)?;
        if value == REDACTED || value == UNSET {
            return Err(serde::de::Error::custom("what `config show` prints in place of a secret is no secret"));
        }
        Ok(value.into())
    }
}
