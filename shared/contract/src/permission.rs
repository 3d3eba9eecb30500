//! The permission catalogue: every permission that a method's policy names, with the grants it states.
//!
//! Deliberately absent: custom roles and who holds what. A role is data of the authorization service.

use crate::{BaseRole, Reach, Scope};

include!(concat!(env!("OUT_DIR"), "/permissions.rs"));

impl Permission {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The permission called `name`, as `tasks.work_item.create`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.binary_search_by(|permission| permission.name().cmp(name)).ok().map(|index| Self::ALL[index])
    }

    /// Its place in [`Permission::ALL`], for sets kept as bits. Changes with the catalogue: never stored, never sent.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
