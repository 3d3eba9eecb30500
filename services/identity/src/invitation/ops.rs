//! Use cases of those who invite. What the invited person does is beside, in `accept`.

use db::{Db, Kind, Order, Page, Tx};
use rpc::Caller;
use runtime::{UserId, WorkspaceId};
use time::{Duration, OffsetDateTime};

use super::{Invitation, InvitationId, InvitationState, expire_time, store};
use crate::error::Error;
use crate::events;
use crate::hashing::Hashing;
use crate::member::ops::{self as members, own_role};
use crate::member::{Place, Role, require_rank, store as rows};
use crate::sealed::Sealed;
use crate::throttle::Throttle;
use crate::token::link::{LinkToken, LinkTokens};
use crate::user::links::Asked;
use crate::user::store as users;

/// Oldest first.
const ORDER: Order = Order::asc("create_time", Kind::Time, "invitation_id");

/// Invitations.
#[derive(Clone)]
pub struct Ops {
    /// The service's tables.
    pub db: Db,
    /// Sealing of columns.
    pub sealed: Sealed,
    /// Password hashing, for those who have no account yet.
    pub hashing: Hashing,
    /// Tokens of mailed invitations.
    pub tokens: LinkTokens,
    /// How long an invitation is good.
    pub ttl: Duration,
    /// The least time between two mails of an organization to one address.
    pub cooldown: Duration,
    /// Invitations of one organization that wait at a time.
    pub pending_max: i64,
    /// Members, whom an accepted invitation makes.
    pub members: members::Ops,
    /// Mails that are asked for.
    pub throttle: Throttle,
}

/// Whom to invite, and to what.
pub struct NewInvitation {
    /// The address.
    pub email: String,
    /// The role in the organization.
    pub role: Role,
    /// A workspace to join with it, and the role there.
    pub workspace: Option<(WorkspaceId, Role)>,
}

impl Ops {
    /// Invites an address into the organization of the call. An address has one invitation there that waits. One mail in the cool-down: who
    /// takes an invitation back and makes another at once sends the second one again afterwards.
    ///
    /// # Errors
    /// `ROLE_ABOVE_OWN`, `MEMBER_ALREADY_EXISTS`, `INVITATION_ALREADY_PENDING`, `TOO_MANY_INVITATIONS`, `WORKSPACE_NOT_FOUND`, `ATTEMPTS_THROTTLED`.
    /// # Emits
    /// `InvitationCreated`, same transaction.
    pub async fn create(&self, caller: &Caller, new: NewInvitation) -> Result<Invitation, Error> {
        let inviter_id = caller.user_id()?;
        self.db
            .write(caller, async |tx: &mut Tx| {
                rows::lock_organization(tx).await?;
                require_gift(tx, new.role, new.workspace).await?;
                let index = self.sealed.email_index(&new.email);
                if let Some(user_id) = users::active_user(tx, None, Some(&index)).await?
                    && rows::find(tx, Place::Organization, user_id).await?.is_some()
                {
                    return Err(Error::MemberAlreadyExists);
                }
                store::lapse(tx, &index).await?;
                if store::count_pending(tx).await? >= self.pending_max {
                    return Err(Error::TooManyInvitations);
                }
                let invitation = self.made(tx, new, inviter_id);
                store::insert(tx, &self.sealed, &invitation).await?;
                let mail_wanted = self.ask_for_mail(tx, &invitation).await?;
                tx.emit(events::invitation_created(&invitation, mail_wanted));
                Ok(invitation)
            })
            .await
    }

    /// Whether a mail may go out for the invitation now: one in the cool-down, whichever invitation of the organization to the address it is of,
    /// and no more of all organizations than a mailbox is to take. One that goes out is charged to who asked for it, in whatever organization.
    ///
    /// # Errors
    /// `ATTEMPTS_THROTTLED`.
    async fn ask_for_mail(&self, tx: &mut Tx, invitation: &Invitation) -> Result<bool, Error> {
        let index = self.sealed.email_index(&invitation.email);
        let asker = self.sealed.asker_index(&index, &invitation.organization_id.to_string());
        let is_wanted = users::ask_for_mail(tx, &index, Asked::Invitation, &asker, self.cooldown).await?.mailbox;
        if is_wanted {
            let keys = self.throttle.mail(tx.caller());
            self.throttle.charge(tx, keys).await?;
        }
        Ok(is_wanted)
    }

    fn made(&self, tx: &Tx, new: NewInvitation, inviter_id: UserId) -> Invitation {
        let now = tx.now();
        Invitation {
            id: self.db.ids().next_id(),
            organization_id: tx.organization_id(),
            email: new.email,
            role: new.role,
            workspace: new.workspace,
            stored_state: InvitationState::Pending,
            generation: 1,
            inviter_id,
            accepted_user_id: None,
            version: 1,
            create_time: now,
            update_time: now,
            expire_time: expire_time(now, self.ttl),
        }
    }

    /// An invitation of the organization of the call.
    ///
    /// # Errors
    /// `INVITATION_NOT_FOUND`.
    pub async fn get(&self, caller: &Caller, id: InvitationId) -> Result<Invitation, Error> {
        self.db.read(caller, async |tx: &mut Tx| store::find(tx, &self.sealed, id).await).await?.ok_or(Error::InvitationNotFound)
    }

    /// A page of the organization's invitations, oldest first.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID`.
    pub async fn list(&self, caller: &Caller, page_size: i32, page_token: &str) -> Result<Page<Invitation>, Error> {
        let page = self.db.page(caller, page_size, page_token, ORDER, &[])?;
        self.db.read(caller, async |tx: &mut Tx| store::list(tx, &self.sealed, &page).await).await
    }

    /// Takes an invitation back.
    ///
    /// # Errors
    /// `INVITATION_NOT_FOUND`, `INVITATION_NOT_PENDING`, `ROLE_ABOVE_OWN`.
    /// # Emits
    /// `InvitationRevoked`, same transaction.
    pub async fn revoke(&self, caller: &Caller, id: InvitationId) -> Result<Invitation, Error> {
        self.db
            .write(caller, async |tx: &mut Tx| {
                let before = self.held_pending(tx, id).await?;
                let after = before.closed(InvitationState::Revoked, tx.now());
                store::update(tx, &after).await?;
                tx.emit(events::invitation_revoked(&before, &after));
                Ok(after)
            })
            .await
    }

    /// Sends an invitation again, with a new token and its whole time; links that were sent before are good for nothing.
    /// In the cool-down nothing is sent and nothing changes: nobody's mailbox is filled.
    ///
    /// # Errors
    /// `INVITATION_NOT_FOUND`, `INVITATION_NOT_PENDING`, `ROLE_ABOVE_OWN`, `ATTEMPTS_THROTTLED`.
    /// # Emits
    /// `InvitationResent`, same transaction; nothing in the cool-down.
    pub async fn resend(&self, caller: &Caller, id: InvitationId) -> Result<Invitation, Error> {
        self.db
            .write(caller, async |tx: &mut Tx| {
                let before = self.held_pending(tx, id).await?;
                if !self.ask_for_mail(tx, &before).await? {
                    return Ok(before);
                }
                let after = before.resent(self.ttl, tx.now());
                store::update(tx, &after).await?;
                tx.emit(events::invitation_resent(&before, &after));
                Ok(after)
            })
            .await
    }

    /// The token of an invitation's mail, good for as long as the invitation, and until when.
    pub(crate) fn token(&self, invitation: &Invitation) -> (String, OffsetDateTime) {
        let Invitation { id, generation, expire_time, .. } = *invitation;
        (self.tokens.encode(LinkToken { subject_id: id.uuid(), generation, expire_time }), expire_time)
    }

    /// An invitation that waits and that the caller could have made, with the organization's row held.
    async fn held_pending(&self, tx: &mut Tx, id: InvitationId) -> Result<Invitation, Error> {
        rows::lock_organization(tx).await?;
        let invitation = store::find(tx, &self.sealed, id).await?.ok_or(Error::InvitationNotFound)?;
        require_gift(tx, invitation.role, invitation.workspace).await?;
        invitation.require_pending(tx.now())?;
        Ok(invitation)
    }
}

/// Takes back what a member invited to and could no longer: what is above the role that they keep at `place`, everything when they leave it
/// (`None`). In a workspace they keep what their role in the organization gives. The organization's row is held. Else a person on their way
/// out would leave a door open.
pub(crate) async fn revoke_beyond(tx: &mut Tx, sealed: &Sealed, inviter: UserId, place: Place, kept: Option<Role>) -> Result<(), Error> {
    let beyond = match place {
        Place::Organization => store::pending_of(tx, sealed, inviter, kept).await?,
        Place::Workspace(left) => {
            let above = rows::find(tx, Place::Organization, inviter).await?.map(|member| member.role);
            let mut invited = store::pending_of(tx, sealed, inviter, None).await?;
            invited.retain(|invitation| invitation.workspace.is_some_and(|(id, role)| id == left && Some(role) > kept.max(above)));
            invited
        }
    };
    for before in beyond {
        let after = before.closed(InvitationState::Revoked, tx.now());
        store::update(tx, &after).await?;
        tx.emit(events::invitation_revoked(&before, &after));
    }
    Ok(())
}

/// Nobody invites to more than they hold, as the tables have it now.
async fn require_gift(tx: &mut Tx, role: Role, workspace: Option<(WorkspaceId, Role)>) -> Result<(), Error> {
    require_rank(own_role(tx, Place::Organization).await?, &[role])?;
    match workspace {
        Some((id, role)) => require_rank(own_role(tx, Place::Workspace(id)).await?, &[role]),
        None => Ok(()),
    }
}
