//! What the password of an account is checked against, and how another one takes its place. No role but the owner reads a hash: each look-up is a
//! function of the tables that answers whoever may try a password.
//!
//! Deliberately absent: hashing (`hashing`), which passwords are good enough (`password`), and every use case: those are of accounts and sessions.

pub(crate) mod store;

use runtime::UserId;

/// What a sign-in is checked against.
pub(crate) struct Credential {
    pub(crate) user_id: UserId,
    pub(crate) password_hash: String,
    /// The account's, as the hash was read.
    pub(crate) version: i64,
    /// The one of the password: device tokens of another one are none.
    pub(crate) reset_generation: i64,
}

/// What is checked of somebody who signed in and gives the password once more.
pub(crate) struct Own {
    pub(crate) email: String,
    pub(crate) credential: Credential,
}

/// What the proof of an address is checked against.
pub(crate) struct Pending {
    /// The verification token that is good.
    pub(crate) generation: i64,
    /// Of the same registration.
    pub(crate) password_hash: String,
}
