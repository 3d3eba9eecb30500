//! SQL of members. Each use case holds the organization's row, so that counting owners and the next version are true until it commits.

use db::{Cursor, OnConstraint, Page, PageRequest, Tx};
use runtime::{OrganizationId, UserId, WorkspaceId};

use super::{Member, Place, Role};
use crate::error::Error;

/// Stands for the organization itself where a key may not be NULL.
const ITSELF: WorkspaceId = WorkspaceId::NIL;

/// One change of members at a time in an organization, to the end of the transaction. It does not hold up rows that refer to the
/// organization (FOR NO KEY UPDATE).
pub(crate) async fn lock_organization(tx: &mut Tx) -> Result<(), Error> {
    let id = tx.organization_id();
    let held = sqlx::query_scalar!("SELECT true FROM identity.organization WHERE organization_id = $1 FOR NO KEY UPDATE", id as _);
    held.fetch_optional(tx.conn()).await?.flatten().map(|_| ()).ok_or_else(|| rpc::Error::OrganizationNotFound.into())
}

pub(crate) async fn find(tx: &mut Tx, place: Place, user_id: UserId) -> Result<Option<Member>, Error> {
    let organization_id = tx.organization_id();
    match place {
        Place::Organization => {
            let member = sqlx::query_as!(
                Member,
                r#"SELECT organization_id AS "organization_id: OrganizationId", NULL::uuid AS "workspace_id: WorkspaceId", user_id AS "user_id: UserId",
                          role AS "role: Role", version, create_time, update_time
                   FROM identity.organization_member WHERE organization_id = $1 AND user_id = $2"#,
                organization_id as _,
                user_id as _,
            );
            Ok(member.fetch_optional(tx.conn()).await?)
        }
        Place::Workspace(workspace_id) => {
            let member = sqlx::query_as!(
                Member,
                r#"SELECT organization_id AS "organization_id: OrganizationId", workspace_id AS "workspace_id: WorkspaceId", user_id AS "user_id: UserId",
                          role AS "role: Role", version, create_time, update_time
                   FROM identity.workspace_member WHERE organization_id = $1 AND workspace_id = $2 AND user_id = $3"#,
                organization_id as _,
                workspace_id as _,
                user_id as _,
            );
            Ok(member.fetch_optional(tx.conn()).await?)
        }
    }
}

/// Where a user is a member in the organization's workspaces.
pub(super) async fn in_workspaces(tx: &mut Tx, user_id: UserId) -> Result<Vec<Member>, Error> {
    let organization_id = tx.organization_id();
    let members = sqlx::query_as!(
        Member,
        r#"SELECT organization_id AS "organization_id: OrganizationId", workspace_id AS "workspace_id: WorkspaceId", user_id AS "user_id: UserId",
                  role AS "role: Role", version, create_time, update_time
           FROM identity.workspace_member WHERE organization_id = $1 AND user_id = $2 ORDER BY workspace_id"#,
        organization_id as _,
        user_id as _,
    );
    Ok(members.fetch_all(tx.conn()).await?)
}

/// How many owners the organization has.
pub(super) async fn count_owners(tx: &mut Tx) -> Result<i64, Error> {
    let id = tx.organization_id();
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM identity.organization_member WHERE organization_id = $1 AND role = 4"#,
        id as _,
    );
    Ok(count.fetch_one(tx.conn()).await?)
}

/// The version a new member begins with: 1, or the one after the removal.
pub(super) async fn next_version(tx: &mut Tx, place: Place, user_id: UserId) -> Result<i64, Error> {
    let (organization_id, workspace_id) = (tx.organization_id(), place.workspace_id().unwrap_or(ITSELF));
    let removed = sqlx::query_scalar!(
        "SELECT version FROM identity.removed_member WHERE organization_id = $1 AND workspace_id = $2 AND user_id = $3",
        organization_id as _,
        workspace_id as _,
        user_id as _,
    );
    Ok(removed.fetch_optional(tx.conn()).await?.unwrap_or(0) + 1)
}

pub(crate) async fn insert(tx: &mut Tx, member: &Member) -> Result<(), Error> {
    let done = match member.workspace_id {
        None => {
            sqlx::query!(
                "INSERT INTO identity.organization_member (organization_id, user_id, role, version, create_time, update_time)
                 VALUES ($1, $2, $3, $4, $5, $6)",
                member.organization_id as _,
                member.user_id as _,
                member.role as _,
                member.version,
                member.create_time,
                member.update_time,
            )
            .execute(tx.conn())
            .await
        }
        Some(workspace_id) => {
            sqlx::query!(
                "INSERT INTO identity.workspace_member (organization_id, workspace_id, user_id, role, version, create_time, update_time)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
                member.organization_id as _,
                workspace_id as _,
                member.user_id as _,
                member.role as _,
                member.version,
                member.create_time,
                member.update_time,
            )
            .execute(tx.conn())
            .await
        }
    };
    done.on_constraints(|broken| match broken {
        "organization_member_pkey" | "workspace_member_pkey" => Some(Error::MemberAlreadyExists),
        "workspace_member_organization_id_user_id_fkey" => Some(Error::NotOrganizationMember),
        "workspace_member_organization_id_workspace_id_fkey" => Some(rpc::Error::WorkspaceNotFound.into()),
        _ => None,
    })?;
    Ok(())
}

/// Stores what [`Member::with_role`] made of a member.
pub(super) async fn update(tx: &mut Tx, member: &Member) -> Result<(), Error> {
    match member.workspace_id {
        None => sqlx::query!(
            "UPDATE identity.organization_member SET role = $3, version = $4, update_time = $5 WHERE organization_id = $1 AND user_id = $2",
            member.organization_id as _,
            member.user_id as _,
            member.role as _,
            member.version,
            member.update_time,
        )
        .execute(tx.conn())
        .await?,
        Some(workspace_id) => {
            sqlx::query!(
                "UPDATE identity.workspace_member SET role = $4, version = $5, update_time = $6
                 WHERE organization_id = $1 AND workspace_id = $2 AND user_id = $3",
                member.organization_id as _,
                workspace_id as _,
                member.user_id as _,
                member.role as _,
                member.version,
                member.update_time,
            )
            .execute(tx.conn())
            .await?
        }
    };
    Ok(())
}

/// Removes a member and keeps the version that the removal counts as.
pub(super) async fn delete(tx: &mut Tx, member: &Member) -> Result<(), Error> {
    let workspace_id = member.workspace_id.unwrap_or(ITSELF);
    sqlx::query!(
        "INSERT INTO identity.removed_member (organization_id, workspace_id, user_id, version) VALUES ($1, $2, $3, $4)
         ON CONFLICT (organization_id, workspace_id, user_id) DO UPDATE SET version = excluded.version",
        member.organization_id as _,
        workspace_id as _,
        member.user_id as _,
        member.version + 1,
    )
    .execute(tx.conn())
    .await?;
    match member.place() {
        Place::Organization => {
            sqlx::query!(
                "DELETE FROM identity.organization_member WHERE organization_id = $1 AND user_id = $2",
                member.organization_id as _,
                member.user_id as _,
            )
            .execute(tx.conn())
            .await?
        }
        Place::Workspace(workspace_id) => {
            sqlx::query!(
                "DELETE FROM identity.workspace_member WHERE organization_id = $1 AND workspace_id = $2 AND user_id = $3",
                member.organization_id as _,
                workspace_id as _,
                member.user_id as _,
            )
            .execute(tx.conn())
            .await?
        }
    };
    Ok(())
}

/// A page of the members of a place, oldest first.
pub(super) async fn list(tx: &mut Tx, place: Place, page: &PageRequest) -> Result<Page<Member>, Error> {
    let organization_id = tx.organization_id();
    let members = match place {
        Place::Organization => {
            sqlx::query_as!(
                Member,
                r#"SELECT organization_id AS "organization_id: OrganizationId", NULL::uuid AS "workspace_id: WorkspaceId", user_id AS "user_id: UserId",
                          role AS "role: Role", version, create_time, update_time
                   FROM identity.organization_member
                   WHERE organization_id = $1 AND ($2::timestamptz IS NULL OR (create_time, user_id) > ($2, $3))
                   ORDER BY create_time, user_id LIMIT $4"#,
                organization_id as _,
                page.after_time(),
                page.after_id(),
                page.limit(),
            )
            .fetch_all(tx.conn())
            .await?
        }
        Place::Workspace(workspace_id) => {
            sqlx::query_as!(
                Member,
                r#"SELECT organization_id AS "organization_id: OrganizationId", workspace_id AS "workspace_id: WorkspaceId", user_id AS "user_id: UserId",
                          role AS "role: Role", version, create_time, update_time
                   FROM identity.workspace_member
                   WHERE organization_id = $1 AND workspace_id = $2 AND ($3::timestamptz IS NULL OR (create_time, user_id) > ($3, $4))
                   ORDER BY create_time, user_id LIMIT $5"#,
                organization_id as _,
                workspace_id as _,
                page.after_time(),
                page.after_id(),
                page.limit(),
            )
            .fetch_all(tx.conn())
            .await?
        }
    };
    Ok(page.finish(members, |member| Cursor::time(member.create_time, member.user_id.uuid())))
}
