//! Second factors of accounts: authenticator apps that make time-based one-time passwords, and the recovery codes for the day an app is lost.
//!
//! A factor is PENDING until its first code was entered, and nobody is asked for it before; from then on every sign-in is. Deliberately absent:
//! the sign-in and the step-up that ask for a code (`session`), passkeys, and codes by mail or SMS, which are no second factor of their own.

pub mod check;
pub mod convert;
pub mod grpc;
pub mod ops;
pub mod picture;
pub mod recovery;
pub mod store;
pub mod totp;

use runtime::{UserId, id_type};
use time::{Duration, OffsetDateTime};

id_type! { pub struct FactorId; "Names a second factor." }

/// How long a factor waits for its first code.
const PENDING: Duration = Duration::minutes(10);
/// Factors in force of one person.
pub const FACTORS_MAX: i64 = 5;

/// Where a factor stands. As in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[repr(i16)]
pub enum FactorState {
    /// Enrolled; nobody entered a code of it.
    Pending = 1,
    /// In force.
    Confirmed = 2,
}

/// An authenticator app of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Factor {
    /// The factor.
    pub id: FactorId,
    /// Whose.
    pub user_id: UserId,
    /// How its owner calls it.
    pub display_name: String,
    /// Where it stands.
    pub state: FactorState,
    /// The newest time step whose code was taken; 0 for none.
    pub last_step: i64,
    /// When it was enrolled.
    pub create_time: OffsetDateTime,
    /// When its first code was entered.
    pub confirm_time: Option<OffsetDateTime>,
    /// Until when it waits.
    pub expire_time: Option<OffsetDateTime>,
}

impl Factor {
    /// One that waits for its first code from `now` on.
    pub fn enrolled(id: FactorId, user_id: UserId, display_name: String, now: OffsetDateTime) -> Self {
        let expire_time = Some(now + PENDING);
        Factor { id, user_id, display_name, state: FactorState::Pending, last_step: 0, create_time: now, confirm_time: None, expire_time }
    }

    /// The same in force, since the code of `step` was entered at `now`.
    #[must_use]
    pub fn confirmed(&self, step: i64, now: OffsetDateTime) -> Self {
        let confirm_time = Some(now);
        Factor { state: FactorState::Confirmed, last_step: step, confirm_time, expire_time: None, ..self.clone() }
    }
}
