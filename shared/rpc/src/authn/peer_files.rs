//! Peer keys on disk: one private key a service, one trust file for all.
//!
//! A key file holds a PKCS #8 document in PEM, readable by its owner alone; `trust.json` maps a service to the base64url of its public key.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use runtime::{Clock, file};

use super::peer::{PeerKeys, new_key, public_half};

/// Peer keys that can't be made or used.
#[derive(Debug, thiserror::Error)]
pub enum PeerKeyError {
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{}: {cause}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// In which way.
        cause: String,
    },
    /// A key is no Ed25519 key.
    #[error("the key of {0} is no Ed25519 key")]
    NoKey(String),
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
}

impl PeerKeys {
    /// The keys of `service` from its key file and the trust file.
    ///
    /// # Errors
    /// A file can't be read, or holds something else.
    pub fn load(service: &str, key_file: &Path, trust_file: &Path, clock: Clock) -> Result<Self, PeerKeyError> {
        let trust = serde_json::from_str(&read(trust_file)?)
            .map_err(|error| PeerKeyError::Malformed { path: trust_file.to_owned(), cause: error.to_string() })?;
        Self::new(service, &read_key(key_file)?, &trust, clock)
    }
}

/// Makes `<dir>/<service>.key` for each of `services` that has none yet, and `<dir>/trust.json` for all of them. Calling it again changes
/// nothing, and of two processes that call it at once both have the keys of whoever was first.
///
/// # Errors
/// A file can't be written, or a key file that is there can't be used.
pub fn generate_keys(dir: &Path, services: &[&str]) -> Result<(), PeerKeyError> {
    fs::create_dir_all(dir).map_err(|source| PeerKeyError::File { path: dir.to_owned(), source })?;
    let mut trust = BTreeMap::new();
    for service in services {
        let path = dir.join(format!("{service}.key"));
        if !path.exists() {
            file::create_once(&path, pem(&new_key()?).as_bytes(), 0o600)
                .map_err(|source| PeerKeyError::File { path: path.clone(), source })?;
        }
        trust.insert((*service).to_owned(), public_half(service, &read_key(&path)?)?);
    }
    let path = dir.join("trust.json");
    let text =
        serde_json::to_string_pretty(&trust).map_err(|error| PeerKeyError::Malformed { path: path.clone(), cause: error.to_string() })?;
    if fs::read_to_string(&path).is_ok_and(|held| held == text) {
        return Ok(());
    }
    file::replace(&path, text.as_bytes(), 0o644).map_err(|source| PeerKeyError::File { path, source })
}

fn read(path: &Path) -> Result<String, PeerKeyError> {
    fs::read_to_string(path).map_err(|source| PeerKeyError::File { path: path.to_owned(), source })
}

/// The PKCS #8 document in a PEM file.
fn read_key(path: &Path) -> Result<Vec<u8>, PeerKeyError> {
    let text = read(path)?;
    let body: String = text.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    STANDARD.decode(body).map_err(|_| PeerKeyError::Malformed { path: path.to_owned(), cause: "not a PEM file".to_owned() })
}

fn pem(pkcs8: &[u8]) -> String {
    // 48 bytes are 64 characters of base64 and make one line; an Ed25519 key has at most 83.
    let lines: Vec<String> = pkcs8.chunks(48).map(|chunk| STANDARD.encode(chunk)).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}
