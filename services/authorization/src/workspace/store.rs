//! SQL of workspaces.

use authz::Workspace;
use db::Tx;

/// Writes a workspace; false when it is known.
pub async fn insert(tx: &mut Tx, workspace: Workspace) -> db::Result<bool> {
    let now = tx.now();
    let done = sqlx::query!(
        "INSERT INTO authz.workspace (organization_id, workspace_id, create_time) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        workspace.organization as _,
        workspace.workspace as _,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}
