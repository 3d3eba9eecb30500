//! SQL of work items. Lists are in `list`.

use db::{OnConstraint, Tx};
use runtime::WorkspaceId;
use uuid::Uuid;

use super::{DEPTH_MAX, Kind, Parent, WorkItem, WorkItemId};
use crate::error::Error;
use crate::product::ProductId;

/// Writes a new item with the next number of its product, which stays locked until the commit: that is what makes numbers gapless, and it
/// is the only statement between the lock and the commit. Gives the number and the key.
///
/// # Errors
/// `PRODUCT_NOT_FOUND`, `PARENT_NOT_FOUND`.
pub async fn insert(tx: &mut Tx, item: &WorkItem) -> Result<(i64, String), Error> {
    let row = sqlx::query!(
        r#"WITH numbered AS (
               UPDATE tasks.product SET next_number = next_number + 1 WHERE organization_id = $1 AND workspace_id = $2 AND product_id = $3
               RETURNING key, next_number - 1 AS number)
           INSERT INTO tasks.work_item (organization_id, workspace_id, product_id, work_item_id, number, key, parent_id, type, title, description,
                                        state, priority, effort, assignee_ids, reporter_id, labels, due_time, version, create_time, update_time)
           SELECT $1, $2, $3, $4, numbered.number, numbered.key || '-' || numbered.number, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
                  $17, $18
           FROM numbered
           RETURNING number, key"#,
        item.organization_id as _,
        item.workspace_id as _,
        item.product_id as _,
        item.work_item_id as _,
        item.parent_id as _,
        item.r#type as _,
        item.title,
        item.description,
        item.state as _,
        item.priority as _,
        item.effort as _,
        &item.assignee_ids as _,
        item.reporter_id as _,
        &item.labels,
        item.due_time,
        item.version,
        item.create_time,
        item.update_time,
    )
    .fetch_optional(tx.conn())
    .await
    .on_constraint("work_item_parent_fkey", || Error::ParentNotFound)?
    .ok_or(Error::ProductNotFound)?;
    Ok((row.number, row.key))
}

/// One item of a workspace, also a deleted one.
pub async fn get(tx: &mut Tx, workspace_id: WorkspaceId, id: WorkItemId) -> db::Result<Option<WorkItem>> {
    let organization_id = tx.organization_id();
    let item = sqlx::query_as!(
        WorkItem,
        r#"SELECT organization_id AS "organization_id: _", workspace_id AS "workspace_id: _", product_id AS "product_id: _",
                  work_item_id AS "work_item_id: _", number, key, parent_id AS "parent_id: _", type AS "type: _", title, description,
                  state AS "state: _", priority AS "priority: _", effort AS "effort: _", assignee_ids AS "assignee_ids: _",
                  reporter_id AS "reporter_id: _", labels, due_time, version, create_time, update_time, delete_time
           FROM tasks.work_item WHERE organization_id = $1 AND workspace_id = $2 AND work_item_id = $3"#,
        organization_id as _,
        workspace_id as _,
        id as _,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(item)
}

/// Some items of a workspace, also deleted ones, locked until the transaction ends; in no order.
pub async fn lock(tx: &mut Tx, workspace_id: WorkspaceId, ids: &[WorkItemId]) -> db::Result<Vec<WorkItem>> {
    let organization_id = tx.organization_id();
    // In the order of their ids, so that two transactions never wait for each other.
    let items = sqlx::query_as!(
        WorkItem,
        r#"SELECT organization_id AS "organization_id: _", workspace_id AS "workspace_id: _", product_id AS "product_id: _",
                  work_item_id AS "work_item_id: _", number, key, parent_id AS "parent_id: _", type AS "type: _", title, description,
                  state AS "state: _", priority AS "priority: _", effort AS "effort: _", assignee_ids AS "assignee_ids: _",
                  reporter_id AS "reporter_id: _", labels, due_time, version, create_time, update_time, delete_time
           FROM tasks.work_item WHERE organization_id = $1 AND workspace_id = $2 AND work_item_id = ANY ($3)
           ORDER BY work_item_id FOR NO KEY UPDATE"#,
        organization_id as _,
        workspace_id as _,
        ids as _,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(items)
}

/// Writes what may change of an item that this transaction has locked.
///
/// # Errors
/// `PARENT_NOT_FOUND`.
pub async fn update(tx: &mut Tx, item: &WorkItem) -> Result<(), Error> {
    sqlx::query!(
        "UPDATE tasks.work_item SET parent_id = $3, type = $4, title = $5, description = $6, state = $7, priority = $8, effort = $9,
                assignee_ids = $10, labels = $11, due_time = $12, version = $13, update_time = $14
         WHERE organization_id = $1 AND work_item_id = $2",
        item.organization_id as _,
        item.work_item_id as _,
        item.parent_id as _,
        item.r#type as _,
        item.title,
        item.description,
        item.state as _,
        item.priority as _,
        item.effort as _,
        &item.assignee_ids as _,
        &item.labels,
        item.due_time,
        item.version,
        item.update_time,
    )
    .execute(tx.conn())
    .await
    .on_constraint("work_item_parent_fkey", || Error::ParentNotFound)?;
    Ok(())
}

/// Writes whether an item that this transaction has locked is deleted. It is no longer of the plan it came from.
pub async fn update_deleted(tx: &mut Tx, item: &WorkItem) -> db::Result<()> {
    sqlx::query!(
        "UPDATE tasks.work_item SET delete_time = $3, version = $4, update_time = $5, import_document = NULL, import_key = NULL,
                import_sha256 = NULL, import_checked = NULL
         WHERE organization_id = $1 AND work_item_id = $2",
        item.organization_id as _,
        item.work_item_id as _,
        item.delete_time,
        item.version,
        item.update_time,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The item `id` of a product as a parent, and every item above it; `None` when it does not exist there or is deleted. The product must be
/// locked, or the answer may be out of date when it is used.
pub async fn parent(tx: &mut Tx, product_id: ProductId, id: WorkItemId) -> db::Result<Option<(Parent, Vec<WorkItemId>)>> {
    let organization_id = tx.organization_id();
    let rows = sqlx::query!(
        r#"WITH RECURSIVE above AS (
               SELECT work_item_id, parent_id, type, 1 AS height FROM tasks.work_item
               WHERE organization_id = $1 AND product_id = $2 AND work_item_id = $3 AND delete_time IS NULL
               UNION ALL
               SELECT item.work_item_id, item.parent_id, item.type, above.height + 1 FROM above
               JOIN tasks.work_item item ON item.organization_id = $1 AND item.product_id = $2 AND item.work_item_id = above.parent_id
               WHERE above.height <= $4)
           SELECT work_item_id AS "work_item_id!: WorkItemId", type AS "type!: Kind" FROM above ORDER BY height"#,
        organization_id as _,
        product_id as _,
        id as _,
        i32::try_from(DEPTH_MAX).unwrap_or(i32::MAX),
    )
    .fetch_all(tx.conn())
    .await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let parent = Parent { r#type: first.r#type, depth: rows.len() };
    Ok(Some((parent, rows.into_iter().map(|row| row.work_item_id).collect())))
}

/// How high the tree under an item is (1 without children), and the kinds of its children. Deleted items count: they may come back. The
/// product must be locked.
pub async fn tree(tx: &mut Tx, product_id: ProductId, id: WorkItemId) -> db::Result<(usize, Vec<Kind>)> {
    let organization_id = tx.organization_id();
    let row = sqlx::query!(
        r#"WITH RECURSIVE below AS (
               SELECT $3::uuid AS work_item_id, 0::smallint AS type, 1 AS height
               UNION ALL
               SELECT item.work_item_id, item.type, below.height + 1 FROM below
               JOIN tasks.work_item item ON item.organization_id = $1 AND item.product_id = $2 AND item.parent_id = below.work_item_id
               WHERE below.height <= $4)
           SELECT max(height) AS "height!", coalesce(array_agg(DISTINCT type) FILTER (WHERE height = 2), '{}') AS "kinds!: Vec<Kind>" FROM below"#,
        organization_id as _,
        product_id as _,
        Uuid::from(id),
        i32::try_from(DEPTH_MAX).unwrap_or(i32::MAX),
    )
    .fetch_one(tx.conn())
    .await?;
    Ok((usize::try_from(row.height).unwrap_or(usize::MAX), row.kinds))
}
