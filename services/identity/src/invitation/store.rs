//! SQL of invitations. The address is sealed and found by its blind index. Each use case that changes one holds the organization's row.

use db::{Cursor, Db, OnConstraint, Page, PageRequest, Tx, WorkTx};
use rpc::Caller;
use runtime::{OrganizationId, UserId, WorkspaceId};
use time::OffsetDateTime;

use super::{Invitation, InvitationId, InvitationState};
use crate::error::Error;
use crate::member::Role;
use crate::sealed::{Column, Sealed, Unopened};

/// A row as it lies in the table.
struct Row {
    invitation_id: InvitationId,
    organization_id: OrganizationId,
    email: Vec<u8>,
    role: Role,
    workspace_id: Option<WorkspaceId>,
    workspace_role: Option<Role>,
    state: InvitationState,
    generation: i64,
    inviter_id: UserId,
    accepted_user_id: Option<UserId>,
    version: i64,
    create_time: OffsetDateTime,
    update_time: OffsetDateTime,
    expire_time: OffsetDateTime,
}

impl Row {
    fn open(self, sealed: &Sealed) -> Result<Invitation, Unopened> {
        Ok(Invitation {
            id: self.invitation_id,
            organization_id: self.organization_id,
            email: sealed.open(Column::INVITATION_EMAIL, self.invitation_id.uuid(), &self.email)?,
            role: self.role,
            workspace: self.workspace_id.zip(self.workspace_role),
            stored_state: self.state,
            generation: self.generation,
            inviter_id: self.inviter_id,
            accepted_user_id: self.accepted_user_id,
            version: self.version,
            create_time: self.create_time,
            update_time: self.update_time,
            expire_time: self.expire_time,
        })
    }
}

/// Before there is a member: the organization that `id` invites into.
pub(crate) async fn organization(db: &Db, caller: &Caller, id: InvitationId) -> Result<Option<OrganizationId>, Error> {
    let found: Vec<(Option<OrganizationId>,)> =
        db.look_up(caller, "SELECT identity.inviting_organization($1)", |query| query.bind(id)).await?;
    Ok(found.into_iter().next().and_then(|(id,)| id))
}

pub(super) async fn insert(tx: &mut Tx, sealed: &Sealed, invitation: &Invitation) -> Result<(), Error> {
    let (workspace_id, workspace_role) = invitation.workspace.unzip();
    sqlx::query!(
        "INSERT INTO identity.invitation (organization_id, invitation_id, email, email_index, role, workspace_id, workspace_role, state, generation,
                                          inviter_id, version, create_time, update_time, expire_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        invitation.organization_id as _,
        invitation.id as _,
        sealed.seal(Column::INVITATION_EMAIL, invitation.id.uuid(), &invitation.email),
        sealed.email_index(&invitation.email),
        invitation.role as _,
        workspace_id as _,
        workspace_role as _,
        invitation.stored_state as _,
        invitation.generation,
        invitation.inviter_id as _,
        invitation.version,
        invitation.create_time,
        invitation.update_time,
        invitation.expire_time,
    )
    .execute(tx.conn())
    .await
    .on_constraints(|broken| match broken {
        "invitation_pending_key" => Some(Error::InvitationAlreadyPending),
        "invitation_organization_id_workspace_id_fkey" => Some(rpc::Error::WorkspaceNotFound.into()),
        _ => None,
    })?;
    Ok(())
}

/// Says of an address's invitation that its time is over, if it is, so that another can take its place. Nothing happened, so nothing is told.
pub(super) async fn lapse(tx: &mut Tx, email_index: &str) -> Result<(), Error> {
    let (organization_id, now) = (tx.organization_id(), tx.now());
    sqlx::query!(
        "UPDATE identity.invitation SET state = 5, version = version + 1, update_time = $3
         WHERE organization_id = $1 AND email_index = $2 AND state = 1 AND expire_time <= $3",
        organization_id as _,
        email_index,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// How many invitations of the organization wait for an answer.
pub(super) async fn count_pending(tx: &mut Tx) -> Result<i64, Error> {
    let (organization_id, now) = (tx.organization_id(), tx.now());
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM identity.invitation WHERE organization_id = $1 AND state = 1 AND expire_time > $2"#,
        organization_id as _,
        now,
    );
    Ok(count.fetch_one(tx.conn()).await?)
}

pub(crate) async fn find(tx: &mut Tx, sealed: &Sealed, id: InvitationId) -> Result<Option<Invitation>, Error> {
    let organization_id = tx.organization_id();
    let row = sqlx::query_as!(
        Row,
        r#"SELECT invitation_id AS "invitation_id: InvitationId", organization_id AS "organization_id: OrganizationId", email, role AS "role: Role",
                  workspace_id AS "workspace_id: WorkspaceId", workspace_role AS "workspace_role: Role", state AS "state: InvitationState",
                  generation, inviter_id AS "inviter_id: UserId", accepted_user_id AS "accepted_user_id: UserId", version, create_time,
                  update_time, expire_time
           FROM identity.invitation WHERE organization_id = $1 AND invitation_id = $2"#,
        organization_id as _,
        id as _,
    );
    Ok(row.fetch_optional(tx.conn()).await?.map(|row| row.open(sealed)).transpose()?)
}

/// Stores what was made of an invitation, by its state, generation and times.
pub(super) async fn update(tx: &mut Tx, invitation: &Invitation) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE identity.invitation SET state = $3, generation = $4, accepted_user_id = $5, version = $6, update_time = $7, expire_time = $8
         WHERE organization_id = $1 AND invitation_id = $2",
        invitation.organization_id as _,
        invitation.id as _,
        invitation.stored_state as _,
        invitation.generation,
        invitation.accepted_user_id as _,
        invitation.version,
        invitation.update_time,
        invitation.expire_time,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What `inviter` invited to that waits, with a role of the organization above `kept`; all of it for `None`.
pub(super) async fn pending_of(tx: &mut Tx, sealed: &Sealed, inviter: UserId, kept: Option<Role>) -> Result<Vec<Invitation>, Error> {
    let (organization_id, now) = (tx.organization_id(), tx.now());
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT invitation_id AS "invitation_id: InvitationId", organization_id AS "organization_id: OrganizationId", email, role AS "role: Role",
                  workspace_id AS "workspace_id: WorkspaceId", workspace_role AS "workspace_role: Role", state AS "state: InvitationState",
                  generation, inviter_id AS "inviter_id: UserId", accepted_user_id AS "accepted_user_id: UserId", version, create_time,
                  update_time, expire_time
           FROM identity.invitation
           WHERE organization_id = $1 AND inviter_id = $2 AND state = 1 AND expire_time > $3
             AND ($4::smallint IS NULL OR greatest(role, workspace_role) > $4)"#,
        organization_id as _,
        inviter as _,
        now,
        kept as Option<Role>,
    );
    Ok(rows.fetch_all(tx.conn()).await?.into_iter().map(|row| row.open(sealed)).collect::<Result<_, _>>()?)
}

/// A page of the organization's invitations, oldest first.
pub(super) async fn list(tx: &mut Tx, sealed: &Sealed, page: &PageRequest) -> Result<Page<Invitation>, Error> {
    let organization_id = tx.organization_id();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT invitation_id AS "invitation_id: InvitationId", organization_id AS "organization_id: OrganizationId", email, role AS "role: Role",
                  workspace_id AS "workspace_id: WorkspaceId", workspace_role AS "workspace_role: Role", state AS "state: InvitationState",
                  generation, inviter_id AS "inviter_id: UserId", accepted_user_id AS "accepted_user_id: UserId", version, create_time,
                  update_time, expire_time
           FROM identity.invitation
           WHERE organization_id = $1 AND ($2::timestamptz IS NULL OR (create_time, invitation_id) > ($2, $3))
           ORDER BY create_time, invitation_id LIMIT $4"#,
        organization_id as _,
        page.after_time(),
        page.after_id(),
        page.limit(),
    );
    let rows = rows.fetch_all(tx.conn()).await?;
    let invitations = rows.into_iter().map(|row| row.open(sealed)).collect::<Result<Vec<_>, _>>()?;
    Ok(page.finish(invitations, |invitation| Cursor::time(invitation.create_time, invitation.id.uuid())))
}

/// Deletes at most `at_most` invitations whose time was over at `time`; says how many.
pub(crate) async fn prune(tx: &mut WorkTx, time: OffsetDateTime, at_most: i64) -> Result<u64, Error> {
    let done = sqlx::query!(
        "DELETE FROM identity.invitation WHERE invitation_id IN
             (SELECT invitation_id FROM identity.invitation WHERE expire_time < $1 ORDER BY expire_time LIMIT $2)",
        time,
        at_most,
    );
    Ok(done.execute(tx.conn()).await?.rows_affected())
}
