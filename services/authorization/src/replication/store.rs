//! SQL of the snapshot.

use authz::{Assignment, Workspace};
use contract::authorization::v1::GetSnapshotResponse;
use db::WorkTx;
use futures::TryStreamExt;
use runtime::{OrganizationId, UserId, WorkspaceId};
use tokio::sync::mpsc::Sender;

use crate::Error;
use crate::assignment::store::{role, scope};

/// Sends everything to `chunks`, `chunk_size` entries each, the last one marked. Runs as the worker role: a snapshot spans organizations.
///
/// One statement, so that entries and position are of one moment whatever is committed meanwhile. Roles that were taken away are sent too: their
/// versions tell a late event from a new one.
///
/// # Errors
/// Those of the database. A reader that has gone is none.
pub async fn snapshot(tx: &mut WorkTx, chunk_size: usize, chunks: &Sender<GetSnapshotResponse>) -> Result<(), Error> {
    let mut rows = sqlx::query!(
        r#"SELECT head.position, entry.user_id AS "user_id: UserId", entry.organization_id AS "organization_id?: OrganizationId",
                  entry.workspace_id AS "workspace_id?: WorkspaceId", entry.role, entry.source_version AS "source_version?"
           FROM authz.event_head AS head
           LEFT JOIN (SELECT user_id, organization_id, workspace_id, role, source_version FROM authz.assignment
                      UNION ALL
                      SELECT NULL, organization_id, workspace_id, NULL, NULL FROM authz.workspace) AS entry ON true"#
    )
    .fetch(tx.conn());
    let mut chunk = GetSnapshotResponse::default();
    while let Some(row) = rows.try_next().await.map_err(db::Error::from)? {
        chunk.position = row.position;
        if chunk.assignments.len() + chunk.workspaces.len() == chunk_size {
            let next = GetSnapshotResponse { position: row.position, ..GetSnapshotResponse::default() };
            if chunks.send(std::mem::replace(&mut chunk, next)).await.is_err() {
                return Ok(());
            }
        }
        let (Some(organization), Some(workspace)) = (row.organization_id, row.workspace_id) else { continue };
        match row.user_id {
            None => chunk.workspaces.push(Workspace { organization, workspace }.into()),
            Some(user) => {
                let version = row.source_version.unwrap_or_default();
                chunk.assignments.push(Assignment { user, scope: scope(organization, workspace), role: role(row.role), version }.into());
            }
        }
    }
    chunk.last = true;
    // A reader that has gone needs no last chunk.
    let _ = chunks.send(chunk).await;
    Ok(())
}
