//! SQL of products.

use db::{Cursor, OnConstraint, Page, PageRequest, Tx};
use runtime::WorkspaceId;

use super::{Product, ProductId};
use crate::error::Error;

/// Writes a new product.
///
/// # Errors
/// `PRODUCT_KEY_TAKEN`.
pub async fn insert(tx: &mut Tx, product: &Product) -> Result<(), Error> {
    sqlx::query!(
        "INSERT INTO tasks.product (organization_id, workspace_id, product_id, key, display_name, version, create_time, update_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        product.organization_id as _,
        product.workspace_id as _,
        product.product_id as _,
        product.key,
        product.display_name,
        product.version,
        product.create_time,
        product.update_time,
    )
    .execute(tx.conn())
    .await
    .on_constraint("product_organization_id_workspace_id_key_key", || Error::ProductKeyTaken)?;
    Ok(())
}

/// One product of a workspace.
pub async fn get(tx: &mut Tx, workspace_id: WorkspaceId, product_id: ProductId) -> db::Result<Option<Product>> {
    let organization_id = tx.organization_id();
    let product = sqlx::query_as!(
        Product,
        r#"SELECT organization_id AS "organization_id: _", workspace_id AS "workspace_id: _", product_id AS "product_id: _", key, display_name,
                  version, create_time, update_time
           FROM tasks.product WHERE organization_id = $1 AND workspace_id = $2 AND product_id = $3"#,
        organization_id as _,
        workspace_id as _,
        product_id as _,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(product)
}

/// A page of a workspace's products, oldest first.
pub async fn list(tx: &mut Tx, workspace_id: WorkspaceId, page: &PageRequest) -> db::Result<Page<Product>> {
    let organization_id = tx.organization_id();
    let rows = sqlx::query_as!(
        Product,
        r#"SELECT organization_id AS "organization_id: _", workspace_id AS "workspace_id: _", product_id AS "product_id: _", key, display_name,
                  version, create_time, update_time
           FROM tasks.product
           WHERE organization_id = $1 AND workspace_id = $2 AND ($3::timestamptz IS NULL OR (create_time, product_id) > ($3, $4))
           ORDER BY create_time, product_id LIMIT $5"#,
        organization_id as _,
        workspace_id as _,
        page.after_time(),
        page.after_id(),
        page.limit(),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(page.finish(rows, |product| Cursor::time(product.create_time, product.product_id)))
}

/// Locks the product until the transaction ends, and with it the numbers and the tree of its items; gives its key. It waits for whoever
/// takes a number.
pub async fn lock(tx: &mut Tx, workspace_id: WorkspaceId, product_id: ProductId) -> db::Result<Option<String>> {
    let organization_id = tx.organization_id();
    let key = sqlx::query_scalar!(
        "SELECT key FROM tasks.product WHERE organization_id = $1 AND workspace_id = $2 AND product_id = $3 FOR NO KEY UPDATE",
        organization_id as _,
        workspace_id as _,
        product_id as _,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(key)
}

/// Takes the next `count` numbers of a product that this transaction has locked; gives the first.
pub async fn take_numbers(tx: &mut Tx, product_id: ProductId, count: i64) -> db::Result<i64> {
    let organization_id = tx.organization_id();
    let first = sqlx::query_scalar!(
        r#"UPDATE tasks.product SET next_number = next_number + $3 WHERE organization_id = $1 AND product_id = $2
           RETURNING next_number - $3 AS "first!""#,
        organization_id as _,
        product_id as _,
        count,
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(first)
}
