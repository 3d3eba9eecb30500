//! Use cases of workspaces.

use std::time::Duration;

use db::{Db, Kind, Order, Page, Tx};
use rpc::Caller;

use super::{Workspace, store};
use crate::error::Error;
use crate::events;

/// Oldest first.
const ORDER: Order = Order::asc("create_time", Kind::Time, "workspace_id");

/// Workspaces.
#[derive(Clone)]
pub struct Ops {
    /// The service's tables.
    pub db: Db,
    /// How long a creation waits for the workspace to be known to the authorizer.
    pub propagation_wait: Duration,
}

impl Ops {
    /// Creates a workspace in the organization of the call.
    ///
    /// # Errors
    /// `SLUG_TAKEN`; `ORGANIZATION_NOT_FOUND` for a system admin who entered none.
    /// # Emits
    /// `WorkspaceCreated`, same transaction.
    pub async fn create(&self, caller: &Caller, slug: String, display_name: String) -> Result<Workspace, Error> {
        let workspace = self
            .db
            .write(caller, async |tx: &mut Tx| {
                let (id, organization_id, now) = (self.db.ids().next_id(), tx.organization_id(), tx.now());
                let workspace = Workspace { id, organization_id, slug, display_name, version: 1, create_time: now, update_time: now };
                store::insert(tx, &workspace).await?;
                tx.emit(events::workspace_created(&workspace));
                Ok::<_, Error>(workspace)
            })
            .await?;
        // A workspace that the authorizer does not know yet is NOT_FOUND to the next call; so it waits a moment here.
        let at_most = self.propagation_wait.min(caller.deadline().remaining() / 2);
        caller.authorizer().wait_for_workspace(workspace.organization_id, workspace.id, at_most).await;
        Ok(workspace)
    }

    /// The workspace that the request names.
    ///
    /// # Errors
    /// `WORKSPACE_NOT_FOUND`.
    pub async fn get(&self, caller: &Caller) -> Result<Workspace, Error> {
        let id = caller.workspace_id().ok_or(rpc::Error::WorkspaceNotFound)?;
        let workspace = self.db.read(caller, async |tx: &mut Tx| store::find(tx, id).await).await?;
        workspace.ok_or_else(|| rpc::Error::WorkspaceNotFound.into())
    }

    /// A page of the workspaces the caller reaches, oldest first.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID`.
    pub async fn list(&self, caller: &Caller, page_size: i32, page_token: &str) -> Result<Page<Workspace>, Error> {
        let page = self.db.page(caller, page_size, page_token, ORDER, &[])?;
        self.db.read(caller, async |tx: &mut Tx| store::list_reached(tx, &page).await).await
    }
}
