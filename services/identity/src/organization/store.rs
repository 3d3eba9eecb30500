//! SQL of organizations. The table's floor shows the one of the call, and those the caller is a member of.

use db::{Cursor, OnConstraint, Page, PageRequest, Tx};
use runtime::OrganizationId;

use super::Organization;
use crate::error::Error;

pub(super) async fn insert(tx: &mut Tx, organization: &Organization) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO identity.organization (organization_id, slug, display_name, version, create_time, update_time) VALUES ($1, $2, $3, $4, $5, $6)",
        organization.id as _,
        organization.slug,
        organization.display_name,
        organization.version,
        organization.create_time,
        organization.update_time,
    )
    .execute(tx.conn())
    .await
    .on_constraints(|broken| match broken {
        "organization_slug_key" => Some(Error::SlugTaken),
        // The id is derived from the request id, whose stored answer is forgotten after a day; the organization is not.
        "organization_pkey" => Some(Error::Db(db::Error::RequestIdReused)),
        _ => None,
    })?;
    Ok(())
}

pub(crate) async fn find(tx: &mut Tx, id: OrganizationId) -> Result<Option<Organization>, Error> {
    let organization = sqlx::query_as!(
        Organization,
        r#"SELECT organization_id AS "id: OrganizationId", slug, display_name, version, create_time, update_time
           FROM identity.organization WHERE organization_id = $1"#,
        id as _,
    );
    Ok(organization.fetch_optional(tx.conn()).await?)
}

/// Whether there is such an organization, in a transaction for it.
pub(crate) async fn exists(tx: &mut Tx, id: OrganizationId) -> Result<bool, Error> {
    let there = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM identity.organization WHERE organization_id = $1) AS "there!""#, id as _);
    Ok(there.fetch_one(tx.conn()).await?)
}

/// A page of the organizations the caller is a member of, oldest first.
pub(super) async fn list_mine(tx: &mut Tx, page: &PageRequest) -> Result<Page<Organization>, Error> {
    let organizations = sqlx::query_as!(
        Organization,
        r#"SELECT organization_id AS "id: OrganizationId", slug, display_name, version, create_time, update_time
           FROM identity.organization
           WHERE organization_id IN (SELECT m.organization_id FROM identity.my_memberships() m WHERE m.workspace_id IS NULL)
             AND ($1::timestamptz IS NULL OR (create_time, organization_id) > ($1, $2))
           ORDER BY create_time, organization_id LIMIT $3"#,
        page.after_time(),
        page.after_id(),
        page.limit(),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(page.finish(organizations, |organization| Cursor::time(organization.create_time, organization.id.uuid())))
}
