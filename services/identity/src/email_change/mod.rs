//! Changes of an account's address: PENDING until the person proves that they read the mail of the new one, then DONE.
//!
//! What a stranger at an open session must not do: take the account by its address. So the change takes the password, the proof of the new
//! mailbox, and the former address hears of it. What a person must not learn: whose another address is. So a change to an address that is
//! somebody's is asked for as any other, and mailed to nobody.
//!
//! Deliberately absent: more than one address for an account.
//! Source: OWASP ASVS 5.0, 6.3.6 and 7.5.1.

pub mod ops;
pub(crate) mod store;

use runtime::UserId;
use time::OffsetDateTime;
use uuid::Uuid;

/// Where a change stands. As in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[repr(i16)]
pub enum EmailChangeState {
    /// The new address is not proved.
    Pending = 1,
    /// The account has it.
    Done = 2,
}

/// An address in place of another.
#[derive(Clone)]
pub struct EmailChange {
    /// The change.
    pub id: Uuid,
    /// Whose address.
    pub user_id: UserId,
    /// Where it stands.
    pub state: EmailChangeState,
    /// The address wanted while PENDING, the one given up once DONE.
    pub email: String,
    /// Until when the link is good, to the second.
    pub expire_time: OffsetDateTime,
}
