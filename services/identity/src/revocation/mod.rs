//! Tokens to refuse before their time. A revocation matters until no token it could match lives any more; then it is pruned.
//!
//! Deliberately absent: rows of signing keys. That one is revoked stands on the key, and is told from there.

pub mod convert;
pub mod grpc;
pub mod ops;
pub mod store;

use runtime::{SessionId, UserId};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::config::ACCESS_TOKEN_SECONDS_MAX;

/// Clocks of verifiers may be behind ours by so much.
const SKEW: Duration = Duration::MINUTE;
/// How long a revocation matters: tokens that were issued before it live no longer, under any setting.
pub(crate) const MATTERS: Duration = Duration::seconds(ACCESS_TOKEN_SECONDS_MAX as i64).saturating_add(SKEW);

/// What is revoked by a row. As in the contract, which has signing keys beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[repr(i16)]
pub enum RevocationKind {
    /// One session.
    Session = 1,
    /// All sessions of a user.
    User = 2,
    /// All tokens for an organization.
    Organization = 3,
}

/// Tokens to refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What is revoked.
    pub kind: RevocationKind,
    /// The session, user or organization.
    pub subject_id: Uuid,
    /// Tokens issued before this are refused; for a session all are.
    pub not_before: OffsetDateTime,
    /// No token it could match lives longer.
    pub expire_time: OffsetDateTime,
}

impl Revocation {
    /// Of a session, at `now`. A session that is over gets no new tokens.
    pub fn of_session(id: SessionId, now: OffsetDateTime) -> Self {
        Revocation { kind: RevocationKind::Session, subject_id: id.uuid(), not_before: now, expire_time: now + MATTERS }
    }

    /// Of the tokens that a user has at `now`. The sessions stay, and get new ones.
    pub fn of_user(id: UserId, now: OffsetDateTime) -> Self {
        Revocation { kind: RevocationKind::User, subject_id: id.uuid(), ..Revocation::of_session(SessionId::nil(), now) }
    }
}
