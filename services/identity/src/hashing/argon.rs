//! Argon2id itself: one hash at a time, over memory that is used again.
//!
//! Deliberately absent: queueing (the parent) and any other algorithm. A second one would come with the import of foreign hashes.

use argon2::password_hash::phc::{PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::{constant_time, rand};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Length of the salt and of the hash, in bytes. Source: RFC 9106, section 4.
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// A stored hash that asks for more than this is refused: it was not made here, and would stop every other sign-in.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 16;

/// What a hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes; computed one after the other.
    pub lanes: u32,
}

/// A stored hash that can't be read, or a cost that argon2 does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a hash of this service")]
pub struct Unreadable;

/// The memory one thread hashes in: taken once, so that a hash costs no page faults (19 MiB are 4,864 pages).
#[derive(Default)]
pub(super) struct Arena(Vec<Block>);

impl Cost {
    fn params(self) -> Result<Params, Unreadable> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(HASH_BYTES)).map_err(|_| Unreadable)
    }

    /// Whether argon2 takes these parameters and a stored hash may ask for them.
    pub fn is_usable(self) -> bool {
        self.memory_kib <= MEMORY_KIB_MAX && self.passes <= PASSES_MAX && self.params().is_ok()
    }
}

impl Arena {
    /// A new salted hash of `password` as a PHC string.
    pub(super) fn hash(&mut self, cost: Cost, password: &[u8]) -> Result<String, Unreadable> {
        let mut salt = [0; SALT_BYTES];
        rand::fill(&mut salt).map_err(|_| Unreadable)?;
        let hash = self.fill(cost, password, &salt)?;
        let Cost { memory_kib, passes, lanes } = cost;
        let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
        Ok(format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${hash}"))
    }

    /// Whether `password` is the one that `stored`, a PHC string, was made of. Compared in constant time.
    pub(super) fn verify(&mut self, password: &[u8], stored: &str) -> Result<bool, Unreadable> {
        let stored = PasswordHash::new(stored).map_err(|_| Unreadable)?;
        let (cost, salt, expected) = parts(&stored)?;
        let hash = self.fill(cost, password, salt.as_ref())?;
        Ok(constant_time::verify_slices_are_equal(&hash, expected).is_ok())
    }

    fn fill(&mut self, cost: Cost, password: &[u8], salt: &[u8]) -> Result<[u8; HASH_BYTES], Unreadable> {
        let params = cost.params()?;
        if self.0.len() < params.block_count() {
            self.0.resize(params.block_count(), Block::default());
        }
        let mut out = [0; HASH_BYTES];
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon.hash_password_into_with_memory(password, salt, &mut out, &mut self.0).map_err(|_| Unreadable)?;
        Ok(out)
    }
}

/// What `stored`, a PHC string, was made at.
pub(super) fn cost_of(stored: &str) -> Result<Cost, Unreadable> {
    let stored = PasswordHash::new(stored).map_err(|_| Unreadable)?;
    Ok(parts(&stored)?.0)
}

/// Cost, salt and hash of a stored PHC string; refuses what this service never writes.
fn parts(stored: &PasswordHash) -> Result<(Cost, &Salt, &[u8]), Unreadable> {
    let known = stored.algorithm.as_str() == "argon2id" && stored.version == Some(u32::from(Version::V0x13));
    let params = Params::try_from(stored).map_err(|_| Unreadable)?;
    let cost = Cost { memory_kib: params.m_cost(), passes: params.t_cost(), lanes: params.p_cost() };
    match (&stored.salt, &stored.hash) {
        (Some(salt), Some(hash)) if known && cost.is_usable() => Ok((cost, salt, hash.as_ref())),
        _ => Err(Unreadable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least that argon2 takes: these tests are about reading and comparing.
    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

    #[test]
    fn a_password_fits_its_own_hash_and_no_other() {
        let mut arena = Arena::default();
        let stored = arena.hash(CHEAP, b"correct horse").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{stored}");
        assert_eq!(arena.verify(b"correct horse", &stored), Ok(true));
        assert_eq!(arena.verify(b"correct horsf", &stored), Ok(false));
        assert_ne!(arena.hash(CHEAP, b"correct horse").unwrap(), stored, "each hash has a salt of its own");
    }

    #[test]
    fn a_hash_says_what_it_was_made_at() {
        let cost = Cost { memory_kib: 64, passes: 2, lanes: 1 };
        assert_eq!(cost_of(&Arena::default().hash(cost, b"correct horse").unwrap()), Ok(cost));
        assert_eq!(cost_of("$argon2id$"), Err(Unreadable));
    }

    #[test]
    fn memory_used_before_changes_no_result() {
        let mut used = Arena::default();
        used.hash(Cost { memory_kib: 64, ..CHEAP }, b"something else").unwrap();
        let stored = Arena::default().hash(CHEAP, b"correct horse").unwrap();
        assert_eq!(used.verify(b"correct horse", &stored), Ok(true));
    }

    #[test]
    fn another_variant_is_another_algorithm() {
        let mut arena = Arena::default();
        let stored = arena.hash(CHEAP, b"password").unwrap().replace("$argon2id$", "$argon2i$");
        assert_eq!(arena.verify(b"password", &stored), Err(Unreadable));
    }

    #[test]
    fn a_hash_that_costs_too_much_or_is_none_is_refused() {
        let mut arena = Arena::default();
        let stored = arena.hash(CHEAP, b"x").unwrap();
        let bombs = [
            stored.replace("m=8", "m=4194304"),
            stored.replace("t=1", "t=999999"),
            stored.replace("v=19", "v=16"),
            stored[..40].to_owned(),
            String::new(),
        ];
        for bomb in bombs {
            assert_eq!(arena.verify(b"x", &bomb), Err(Unreadable), "{bomb}");
        }
    }
}
