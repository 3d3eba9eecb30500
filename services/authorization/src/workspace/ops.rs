//! Taking in that a workspace was created.

use authz::Workspace;
use contract::authorization::v1::WorkspaceAdded;
use db::Tx;
use events::Outcome;

use super::store;

/// Makes the workspace known.
///
/// # Errors
/// Those of the database.
/// # Emits
/// `WorkspaceAdded`, same transaction, the first time.
pub async fn take(tx: &mut Tx, workspace: Workspace) -> Result<(), Outcome> {
    if store::insert(tx, workspace).await? {
        tx.emit(WorkspaceAdded { workspace_id: workspace.workspace.into(), after: Some(workspace.into()) });
    }
    Ok(())
}
