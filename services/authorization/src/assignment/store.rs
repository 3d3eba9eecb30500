//! SQL of assignments.

use authz::RoleScope;
use contract::BaseRole;
use db::{Tx, WorkTx};
use runtime::{OrganizationId, UserId, WorkspaceId};

use super::Assignment;

/// The row of a user at a scope, locked until the transaction ends.
pub async fn lock(tx: &mut Tx, user_id: UserId, scope: RoleScope) -> db::Result<Option<Assignment>> {
    let sought = Assignment { user_id, scope, role: None, source_version: 0, source_position: 0 };
    let row = sqlx::query!(
        "SELECT role, source_version, source_position FROM authz.assignment
         WHERE organization_id = $1 AND user_id = $2 AND workspace_id = $3 FOR UPDATE",
        sought.organization_id() as _,
        user_id as _,
        sought.workspace_id() as _,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Assignment {
        role: role(row.role),
        source_version: row.source_version,
        source_position: row.source_position,
        ..sought
    }))
}

/// Every row there is. Runs as the worker role: it spans organizations.
pub(super) async fn all(tx: &mut WorkTx) -> db::Result<Vec<Assignment>> {
    let rows = sqlx::query!(
        r#"SELECT organization_id AS "organization_id: OrganizationId", user_id AS "user_id: UserId", workspace_id AS "workspace_id: WorkspaceId",
                  role, source_version, source_position
           FROM authz.assignment"#
    );
    let row = rows.map(|row| Assignment {
        user_id: row.user_id,
        scope: scope(row.organization_id, row.workspace_id),
        role: role(row.role),
        source_version: row.source_version,
        source_position: row.source_position,
    });
    Ok(row.fetch_all(tx.conn()).await?)
}

/// Writes the first row of a user at a scope; false when another transaction was first.
pub async fn insert(tx: &mut Tx, assignment: &Assignment) -> db::Result<bool> {
    let now = tx.now();
    let done = sqlx::query!(
        "INSERT INTO authz.assignment (organization_id, user_id, workspace_id, role, source_version, source_position, update_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        assignment.organization_id() as _,
        assignment.user_id as _,
        assignment.workspace_id() as _,
        assignment.role.map(number),
        assignment.source_version,
        assignment.source_position,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Replaces a row that this transaction has locked.
pub async fn update(tx: &mut Tx, assignment: &Assignment) -> db::Result<()> {
    let now = tx.now();
    sqlx::query!(
        "UPDATE authz.assignment SET role = $4, source_version = $5, source_position = $6, update_time = $7
         WHERE organization_id = $1 AND user_id = $2 AND workspace_id = $3",
        assignment.organization_id() as _,
        assignment.user_id as _,
        assignment.workspace_id() as _,
        assignment.role.map(number),
        assignment.source_version,
        assignment.source_position,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Where a row's role is held: nil ids stand for the wider scopes.
pub fn scope(organization: OrganizationId, workspace: WorkspaceId) -> RoleScope {
    if organization.is_nil() {
        RoleScope::System
    } else if workspace.is_nil() {
        RoleScope::Organization(organization)
    } else {
        RoleScope::Workspace(organization, workspace)
    }
}

/// The role that a row's number stands for; none for a number that this version doesn't know.
pub fn role(number: Option<i16>) -> Option<BaseRole> {
    let role = BaseRole::try_from(i32::from(number?)).ok()?;
    Some(role).filter(|role| *role != BaseRole::Unspecified)
}

fn number(role: BaseRole) -> i16 {
    role as i16
}
