//! A hash map whose clone is cheap and whose change copies little: 4,096 small tables under two levels of shared pointers.
//!
//! Why not one map behind a pointer: one change would copy the world. Why not one map an organization: a change in an organization of 100,000
//! users would copy them all. Here a change copies a row of 64 pointers, one of 64 tables without what stands in them, and one table, whatever the shape of the tenants.
//!
//! Why ids are not interned to 32 bits: an interner costs a second probe and only grows; a key of 32 bytes costs less than both.
//!
//! Deliberately absent: iteration order, removal, defence against chosen keys (ids are drawn by our own services).

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

/// One plain map of ids.
pub(crate) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;
type Branch<K, V> = Arc<[Table<K, V>]>;

const WIDTH: usize = 64;

/// See the module.
#[derive(Debug)]
pub(crate) struct Map<K, V>(Arc<[Branch<K, V>]>);

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Self {
        Map(self.0.clone())
    }
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        let branch: Branch<K, V> = std::iter::repeat_with(Table::default).take(WIDTH).collect();
        Map(vec![branch; WIDTH].into())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Map<K, V> {
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let hash = hash(key);
        let (branch, table) = place(hash);
        self.0[branch][table].get(hash, key)
    }

    /// The value of `key`, made with its default if there is none. What other clones share is copied first.
    pub(crate) fn entry(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        let hash = hash(&key);
        let (branch, table) = place(hash);
        let branch = &mut Arc::make_mut(&mut self.0)[branch];
        Arc::make_mut(branch)[table].entry(hash, key)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().flat_map(|branch| branch.iter()).map(|table| table.len).sum()
    }
}

/// A small table, probed in a row from where the low bits of the hash say. The first thing read of it is most often what is asked for; the control
/// bytes of the standard library's map are one more read, of another page, before that.
#[derive(Debug)]
struct Table<K, V> {
    /// None, or a power of two; two thirds of them are taken at most.
    slots: Arc<[Option<(K, V)>]>,
    len: usize,
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        Table { slots: self.slots.clone(), len: self.len }
    }
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Table { slots: Arc::default(), len: 0 }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Table<K, V> {
    fn get(&self, hash: u64, key: &K) -> Option<&V> {
        if self.slots.is_empty() {
            return None;
        }
        self.slots[self.probe(hash, key)].as_ref().map(|(_, value)| value)
    }

    fn entry(&mut self, hash: u64, key: K) -> &mut V
    where
        V: Default,
    {
        if self.slots.len() * 2 <= self.len * 3 {
            self.grow();
        }
        let slot = self.probe(hash, &key);
        let slot = &mut Arc::make_mut(&mut self.slots)[slot];
        self.len += usize::from(slot.is_none());
        &mut slot.get_or_insert_with(|| (key, V::default())).1
    }

    /// Where `key` is, or would be. One slot at least is free.
    fn probe(&self, hash: u64, key: &K) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        while self.slots[slot].as_ref().is_some_and(|(there, _)| there != key) {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(4);
        let before = std::mem::replace(&mut self.slots, std::iter::repeat_with(|| None).take(slots).collect());
        for (key, value) in before.iter().flatten() {
            let slot = self.probe(hash(key), key);
            Arc::make_mut(&mut self.slots)[slot] = Some((key.clone(), value.clone()));
        }
    }
}

fn hash<K: Hash>(key: &K) -> u64 {
    BuildHasherDefault::<IdHasher>::default().hash_one(key)
}

/// Bits above those that a table goes by.
fn place(hash: u64) -> (usize, usize) {
    ((hash >> 40) as usize % WIDTH, (hash >> 32) as usize % WIDTH)
}

/// A hasher for ids: a folded multiplication for each eight bytes.
#[derive(Clone, Copy)]
pub(crate) struct IdHasher(u64);

impl Default for IdHasher {
    fn default() -> Self {
        IdHasher(0x9E37_79B9_7F4A_7C15)
    }
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word).wrapping_mul(0x2D35_8DCC_AA6C_78A5_8BB8_4B93_962E_ACC9);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }

    /// Lengths of arrays: the same for every key of a map.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::{Ids, OrganizationId, UserId};

    #[test]
    fn a_clone_keeps_what_it_saw() {
        let mut map = Map::<u64, u64>::default();
        *map.entry(1) = 10;
        let before = map.clone();
        *map.entry(1) = 11;
        *map.entry(2) = 20;
        assert_eq!((before.get(&1), before.get(&2), before.len()), (Some(&10), None, 1));
        assert_eq!((map.get(&1), map.get(&2), map.len()), (Some(&11), Some(&20), 2));
    }

    #[test]
    fn ids_of_one_moment_spread_over_the_leaves() {
        let ids = Ids::system();
        let organization: OrganizationId = ids.next_id();
        let mut map = Map::<(OrganizationId, UserId), ()>::default();
        for _ in 0..40_960 {
            map.entry((organization, ids.next_id()));
        }
        let sizes: Vec<usize> = map.0.iter().flat_map(|branch| branch.iter()).map(|table| table.len).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 40_960);
        assert!(sizes.iter().all(|&size| size < 40), "ten a leaf on average, none with four times that: {:?}", sizes.iter().max());
    }
}
