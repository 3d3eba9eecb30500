//! SQL of the whole list.

use contract::BaseRole;
use contract::identity::v1::{ListMembershipsResponse, Membership, WorkspacePlace};
use db::WorkTx;
use futures::TryStreamExt;
use tokio::sync::mpsc::Sender;
use uuid::Uuid;

use crate::error::Error;

/// Sends everything to `pages`, `size` entries each, the last one marked. Runs as the worker role: the list spans organizations.
///
/// One statement, so that entries and position are of one moment. It may hold effects of events that have no position yet; those come after it
/// and change nothing.
///
/// # Errors
/// Those of the database. A reader that has gone is none.
pub(super) async fn list(tx: &mut WorkTx, size: usize, pages: &Sender<ListMembershipsResponse>) -> Result<(), Error> {
    let mut rows = sqlx::query!(
        r#"SELECT head.position, entry.user_id AS "user_id?", entry.organization_id AS "organization_id?",
                  entry.workspace_id AS "workspace_id?", entry.role, entry.version AS "version?"
           FROM identity.event_head AS head
           LEFT JOIN (SELECT organization_id, NULL::uuid AS workspace_id, user_id, role, version FROM identity.organization_member
                      UNION ALL
                      SELECT organization_id, workspace_id, user_id, role, version FROM identity.workspace_member
                      UNION ALL
                      SELECT organization_id, workspace_id, NULL, NULL, 0 FROM identity.workspace
                      UNION ALL
                      SELECT NULL, NULL, user_id, 4, 0 FROM identity.user_account WHERE system_role = 2) AS entry ON true"#
    )
    .fetch(tx.conn());
    let mut page = ListMembershipsResponse::default();
    while let Some(row) = rows.try_next().await.map_err(db::Error::from)? {
        page.position = row.position;
        if page.memberships.len() + page.workspaces.len() == size {
            let next = ListMembershipsResponse { position: row.position, ..ListMembershipsResponse::default() };
            if pages.send(std::mem::replace(&mut page, next)).await.is_err() {
                return Ok(());
            }
        }
        let (organization_id, workspace_id) = (text(row.organization_id), text(row.workspace_id));
        match (row.user_id, row.role) {
            (Some(user_id), Some(role)) => {
                let role = BaseRole::try_from(role).unwrap_or_default().into();
                let (user_id, version) = (user_id.to_string(), row.version.unwrap_or_default());
                page.memberships.push(Membership { user_id, organization_id, workspace_id, role, version });
            }
            (None, None) if !workspace_id.is_empty() => page.workspaces.push(WorkspacePlace { organization_id, workspace_id }),
            _ => {}
        }
    }
    page.last = true;
    // A reader that has gone needs no last page.
    let _ = pages.send(page).await;
    Ok(())
}

fn text(id: Option<Uuid>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}
