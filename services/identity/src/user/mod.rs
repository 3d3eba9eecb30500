//! Accounts: PENDING until the address is proved, then ACTIVE.
//!
//! Who may register an address? Anybody: that it is theirs is what they have yet to prove. So an address has any number of registrations that
//! wait, each with a password of its own, and one ACTIVE account at most. The proof takes the mailbox and the password of one and the same
//! registration; else a stranger who registers first would wait for the owner to follow the link, and own the account (pre-hijacking).
//! Source: Sudhodanan and Paverd, "Pre-hijacked accounts", USENIX Security 2022.
//!
//! Deliberately absent: suspension, deletion and erasure (they come with the account lifecycle), and memberships (`member`).

pub mod account_grpc;
pub mod convert;
pub mod credential;
pub mod filter;
pub mod first_admin;
pub mod grpc;
mod history;
pub mod import;
pub mod links;
pub mod ops;
mod password_change;
mod password_reset;
pub mod store;
mod unlock;
pub mod username;

use runtime::UserId;
use time::OffsetDateTime;

use self::username::Username;

/// Where an account stands. As in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[repr(i16)]
pub enum UserState {
    /// The address is not proved; no sign-in.
    Pending = 1,
    /// Can sign in.
    Active = 2,
}

/// What a person may do across organizations. As in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[repr(i16)]
pub enum SystemRole {
    /// Nothing beyond memberships.
    User = 1,
    /// Everything, one organization at a time.
    Admin = 2,
}

/// A person who can sign in, or will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub id: UserId,
    /// The address, as given.
    pub email: String,
    /// A name to sign in with beside the address.
    pub username: Option<Username>,
    /// How the person is called.
    pub display_name: String,
    /// Where the account stands.
    pub state: UserState,
    /// What the person may do across organizations.
    pub system_role: SystemRole,
    /// Grows by one with every change; the etag.
    pub version: i64,
    /// When the account was registered.
    pub create_time: OffsetDateTime,
    /// When it was last changed.
    pub update_time: OffsetDateTime,
}

/// An account as the caller of a transaction sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The account.
    pub user: User,
    /// Whether what the person may do across organizations is shown: to the person, and to system admins. To co-members it would say whose
    /// account is worth most.
    pub shows_system_role: bool,
}

impl User {
    /// An account that was just registered.
    pub fn registered(id: UserId, email: String, display_name: String, now: OffsetDateTime) -> Self {
        let (state, system_role) = (UserState::Pending, SystemRole::User);
        User { id, email, username: None, display_name, state, system_role, version: 1, create_time: now, update_time: now }
    }

    /// The account with its address proved.
    pub fn verified(&self, now: OffsetDateTime) -> Self {
        User { state: UserState::Active, version: self.version + 1, update_time: now, ..self.clone() }
    }

    /// The account with another username, or none.
    pub fn named(&self, username: Option<Username>, now: OffsetDateTime) -> Self {
        User { username, version: self.version + 1, update_time: now, ..self.clone() }
    }

    /// The account with another address, which was proved.
    pub fn reached_at(&self, email: String, now: OffsetDateTime) -> Self {
        User { email, version: self.version + 1, update_time: now, ..self.clone() }
    }

    /// The account with another password, which is no part of what is seen of it.
    pub fn changed(&self, now: OffsetDateTime) -> Self {
        User { version: self.version + 1, update_time: now, ..self.clone() }
    }

    /// The account as a system admin's.
    pub fn promoted(&self, now: OffsetDateTime) -> Self {
        User { system_role: SystemRole::Admin, version: self.version + 1, update_time: now, ..self.clone() }
    }
}
