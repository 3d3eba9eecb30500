//! SQL of inboxes. A person's inbox shows items of the organization of the token, and those of none.

use db::{Column, Cursor, Filter, Kind, Page, PageRequest, Tx, WorkTx};
use runtime::{OrganizationId, UserId};
use sqlx::{Postgres, QueryBuilder};
use time::OffsetDateTime;

use super::{InboxItem, InboxItemId};
use crate::category;

/// What a filter may name.
pub(crate) static COLUMNS: &[Column] = &[
    Column::new("category", "category", Kind::Enum(category::NAMES)),
    Column::new("organization_id", "organization_id", Kind::Uuid),
    Column::new("workspace_id", "workspace_id", Kind::Uuid),
    Column::new("resource_type", "resource_type", Kind::Text),
    Column::new("resource_id", "resource_id", Kind::Text),
    Column::new("create_time", "create_time", Kind::Time),
    Column::new("read_time", "read_time", Kind::Time),
];

/// Where counting ends.
const COUNT_MAX: i64 = 1_000;

/// Writes an item; false when the person was told of the event before.
pub(crate) async fn insert(tx: &mut Tx, item: &InboxItem) -> db::Result<bool> {
    let written = sqlx::query!(
        "INSERT INTO notifications.inbox_item (organization_id, inbox_item_id, user_id, event_id, category, title, text, workspace_id,
                                               resource_type, resource_id, create_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (event_id, user_id) DO NOTHING",
        item.organization_id as _,
        item.inbox_item_id as _,
        item.user_id as _,
        item.event_id,
        item.category as _,
        item.title,
        item.text,
        item.workspace_id as _,
        item.resource_type,
        item.resource_id,
        item.create_time,
    )
    .execute(tx.conn())
    .await?;
    Ok(written.rows_affected() == 1)
}

/// One item of a person, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, user_id: UserId, id: InboxItemId) -> db::Result<Option<InboxItem>> {
    let here = here(tx);
    let item = sqlx::query_as!(
        InboxItem,
        r#"SELECT organization_id AS "organization_id: _", inbox_item_id AS "inbox_item_id: _", user_id AS "user_id: _", event_id,
                  category AS "category: _", title, text, workspace_id AS "workspace_id: _", resource_type, resource_id, create_time,
                  read_time, archive_time
           FROM notifications.inbox_item WHERE user_id = $1 AND inbox_item_id = $2 AND organization_id = ANY ($3)
           FOR NO KEY UPDATE"#,
        user_id as _,
        id as _,
        &here as _,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(item)
}

/// Writes what may change of an item that this transaction has locked.
pub(crate) async fn update(tx: &mut Tx, item: &InboxItem) -> db::Result<()> {
    sqlx::query!(
        "UPDATE notifications.inbox_item SET read_time = $3, archive_time = $4 WHERE user_id = $1 AND inbox_item_id = $2",
        item.user_id as _,
        item.inbox_item_id as _,
        item.read_time,
        item.archive_time,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Marks all of a person's unread items as read; answers how many it were.
pub(crate) async fn read_all(tx: &mut Tx, user_id: UserId) -> db::Result<u64> {
    let (here, now) = (here(tx), tx.now());
    let read = sqlx::query!(
        "UPDATE notifications.inbox_item SET read_time = $3
         WHERE user_id = $1 AND organization_id = ANY ($2) AND read_time IS NULL AND archive_time IS NULL",
        user_id as _,
        &here as _,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(read.rows_affected())
}

/// How many items of a person are neither read nor put away, up to [`COUNT_MAX`].
pub(crate) async fn unread_count(tx: &mut Tx, user_id: UserId) -> db::Result<i64> {
    let here = here(tx);
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM (
               SELECT FROM notifications.inbox_item
               WHERE user_id = $1 AND organization_id = ANY ($2) AND read_time IS NULL AND archive_time IS NULL LIMIT $3) AS unread"#,
        user_id as _,
        &here as _,
        COUNT_MAX,
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(count)
}

/// A page of a person's items that `filter` lets through, newest first.
pub(crate) async fn list(
    tx: &mut Tx,
    user_id: UserId,
    filter: &Filter,
    show_archived: bool,
    page: &PageRequest,
) -> db::Result<Page<InboxItem>> {
    let mut query = QueryBuilder::<Postgres>::new(
        "SELECT organization_id, inbox_item_id, user_id, event_id, category, title, text, workspace_id, resource_type, resource_id,
                create_time, read_time, archive_time
         FROM notifications.inbox_item WHERE user_id = ",
    );
    query.push_bind(user_id).push(" AND organization_id = ANY (").push_bind(here(tx)).push(")");
    if !show_archived {
        query.push(" AND archive_time IS NULL");
    }
    filter.push(&mut query);
    page.push(&mut query);
    let rows = query.build_query_as::<InboxItem>().fetch_all(tx.conn()).await?;
    Ok(page.finish(rows, |item| Cursor::time(item.create_time, item.inbox_item_id)))
}

/// Lets at most `at_most` items go that were told before `before`, read or not; says how many.
pub(crate) async fn forget(tx: &mut WorkTx, before: OffsetDateTime, at_most: i64) -> db::Result<u64> {
    let forgotten = sqlx::query!(
        "DELETE FROM notifications.inbox_item WHERE (user_id, inbox_item_id) IN (
             SELECT user_id, inbox_item_id FROM notifications.inbox_item WHERE create_time < $1 LIMIT $2)",
        before,
        at_most,
    )
    .execute(tx.conn())
    .await?;
    Ok(forgotten.rows_affected())
}

/// The organizations whose items are shown.
fn here(tx: &Tx) -> Vec<OrganizationId> {
    vec![tx.organization_id(), OrganizationId::SYSTEM]
}
