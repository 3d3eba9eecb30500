//! Invitations into an organization, and into one of its workspaces with it: PENDING until the invited person answers, an admin takes it back,
//! or its time is over. A terminal state never opens again; who is wanted still is invited anew.
//!
//! What binds an invitation to a person is the address: the token proves that somebody reads its mail, and an account takes it only when it
//! proved the same address. The token's id and generation are in the row, the token is not: sending it again raises the generation, so that
//! older links die.
//!
//! Deliberately absent: mail (notifications sends it on the event), seats and domains that join by themselves.

pub mod accept;
pub mod convert;
pub mod grpc;
pub mod ops;
pub mod store;

use runtime::{OrganizationId, UserId, WorkspaceId, id_type};
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

use crate::error::Error;
use crate::member::Role;

id_type! { pub struct InvitationId; "Names an invitation." }

/// Where an invitation stands. As in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[repr(i16)]
pub enum InvitationState {
    /// Waits for an answer.
    Pending = 1,
    /// The person is a member.
    Accepted = 2,
    /// The person does not want it.
    Declined = 3,
    /// An admin took it back.
    Revoked = 4,
    /// Past its time.
    Expired = 5,
}

/// A place that is kept for whoever proves an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The invitation.
    pub id: InvitationId,
    /// The organization to join.
    pub organization_id: OrganizationId,
    /// The address, as given.
    pub email: String,
    /// With which role.
    pub role: Role,
    /// A workspace to join with it, and with which role.
    pub workspace: Option<(WorkspaceId, Role)>,
    /// Where it stands by what was done to it; [`Invitation::state`] looks at the clock too.
    pub stored_state: InvitationState,
    /// Which token is good, from 1.
    pub generation: i64,
    /// Who invited.
    pub inviter_id: UserId,
    /// Who accepted.
    pub accepted_user_id: Option<UserId>,
    /// Grows by one with every change; the etag.
    pub version: i64,
    /// When it was made.
    pub create_time: OffsetDateTime,
    /// When it was last changed.
    pub update_time: OffsetDateTime,
    /// Good until then, to the second.
    pub expire_time: OffsetDateTime,
}

impl Invitation {
    /// Where it stands at `now`.
    pub fn state(&self, now: OffsetDateTime) -> InvitationState {
        match self.stored_state {
            InvitationState::Pending if now >= self.expire_time => InvitationState::Expired,
            state => state,
        }
    }

    /// Refuses unless it waits for an answer at `now`.
    ///
    /// # Errors
    /// `INVITATION_NOT_PENDING`.
    pub fn require_pending(&self, now: OffsetDateTime) -> Result<(), Error> {
        if self.state(now) == InvitationState::Pending { Ok(()) } else { Err(Error::InvitationNotPending) }
    }

    /// The invitation with its answer, or taken back.
    pub fn closed(&self, state: InvitationState, now: OffsetDateTime) -> Self {
        Invitation { stored_state: state, version: self.version + 1, update_time: now, ..self.clone() }
    }

    /// The invitation as `user` accepted it.
    pub fn accepted(&self, user: UserId, now: OffsetDateTime) -> Self {
        Invitation { accepted_user_id: Some(user), ..self.closed(InvitationState::Accepted, now) }
    }

    /// The invitation with a new token, good for `ttl` from now on.
    pub fn resent(&self, ttl: Duration, now: OffsetDateTime) -> Self {
        Invitation { generation: self.generation + 1, expire_time: expire_time(now, ttl), ..self.closed(InvitationState::Pending, now) }
    }
}

/// Whole seconds, as the token has it.
pub fn expire_time(now: OffsetDateTime, ttl: Duration) -> OffsetDateTime {
    let time = now + ttl;
    time.replace_nanosecond(0).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn invitation() -> Invitation {
        let now = OffsetDateTime::UNIX_EPOCH;
        Invitation {
            id: Uuid::from_u128(1).into(),
            organization_id: Uuid::from_u128(2).into(),
            email: "ben@example.com".to_owned(),
            role: Role::Member,
            workspace: None,
            stored_state: InvitationState::Pending,
            generation: 1,
            inviter_id: Uuid::from_u128(3).into(),
            accepted_user_id: None,
            version: 1,
            create_time: now,
            update_time: now,
            expire_time: now + Duration::days(7),
        }
    }

    #[test]
    fn an_invitation_waits_to_the_second_before_its_time() {
        let (invitation, end) = (invitation(), invitation().expire_time);
        assert_eq!(invitation.state(end - Duration::SECOND), InvitationState::Pending);
        assert_eq!(invitation.state(end), InvitationState::Expired);
        assert!(invitation.require_pending(end).is_err());
    }

    #[test]
    fn what_was_answered_stays_so_when_its_time_is_over() {
        let (now, late) = (OffsetDateTime::UNIX_EPOCH, OffsetDateTime::UNIX_EPOCH + Duration::days(8));
        let accepted = invitation().accepted(Uuid::from_u128(4).into(), now);
        assert_eq!((accepted.state(now), accepted.state(late)), (InvitationState::Accepted, InvitationState::Accepted));
        assert_eq!(invitation().closed(InvitationState::Declined, now).state(late), InvitationState::Declined);
        assert!(accepted.require_pending(now).is_err());
    }

    #[test]
    fn sending_again_raises_the_generation_and_counts_the_time_anew() {
        let now = OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(86_400_500);
        let again = invitation().resent(Duration::days(7), now);
        assert_eq!((again.generation, again.version, again.state(now)), (2, 2, InvitationState::Pending));
        assert_eq!(again.expire_time, OffsetDateTime::UNIX_EPOCH + Duration::days(8), "whole seconds");
    }
}
