//! Sealing of what must not lie in the clear: personal data in columns, stored answers, page tokens.
//!
//! One key file for each service; every use has a key of its own, derived by HKDF-SHA-256 from the file and a label. What is sealed is
//! AES-256-GCM with a random nonce and, as associated data, whatever it belongs to: moved to another row, it does not open.
//!
//! Deliberately absent: keys for each person (they come with the audit issue) and rotation; the first byte of what is sealed says how it
//! was sealed, so that a second way can be told from the first.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{hkdf, hmac, rand};

/// Sealed with AES-256-GCM under a key derived from the key file.
const VERSION_1: u8 = 1;
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

/// Seals and opens under keys derived from one key file. Cheap to clone.
#[derive(Clone)]
pub struct Sealer(Arc<hkdf::Prk>);

/// It was not sealed by this key, for this label and what it belongs to; or it was changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sealed value does not open")]
pub struct DoesNotOpen;

/// The key file can't be used.
#[derive(Debug, thiserror::Error)]
#[error("key file {path}: {cause}")]
pub struct KeyFileError {
    path: String,
    cause: KeyFileCause,
}

#[derive(Debug, thiserror::Error)]
enum KeyFileCause {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("holds {0} bytes, a key has {KEY_BYTES}")]
    Length(usize),
}

impl Sealer {
    /// From the 32 bytes of a key.
    pub fn from_key(key: &[u8; KEY_BYTES]) -> Self {
        Sealer(Arc::new(hkdf::Salt::new(hkdf::HKDF_SHA256, b"muster").extract(key)))
    }

    /// From the key file at `path`, which holds 32 random bytes.
    ///
    /// # Errors
    /// The file is missing, unreadable or of another length.
    pub fn open_file(path: &Path) -> Result<Self, KeyFileError> {
        let read = || {
            let mut bytes = Vec::with_capacity(KEY_BYTES);
            OpenOptions::new().read(true).open(path)?.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
            <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map_err(|_| KeyFileCause::Length(bytes.len()))
        };
        let key = read().map_err(|cause| KeyFileError { path: path.display().to_string(), cause })?;
        Ok(Self::from_key(&key))
    }

    /// From the key file at `path`; makes it first when it is not there, readable by this user alone. Two processes that start at once
    /// use the same key: the file appears whole or not at all, and the first one stays.
    ///
    /// # Errors
    /// The file can't be made or read.
    pub fn generate(path: &Path) -> Result<Self, KeyFileError> {
        if !path.exists() {
            Self::make_file(path).map_err(|cause| KeyFileError { path: path.display().to_string(), cause: cause.into() })?;
        }
        Self::open_file(path)
    }

    fn make_file(path: &Path) -> std::io::Result<()> {
        let mut key = [0; KEY_BYTES];
        rand::fill(&mut key).map_err(|_| std::io::Error::other("no randomness"))?;
        runtime::file::create_once(path, &key, 0o600)
    }

    /// A key of its own for the use that `label` names, such as `identity refresh token`.
    pub fn derive(&self, label: &str) -> [u8; KEY_BYTES] {
        let mut key = [0; KEY_BYTES];
        let info = [label.as_bytes()];
        let derived = self.0.expand(&info, hkdf::HKDF_SHA256).and_then(|output| output.fill(&mut key));
        derived.expect("32 bytes are one block of HKDF-SHA-256");
        key
    }

    /// Seals `plaintext` for the use `label`, bound to `aad`: the row it belongs to, say. 29 bytes longer than the plaintext.
    ///
    /// One label may seal 2^32 times before a nonce is likely enough to repeat. Source: NIST SP 800-38D, 8.3.
    pub fn seal(&self, label: &str, aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).expect("the system gives randomness");
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + plaintext.len() + TAG_BYTES);
        sealed.push(VERSION_1);
        sealed.extend_from_slice(&nonce);
        let mut body = plaintext.to_vec();
        self.aead(label)
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut body)
            .expect("sealing succeeds");
        sealed.append(&mut body);
        sealed
    }

    /// Opens what [`Sealer::seal`] gave for the same `label` and `aad`.
    ///
    /// # Errors
    /// [`DoesNotOpen`]; it does not say why, because whoever made it up should not learn.
    pub fn open(&self, label: &str, aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
        let (version, rest) = sealed.split_first().ok_or(DoesNotOpen)?;
        if *version != VERSION_1 || rest.len() < NONCE_LEN + TAG_BYTES {
            return Err(DoesNotOpen);
        }
        let (nonce, body) = rest.split_at(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| DoesNotOpen)?;
        let mut body = body.to_vec();
        let length = self.aead(label).open_in_place(nonce, Aad::from(aad), &mut body).map_err(|_| DoesNotOpen)?.len();
        body.truncate(length);
        Ok(body)
    }

    /// What stands in an index in place of `text`: equal texts give equal bytes, and without the key nothing else can be told.
    /// The caller brings `text` into one form first (an address in lower case).
    pub fn blind_index(&self, label: &str, text: &str) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.derive(label));
        let mut index = [0; 32];
        index.copy_from_slice(hmac::sign(&key, text.as_bytes()).as_ref());
        index
    }

    fn aead(&self, label: &str) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.derive(label)).expect("a key of 32 bytes"))
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer() -> Sealer {
        Sealer::from_key(&[7; 32])
    }

    #[test]
    fn what_was_sealed_opens_for_the_same_label_and_row_alone() {
        let sealed = sealer().seal("email", b"row 1", b"ana@example.com");
        assert_eq!(sealer().open("email", b"row 1", &sealed).unwrap(), b"ana@example.com");
        assert_eq!(sealer().open("email", b"row 2", &sealed), Err(DoesNotOpen));
        assert_eq!(sealer().open("phone", b"row 1", &sealed), Err(DoesNotOpen));
        assert_eq!(Sealer::from_key(&[8; 32]).open("email", b"row 1", &sealed), Err(DoesNotOpen));
    }

    #[test]
    fn a_changed_or_cut_byte_does_not_open() {
        let sealed = sealer().seal("email", b"", b"ana@example.com");
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(sealer().open("email", b"", &changed), Err(DoesNotOpen), "byte {place}");
            assert_eq!(sealer().open("email", b"", &sealed[..place]), Err(DoesNotOpen), "cut at {place}");
        }
    }

    #[test]
    fn sealing_twice_looks_different_and_keeps_nothing_readable() {
        let (one, two) = (sealer().seal("email", b"", b"ana@example.com"), sealer().seal("email", b"", b"ana@example.com"));
        assert_ne!(one, two);
        assert!(!one.windows(3).any(|window| window == b"ana"));
        assert_eq!(one.len(), b"ana@example.com".len() + 29);
    }

    #[test]
    fn the_blind_index_finds_equal_texts_and_differs_by_label_and_key() {
        let index = sealer().blind_index("email", "ana@example.com");
        assert_eq!(index, sealer().blind_index("email", "ana@example.com"));
        assert_ne!(index, sealer().blind_index("email", "bob@example.com"));
        assert_ne!(index, sealer().blind_index("phone", "ana@example.com"));
        assert_ne!(index, Sealer::from_key(&[8; 32]).blind_index("email", "ana@example.com"));
        assert_ne!(sealer().derive("a"), sealer().derive("b"));
    }

    #[test]
    fn the_key_file_is_made_once_and_for_this_user_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        let made: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| Sealer::generate(&path).unwrap().derive("x"))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(made.iter().all(|key| *key == made[0]), "every process has the same key");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_key_file_of_another_length_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("identity.key");
        std::fs::write(&path, [1; 31]).unwrap();
        assert!(Sealer::open_file(&path).unwrap_err().to_string().ends_with("holds 31 bytes, a key has 32"));
        assert!(Sealer::open_file(&folder.path().join("absent")).is_err());
    }
}
