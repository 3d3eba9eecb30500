//! Use cases of members, of an organization and of a workspace alike.

use std::time::Duration;

use db::{Db, Kind, Order, Page, Tx};
use rpc::Caller;
use runtime::UserId;

use super::{Member, Place, Role, require_owner_left, require_rank, store};
use crate::error::Error;
use crate::events;
use crate::invitation::ops as invitations;
use crate::sealed::Sealed;
use crate::session::Context;
use crate::session::store as sessions;
use crate::user::store as users;

/// Oldest first.
const ORDER: Order = Order::asc("create_time", Kind::Time, "user_id");

/// Members.
#[derive(Clone)]
pub struct Ops {
    /// The service's tables.
    pub db: Db,
    /// Blind indexes of addresses.
    pub sealed: Sealed,
    /// How long a change waits to be in force before it is answered PENDING.
    pub propagation_wait: Duration,
}

/// Whom an admin means.
#[derive(Clone, Debug)]
pub enum Subject {
    /// By id.
    User(UserId),
    /// By address.
    Email(String),
}

/// Whether a change of roles is already in force here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// The authorization snapshot of this process has it.
    Applied,
    /// On its way.
    Pending,
}

impl Ops {
    /// Adds a user, who can sign in, with a role.
    ///
    /// # Errors
    /// `USER_NOT_FOUND`, `MEMBER_ALREADY_EXISTS`, `ROLE_ABOVE_OWN`; for a workspace `NOT_ORGANIZATION_MEMBER` in place of the first, and
    /// `WORKSPACE_NOT_FOUND`.
    /// # Emits
    /// `OrganizationMemberCreated` or `WorkspaceMemberCreated`, same transaction.
    pub async fn create(&self, caller: &Caller, place: Place, subject: Subject, role: Role) -> Result<(Member, Propagation), Error> {
        let member = self
            .db
            .write(caller, async |tx: &mut Tx| {
                store::lock_organization(tx).await?;
                require_rank(own_role(tx, place).await?, &[role])?;
                let user_id = self.find_user(tx, place, &subject).await?;
                add(tx, place, user_id, role).await
            })
            .await?;
        let propagation = self.propagation(caller, &member, member.version).await;
        Ok((member, propagation))
    }

    /// Changes a member's role. The same role again changes nothing.
    ///
    /// # Errors
    /// `MEMBER_NOT_FOUND`, `ROLE_ABOVE_OWN`, `LAST_OWNER`, `ETAG_MISMATCH`.
    /// # Emits
    /// `OrganizationMemberUpdated` or `WorkspaceMemberUpdated`, and `InvitationRevoked` for what the member invited to and no longer could; same
    /// transaction.
    pub async fn update(
        &self,
        caller: &Caller,
        place: Place,
        user_id: UserId,
        role: Role,
        etag: &str,
    ) -> Result<(Member, Propagation), Error> {
        let member = self
            .db
            .write(caller, async |tx: &mut Tx| {
                let before = held_member(tx, place, user_id).await?;
                before.require_etag(etag)?;
                require_rank(own_role(tx, place).await?, &[before.role, role])?;
                require_owner_left(&before, Some(role), store::count_owners(tx).await?)?;
                if before.role == role {
                    return Ok::<_, Error>(before);
                }
                let after = before.with_role(role, tx.now());
                store::update(tx, &after).await?;
                events::emit_member_updated(tx, &before, &after);
                invitations::revoke_beyond(tx, &self.sealed, user_id, place, Some(role)).await?;
                Ok(after)
            })
            .await?;
        let propagation = self.propagation(caller, &member, member.version).await;
        Ok((member, propagation))
    }

    /// Removes a member; from an organization, out of all its workspaces too.
    ///
    /// # Errors
    /// `MEMBER_NOT_FOUND`, `ROLE_ABOVE_OWN`, `LAST_OWNER`.
    /// # Emits
    /// `OrganizationMemberDeleted` or `WorkspaceMemberDeleted`, one for each place left, and `InvitationRevoked` for what the member invited to;
    /// same transaction.
    pub async fn delete(&self, caller: &Caller, place: Place, user_id: UserId) -> Result<Propagation, Error> {
        let member = self
            .db
            .write(caller, async |tx: &mut Tx| {
                let member = held_member(tx, place, user_id).await?;
                require_rank(own_role(tx, place).await?, &[member.role])?;
                require_owner_left(&member, None, store::count_owners(tx).await?)?;
                let within = if place == Place::Organization { store::in_workspaces(tx, user_id).await? } else { Vec::new() };
                for left in within.iter().chain([&member]) {
                    store::delete(tx, left).await?;
                    events::emit_member_deleted(tx, left);
                }
                invitations::revoke_beyond(tx, &self.sealed, user_id, place, None).await?;
                Ok::<_, Error>(member)
            })
            .await?;
        Ok(self.propagation(caller, &member, member.version + 1).await)
    }

    /// A page of the members of a place, oldest first.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID`.
    pub async fn list(&self, caller: &Caller, place: Place, page_size: i32, page_token: &str) -> Result<Page<Member>, Error> {
        let bound = place.workspace_id().map(String::from).unwrap_or_default();
        let page = self.db.page(caller, page_size, page_token, ORDER, &[&bound])?;
        self.db.read(caller, async |tx: &mut Tx| store::list(tx, place, &page).await).await
    }

    /// Who is no member of the organization gets one answer in a workspace, account or not: its admins, who can add nobody from outside, would
    /// learn who has one.
    async fn find_user(&self, tx: &mut Tx, place: Place, subject: &Subject) -> Result<UserId, Error> {
        let found = match subject {
            Subject::User(id) => users::active_user(tx, Some(*id), None).await?,
            Subject::Email(email) => users::active_user(tx, None, Some(&self.sealed.email_index(email))).await?,
        };
        found.ok_or(match place {
            Place::Organization => Error::UserNotFound,
            Place::Workspace(_) => Error::NotOrganizationMember,
        })
    }

    /// Waits until this process decides by the change that `version` stands for: for as long as the setting says, and at most half of what
    /// the call has left, because the change is committed and must be answered.
    pub(crate) async fn propagation(&self, caller: &Caller, member: &Member, version: i64) -> Propagation {
        let at_most = self.propagation_wait.min(caller.deadline().remaining() / 2);
        let applied = caller.authorizer().wait_for(member.user_id, member.organization_id, member.workspace_id, version, at_most).await;
        if applied { Propagation::Applied } else { Propagation::Pending }
    }
}

/// Makes a user a member, with the organization's row held.
async fn add(tx: &mut Tx, place: Place, user_id: UserId, role: Role) -> Result<Member, Error> {
    let (organization_id, now) = (tx.organization_id(), tx.now());
    let version = store::next_version(tx, place, user_id).await?;
    let workspace_id = place.workspace_id();
    let member = Member { organization_id, workspace_id, user_id, role, version, create_time: now, update_time: now };
    store::insert(tx, &member).await?;
    events::emit_member_created(tx, &member);
    Ok(member)
}

/// The member that a user is; one with `role` for who is none yet. The organization's row is held.
pub(crate) async fn ensure(tx: &mut Tx, place: Place, user_id: UserId, role: Role) -> Result<Member, Error> {
    match store::find(tx, place, user_id).await? {
        Some(member) => Ok(member),
        None => add(tx, place, user_id, role).await,
    }
}

/// The member, with the organization's row held.
async fn held_member(tx: &mut Tx, place: Place, user_id: UserId) -> Result<Member, Error> {
    store::lock_organization(tx).await?;
    store::find(tx, place, user_id).await?.ok_or(Error::MemberNotFound)
}

/// The caller's role at a place, as the tables have it now: what they hold there or above, and OWNER for a system admin.
pub(crate) async fn own_role(tx: &mut Tx, place: Place) -> Result<Option<Role>, Error> {
    let context = Context { organization_id: tx.organization_id(), workspace_id: place.workspace_id() };
    let held = sessions::held(tx, context).await?;
    Ok(if held.system_admin { Some(Role::Owner) } else { held.organization_role.max(held.workspace_role) })
}
