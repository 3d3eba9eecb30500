//! Use cases of the invited person: a look at the invitation, joining with an account or with a new one, declining. The token of the mail
//! is what they come with; each acts in the organization that it is about.

use db::Tx;
use rpc::Caller;
use runtime::{SecretString, UserId};

use super::ops::Ops;
use super::{Invitation, InvitationId, InvitationState, store};
use crate::error::Error;
use crate::events;
use crate::member::ops::{Propagation, ensure};
use crate::member::{Member, Place, store as rows};
use crate::organization::{Organization, store as organizations};
use crate::password::Person;
use crate::token::link::LinkToken;
use crate::user::ops::chosen;
use crate::user::{User, UserState, store as users};

/// What became of an invitation that was accepted.
pub struct Accepted {
    /// The invitation.
    pub invitation: Invitation,
    /// The membership of the organization.
    pub member: Member,
    /// Whether it is in force.
    pub propagation: Propagation,
}

/// A person who accepts without an account.
pub struct NewPerson {
    /// The password, byte for byte.
    pub password: SecretString,
    /// How the person is called.
    pub display_name: String,
}

impl Ops {
    /// What the token invites to, for the person who decides.
    ///
    /// # Errors
    /// `INVITATION_TOKEN_INVALID`, `INVITATION_NOT_PENDING`.
    pub async fn preview(&self, caller: &Caller, token: &str) -> Result<(Invitation, Organization), Error> {
        let (caller, token) = self.arrived(caller, token).await?;
        self.db
            .read(&caller, async |tx: &mut Tx| {
                let invitation = self.named(tx, &token).await?;
                invitation.require_pending(tx.now())?;
                let organization = organizations::find(tx, invitation.organization_id).await?;
                Ok((invitation, organization.ok_or(Error::InvitationTokenInvalid)?))
            })
            .await
    }

    /// Joins with the caller's account, which proved the address that was invited. Who is a member by now keeps their role. The same person's
    /// repeat gets the same answer; everybody else's finds the invitation answered.
    ///
    /// # Errors
    /// `INVITATION_TOKEN_INVALID`, `INVITATION_NOT_PENDING`, `INVITED_ADDRESS_DIFFERS`.
    /// # Emits
    /// `InvitationAccepted`, and `OrganizationMemberCreated` and `WorkspaceMemberCreated` for each place that is new; same transaction.
    pub async fn accept(&self, caller: &Caller, token: &str) -> Result<Accepted, Error> {
        let user_id = caller.user_id()?;
        let (caller, token) = self.arrived(caller, token).await?;
        let (invitation, member) = self
            .db
            .write_unrecorded(&caller, async |tx: &mut Tx| {
                rows::lock_organization(tx).await?;
                let before = self.named(tx, &token).await?;
                if before.accepted_user_id == Some(user_id) {
                    let member = rows::find(tx, Place::Organization, user_id).await?.ok_or(Error::InvitationNotPending)?;
                    return Ok((before, member));
                }
                self.require_invited(tx, &before, user_id).await?;
                self.join(tx, &before, user_id).await
            })
            .await?;
        let propagation = self.members.propagation(&caller, &member, member.version).await;
        Ok(Accepted { invitation, member, propagation })
    }

    /// Joins with a new account. The token proves its address, so it is ACTIVE at once; the person signs in afterwards.
    ///
    /// # Errors
    /// `INVITATION_TOKEN_INVALID`, `INVITATION_NOT_PENDING`, `ACCOUNT_ALREADY_EXISTS`, `PASSWORD_TOO_WEAK`, `HASHING_OVERLOADED`.
    /// # Emits
    /// `UserRegistered`, `InvitationAccepted`, `OrganizationMemberCreated`, `WorkspaceMemberCreated` for a workspace; same transaction, in the
    /// organization.
    pub async fn accept_as_new_user(&self, caller: &Caller, token: &str, person: NewPerson) -> Result<Accepted, Error> {
        let (caller, token) = self.arrived(caller, token).await?;
        let invitation = self.db.read(&caller, async |tx: &mut Tx| self.named(tx, &token).await).await?;
        invitation.require_pending(self.db.clock().now())?;
        let own = Person { display_name: person.display_name.clone(), ..Person::at(&invitation.email) };
        let hash = chosen(&self.hashing, &caller, person.password, own).await?;
        let user_id: UserId = self.db.ids().next_id();
        let caller = caller.proven_as(user_id);
        let (invitation, member) = self
            .db
            .write_unrecorded(&caller, async |tx: &mut Tx| {
                rows::lock_organization(tx).await?;
                let before = self.named(tx, &token).await?;
                before.require_pending(tx.now())?;
                let registered = User::registered(user_id, before.email.clone(), person.display_name, tx.now());
                let user = User { state: UserState::Active, ..registered };
                if !users::insert(tx, &self.sealed, &user, &hash).await? {
                    return Err(Error::AccountAlreadyExists);
                }
                tx.emit(events::user_registered(&user, false));
                self.join(tx, &before, user_id).await
            })
            .await?;
        let propagation = self.members.propagation(&caller, &member, member.version).await;
        Ok(Accepted { invitation, member, propagation })
    }

    /// Declines. Doing it again changes nothing.
    ///
    /// # Errors
    /// `INVITATION_TOKEN_INVALID`, `INVITATION_NOT_PENDING`.
    /// # Emits
    /// `InvitationDeclined`, same transaction.
    pub async fn decline(&self, caller: &Caller, token: &str) -> Result<(), Error> {
        let (caller, token) = self.arrived(caller, token).await?;
        self.db
            .write_unrecorded(&caller, async |tx: &mut Tx| {
                rows::lock_organization(tx).await?;
                let before = self.named(tx, &token).await?;
                if before.stored_state == InvitationState::Declined {
                    return Ok(());
                }
                before.require_pending(tx.now())?;
                let after = before.closed(InvitationState::Declined, tx.now());
                store::update(tx, &after).await?;
                tx.emit(events::invitation_declined(&before, &after));
                Ok(())
            })
            .await
    }

    /// The caller in the organization that a genuine token is about, and what the token says.
    async fn arrived(&self, caller: &Caller, token: &str) -> Result<(Caller, LinkToken), Error> {
        let token = self.tokens.decode(token, self.db.clock().now()).map_err(|_| Error::InvitationTokenInvalid)?;
        let organization = store::organization(&self.db, caller, InvitationId::from(token.subject_id)).await?;
        let organization = organization.ok_or(Error::InvitationTokenInvalid)?;
        Ok((caller.with_organization(organization), token))
    }

    /// The invitation that `token` names, if no newer token took its place.
    async fn named(&self, tx: &mut Tx, token: &LinkToken) -> Result<Invitation, Error> {
        let invitation = store::find(tx, &self.sealed, InvitationId::from(token.subject_id)).await?;
        invitation.filter(|invitation| invitation.generation == token.generation).ok_or(Error::InvitationTokenInvalid)
    }

    /// Refuses unless it waits, for the address that the account of `user_id` proved.
    async fn require_invited(&self, tx: &mut Tx, invitation: &Invitation, user_id: UserId) -> Result<(), Error> {
        invitation.require_pending(tx.now())?;
        let user = users::find(tx, &self.sealed, user_id).await?.map(|seen| seen.user);
        let proved = user.filter(|user| user.state == UserState::Active).map(|user| self.sealed.email_index(&user.email));
        if proved == Some(self.sealed.email_index(&invitation.email)) { Ok(()) } else { Err(Error::InvitedAddressDiffers) }
    }

    /// Makes `user_id` a member of what the invitation is to, once, with the organization's row held.
    async fn join(&self, tx: &mut Tx, before: &Invitation, user_id: UserId) -> Result<(Invitation, Member), Error> {
        let after = before.accepted(user_id, tx.now());
        store::update(tx, &after).await?;
        tx.emit(events::invitation_accepted(before, &after));
        let member = ensure(tx, Place::Organization, user_id, before.role).await?;
        if let Some((workspace_id, role)) = before.workspace {
            ensure(tx, Place::Workspace(workspace_id), user_id, role).await?;
        }
        Ok((after, member))
    }
}
