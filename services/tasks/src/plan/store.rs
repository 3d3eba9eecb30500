//! SQL of imports: many rows a statement.

use db::Tx;
use runtime::WorkspaceId;
use uuid::Uuid;

use super::merge::Known;
use super::{Digest, FINDINGS_MAX};
use crate::product::ProductId;
use crate::work_item::{Kind, Parent, State, WorkItem, WorkItemId};

/// The items of a product that have one of these import keys.
pub async fn known(tx: &mut Tx, product_id: ProductId, keys: &[Digest]) -> db::Result<Vec<Known>> {
    let organization_id = tx.organization_id();
    let keys = keys.iter().map(|key| key.to_vec()).collect::<Vec<_>>();
    let rows = sqlx::query!(
        r#"SELECT work_item_id AS "work_item_id: WorkItemId", key, state AS "state: State", octet_length(description) AS "description_bytes!",
                  sha256(convert_to(description, 'UTF8')) AS "description_sha256!", import_key AS "import_key!",
                  import_sha256 AS "import_sha256!", import_checked AS "import_checked!"
           FROM tasks.work_item WHERE organization_id = $1 AND product_id = $2 AND import_key = ANY ($3)"#,
        organization_id as _,
        product_id as _,
        &keys,
    )
    .fetch_all(tx.conn())
    .await?;
    let known = rows.into_iter().map(|row| Known {
        work_item_id: row.work_item_id,
        key: row.key,
        state: row.state,
        description_bytes: usize::try_from(row.description_bytes).unwrap_or_default(),
        description_sha256: digest(&row.description_sha256),
        import_key: digest(&row.import_key),
        import_sha256: digest(&row.import_sha256),
        import_checked: row.import_checked,
    });
    Ok(known.collect())
}

/// A digest of a column that holds 32 bytes, as its check says.
fn digest(bytes: &[u8]) -> Digest {
    bytes.try_into().unwrap_or_default()
}

/// Key and title of the items that came from `document` and whose import key is none of these; the first thousand.
pub async fn missing(tx: &mut Tx, product_id: ProductId, document: &str, keys: &[Digest]) -> db::Result<Vec<(String, String)>> {
    let organization_id = tx.organization_id();
    let keys = keys.iter().map(|key| key.to_vec()).collect::<Vec<_>>();
    let rows = sqlx::query!(
        "SELECT key, title FROM tasks.work_item item
         WHERE organization_id = $1 AND product_id = $2 AND import_key IS NOT NULL AND import_document = $3
           AND NOT EXISTS (SELECT FROM unnest($4::bytea[]) AS held (import_key) WHERE held.import_key = item.import_key)
         ORDER BY number LIMIT $5",
        organization_id as _,
        product_id as _,
        document,
        &keys,
        i64::try_from(FINDINGS_MAX).unwrap_or(i64::MAX),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.title)).collect())
}

/// Items of a product as parents: their kinds, and how deep they stand now.
pub async fn parents(tx: &mut Tx, product_id: ProductId, ids: &[WorkItemId]) -> db::Result<Vec<(WorkItemId, Parent)>> {
    let organization_id = tx.organization_id();
    let rows = sqlx::query!(
        r#"WITH RECURSIVE above AS (
               SELECT work_item_id AS start, type, parent_id, 1 AS depth FROM tasks.work_item
               WHERE organization_id = $1 AND product_id = $2 AND work_item_id = ANY ($3)
               UNION ALL
               SELECT above.start, above.type, item.parent_id, above.depth + 1 FROM above
               JOIN tasks.work_item item ON item.organization_id = $1 AND item.product_id = $2 AND item.work_item_id = above.parent_id)
           SELECT start AS "start!: WorkItemId", type AS "type!: Kind", max(depth) AS "depth!" FROM above GROUP BY start, type"#,
        organization_id as _,
        product_id as _,
        ids as _,
    )
    .fetch_all(tx.conn())
    .await?;
    let parent = |r#type, depth| Parent { r#type, depth: usize::try_from(depth).unwrap_or(usize::MAX) };
    Ok(rows.into_iter().map(|row| (row.start, parent(row.r#type, row.depth))).collect())
}

/// Where an item came from and what the plan said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// By what it is found again.
    pub import_key: Digest,
    /// What the plan's text was.
    pub import_sha256: Digest,
    /// Whether the box was ticked.
    pub import_checked: bool,
}

/// Writes new items of one product; their numbers are taken already.
pub async fn insert(tx: &mut Tx, document: &str, items: &[(WorkItem, Origin)]) -> db::Result<()> {
    let Some((first, _)) = items.first() else { return Ok(()) };
    let of = |each: fn(&WorkItem) -> Uuid| items.iter().map(|(item, _)| each(item)).collect::<Vec<_>>();
    let text = |each: fn(&WorkItem) -> &str| items.iter().map(|(item, _)| each(item).to_owned()).collect::<Vec<_>>();
    let parents: Vec<Option<Uuid>> = items.iter().map(|(item, _)| item.parent_id.map(Uuid::from)).collect();
    let numbers: Vec<i64> = items.iter().map(|(item, _)| item.number).collect();
    let types: Vec<i16> = items.iter().map(|(item, _)| item.r#type as i16).collect();
    let states: Vec<i16> = items.iter().map(|(item, _)| item.state as i16).collect();
    let (keys, digests, checked) = origins(items.iter().map(|(_, origin)| origin));
    sqlx::query!(
        "INSERT INTO tasks.work_item (organization_id, workspace_id, product_id, work_item_id, number, key, parent_id, type, title, description,
                                      state, priority, effort, assignee_ids, reporter_id, labels, version, create_time, update_time,
                                      import_document, import_key, import_sha256, import_checked)
         SELECT $1, $2, $3, n.work_item_id, n.number, n.key, n.parent_id, n.type, n.title, n.description, n.state, 0, 0, '{}', $4, '{}', 1, $5, $5,
                $6, n.import_key, n.import_sha256, n.import_checked
         FROM unnest($7::uuid[], $8::bigint[], $9::text[], $10::uuid[], $11::smallint[], $12::text[], $13::text[], $14::smallint[], $15::bytea[],
                     $16::bytea[], $17::boolean[])
              AS n (work_item_id, number, key, parent_id, type, title, description, state, import_key, import_sha256, import_checked)",
        first.organization_id as _,
        first.workspace_id as _,
        first.product_id as _,
        first.reporter_id as _,
        first.create_time,
        document,
        &of(|item| item.work_item_id.into()),
        &numbers,
        &text(|item| &item.key),
        &parents as _,
        &types,
        &text(|item| &item.title),
        &text(|item| &item.description),
        &states,
        &keys,
        &digests,
        &checked,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Writes what an import may change of items that this transaction has locked, and what the plan said of them.
pub async fn update(tx: &mut Tx, workspace_id: WorkspaceId, items: &[(WorkItem, Origin)]) -> db::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    let organization_id = tx.organization_id();
    let ids: Vec<Uuid> = items.iter().map(|(item, _)| item.work_item_id.into()).collect();
    let descriptions: Vec<String> = items.iter().map(|(item, _)| item.description.clone()).collect();
    let states: Vec<i16> = items.iter().map(|(item, _)| item.state as i16).collect();
    let versions: Vec<i64> = items.iter().map(|(item, _)| item.version).collect();
    let times: Vec<_> = items.iter().map(|(item, _)| item.update_time).collect();
    let (_, digests, checked) = origins(items.iter().map(|(_, origin)| origin));
    sqlx::query!(
        "UPDATE tasks.work_item item SET description = n.description, state = n.state, version = n.version, update_time = n.update_time,
                import_sha256 = n.import_sha256, import_checked = n.import_checked
         FROM unnest($3::uuid[], $4::text[], $5::smallint[], $6::bigint[], $7::timestamptz[], $8::bytea[], $9::boolean[])
              AS n (work_item_id, description, state, version, update_time, import_sha256, import_checked)
         WHERE item.organization_id = $1 AND item.workspace_id = $2 AND item.work_item_id = n.work_item_id",
        organization_id as _,
        workspace_id as _,
        &ids,
        &descriptions,
        &states,
        &versions,
        &times,
        &digests,
        &checked,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

fn origins<'a>(origins: impl Iterator<Item = &'a Origin>) -> (Vec<Vec<u8>>, Vec<Vec<u8>>, Vec<bool>) {
    let (mut keys, mut digests, mut checked) = (Vec::new(), Vec::new(), Vec::new());
    for origin in origins {
        keys.push(origin.import_key.to_vec());
        digests.push(origin.import_sha256.to_vec());
        checked.push(origin.import_checked);
    }
    (keys, digests, checked)
}
