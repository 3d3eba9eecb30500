//! Argon2 itself: one hash at a time, over memory that is used again.
//!
//! Deliberately absent: queueing (the parent), and reading what is stored (`stored`).

use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Length of the salt and of the hash, in bytes. Source: RFC 9106, section 4.
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// So many are mapped for a hash at least, of which it touches what it needs. Once a smaller piece was given back, the allocator keeps each further
/// one of that size for the process. Source: mallopt(3), `M_MMAP_THRESHOLD`, which rises to 32 MiB by itself.
const BLOCKS_MAPPED: usize = 33 * 1024;

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

/// A stored hash that can't be read or asks for too much, or a cost that argon2 does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a hash that is taken here")]
pub struct Unreadable;

/// The memory one thread hashes in: taken once, so that a hash costs no page faults (19 MiB are 4,864 pages). After a hash of another system
/// that needs more, all of it is given back.
#[derive(Default)]
pub(super) struct Arena {
    blocks: Vec<Block>,
    /// Blocks that are kept.
    kept: usize,
}

impl Cost {
    fn params(self, hash_bytes: usize) -> Result<Params, Unreadable> {
        Params::new(self.memory_kib, self.passes, self.lanes, Some(hash_bytes)).map_err(|_| Unreadable)
    }

    /// Whether argon2 takes these parameters.
    pub fn is_usable(self) -> bool {
        self.params(HASH_BYTES).is_ok()
    }

    /// In KiB of memory times passes.
    pub(super) fn work(self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.passes)
    }
}

impl Arena {
    /// One that keeps what a hash of `cost` needs.
    pub(super) fn of(cost: Cost) -> Self {
        Arena { blocks: Vec::new(), kept: cost.params(HASH_BYTES).map_or(0, |params| params.block_count()) }
    }

    /// Blocks that it holds.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.blocks.len()
    }

    /// Gives all memory back, until the next hash.
    pub(super) fn release(&mut self) {
        self.blocks = Vec::new();
    }

    /// A new salted hash of `password` as a PHC string.
    pub(super) fn hash(&mut self, cost: Cost, password: &[u8]) -> Result<String, Unreadable> {
        let mut salt = [0; SALT_BYTES];
        rand::fill(&mut salt).map_err(|_| Unreadable)?;
        let mut hash = [0; HASH_BYTES];
        self.fill(Algorithm::Argon2id, Version::V0x13, cost, password, &salt, &mut hash)?;
        let Cost { memory_kib, passes, lanes } = cost;
        let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
        Ok(format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${hash}"))
    }

    /// Writes the hash of `password` to `out`, as long as that is.
    pub(super) fn fill(
        &mut self,
        algorithm: Algorithm,
        version: Version,
        cost: Cost,
        password: &[u8],
        salt: &[u8],
        out: &mut [u8],
    ) -> Result<(), Unreadable> {
        let params = cost.params(out.len())?;
        let wanted = params.block_count();
        if self.blocks.len() < wanted {
            self.blocks.reserve_exact(wanted.max(BLOCKS_MAPPED) - self.blocks.len());
            self.blocks.resize(wanted, Block::default());
        }
        let argon = Argon2::new(algorithm, version, params);
        let filled = argon.hash_password_into_with_memory(password, salt, out, &mut self.blocks).map_err(|_| Unreadable);
        if self.blocks.len() > self.kept {
            self.release();
        }
        filled
    }
}

#[cfg(test)]
mod tests {
    use super::super::stored::Stored;
    use super::*;

    /// The least that argon2 takes: these tests are about reading and comparing.
    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

    fn fits(arena: &mut Arena, password: &[u8], stored: &str) -> bool {
        Stored::parse(stored).unwrap().fits(arena, password).unwrap()
    }

    #[test]
    fn a_password_fits_its_own_hash_and_no_other() {
        let mut arena = Arena::default();
        let stored = arena.hash(CHEAP, b"correct horse").unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{stored}");
        assert!(fits(&mut arena, b"correct horse", &stored));
        assert!(!fits(&mut arena, b"correct horsf", &stored));
        assert_ne!(arena.hash(CHEAP, b"correct horse").unwrap(), stored, "each hash has a salt of its own");
    }

    #[test]
    fn a_hash_says_what_it_was_made_at() {
        let cost = Cost { memory_kib: 64, passes: 2, lanes: 1 };
        let stored = Arena::default().hash(cost, b"correct horse").unwrap();
        assert_eq!(Stored::parse(&stored).unwrap().own_cost(), Some(cost));
    }

    #[test]
    fn memory_used_before_changes_no_result_and_what_was_taken_beyond_the_own_is_given_back() {
        let mut used = Arena::of(CHEAP);
        let stored = Arena::default().hash(CHEAP, b"correct horse").unwrap();
        used.hash(Cost { memory_kib: 1024, ..CHEAP }, b"something else").unwrap();
        assert_eq!((used.held(), used.kept), (0, 8));
        assert!(fits(&mut used, b"correct horse", &stored));
        assert_eq!(used.held(), 8, "and its own is kept");
    }

    /// What the process holds, in KiB.
    fn resident_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let held = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        held.trim_end_matches("kB").trim().parse().unwrap()
    }

    #[test]
    fn memory_that_is_given_back_is_held_no_longer_the_third_time_as_the_first() {
        const ALONE: &str = "MUSTER_TEST_ALONE";
        let name = "hashing::argon::tests::memory_that_is_given_back_is_held_no_longer_the_third_time_as_the_first";
        if std::env::var_os(ALONE).is_none() {
            // In a process where nothing else takes memory.
            let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
            let done = alone.args(["--exact", name]).env(ALONE, "1").output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
            return;
        }
        let cost = Cost { memory_kib: 19 * 1024, passes: 1, lanes: 1 };
        let mut arena = Arena::of(cost);
        for _ in 0..3 {
            arena.hash(cost, b"correct horse").unwrap();
            let used = resident_kib();
            arena.release();
            let left = resident_kib();
            assert!(left + 18 * 1024 < used, "{used} KiB and then {left} KiB");
        }
    }
}
