//! SQL of workspaces.

use db::{Cursor, OnConstraint, Page, PageRequest, Tx};
use runtime::{OrganizationId, WorkspaceId};

use super::Workspace;
use crate::error::Error;

pub(super) async fn insert(tx: &mut Tx, workspace: &Workspace) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO identity.workspace (organization_id, workspace_id, slug, display_name, version, create_time, update_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        workspace.organization_id as _,
        workspace.id as _,
        workspace.slug,
        workspace.display_name,
        workspace.version,
        workspace.create_time,
        workspace.update_time,
    )
    .execute(tx.conn())
    .await
    .on_constraints(|broken| match broken {
        "workspace_organization_id_slug_key" => Some(Error::SlugTaken),
        // The call is for no organization: a system admin who entered none.
        "workspace_organization_id_fkey" => Some(rpc::Error::OrganizationNotFound.into()),
        _ => None,
    })?;
    Ok(())
}

pub(super) async fn find(tx: &mut Tx, id: WorkspaceId) -> Result<Option<Workspace>, Error> {
    let organization_id = tx.organization_id();
    let workspace = sqlx::query_as!(
        Workspace,
        r#"SELECT workspace_id AS "id: WorkspaceId", organization_id AS "organization_id: OrganizationId", slug, display_name, version,
                  create_time, update_time
           FROM identity.workspace WHERE organization_id = $1 AND workspace_id = $2"#,
        organization_id as _,
        id as _,
    );
    Ok(workspace.fetch_optional(tx.conn()).await?)
}

/// Whether there is such a workspace in the organization of the transaction.
pub(crate) async fn exists(tx: &mut Tx, id: WorkspaceId) -> Result<bool, Error> {
    let organization_id = tx.organization_id();
    let there = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM identity.workspace WHERE organization_id = $1 AND workspace_id = $2) AS "there!""#,
        organization_id as _,
        id as _,
    );
    Ok(there.fetch_one(tx.conn()).await?)
}

/// A page of the workspaces the caller reaches, oldest first.
pub(super) async fn list_reached(tx: &mut Tx, page: &PageRequest) -> Result<Page<Workspace>, Error> {
    let organization_id = tx.organization_id();
    let workspaces = sqlx::query_as!(
        Workspace,
        r#"SELECT workspace_id AS "id: WorkspaceId", organization_id AS "organization_id: OrganizationId", slug, display_name, version,
                  create_time, update_time
           FROM identity.workspace
           WHERE organization_id = $1
             AND ((SELECT identity.every_workspace()) OR workspace_id = ANY ((SELECT identity.workspaces())::uuid[]))
             AND ($2::timestamptz IS NULL OR (create_time, workspace_id) > ($2, $3))
           ORDER BY create_time, workspace_id LIMIT $4"#,
        organization_id as _,
        page.after_time(),
        page.after_id(),
        page.limit(),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(page.finish(workspaces, |workspace| Cursor::time(workspace.create_time, workspace.id.uuid())))
}
