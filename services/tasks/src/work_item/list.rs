//! Lists of work items: what they may be filtered and ordered by, and their SQL.

use db::{Column, Cursor, Db, EnumValue, Filter, Kind, Order, Page, Tx};
use futures::TryStreamExt;
use rpc::Caller;
use runtime::WorkspaceId;
use sqlx::{Postgres, QueryBuilder};
use time::OffsetDateTime;
use time::macros::datetime;

use super::WorkItem;
use crate::error::Error;

/// The most text of a page, in bytes: an answer holds 4 MiB. A page that reaches it ends early.
const PAGE_BYTES_MAX: usize = 2 << 20;
/// Where items without a due time stand in an order by it; as in the index.
const NEVER: OffsetDateTime = datetime!(9999-12-31 23:59:59.999999 UTC);

/// What a filter may name. A value of an enum may be written in full or without its prefix.
pub static COLUMNS: &[Column] = &[
    Column::new("product_id", "w.product_id", Kind::Uuid),
    Column::new("parent_id", "w.parent_id", Kind::Uuid),
    Column::new("type", "w.type", Kind::Enum(TYPES)),
    Column::new("state", "w.state", Kind::Enum(STATES)),
    Column::new("priority", "w.priority", Kind::Enum(PRIORITIES)),
    Column::new("effort", "w.effort", Kind::Enum(EFFORTS)),
    Column::new("reporter_id", "w.reporter_id", Kind::Uuid),
    Column::new("key", "w.key", Kind::Text),
    Column::new("title", "w.title", Kind::Text),
    Column::new("assignee_ids", "w.assignee_ids", Kind::UuidArray),
    Column::new("labels", "w.labels", Kind::TextArray),
    Column::new("due_time", "w.due_time", Kind::Time),
    Column::new("create_time", "w.create_time", Kind::Time),
    Column::new("update_time", "w.update_time", Kind::Time),
];

/// What a list may be ordered by. Each column has an index, and is never NULL.
static ORDERS: &[Column] = &[
    Column::new("create_time", "w.create_time", Kind::Time),
    Column::new("update_time", "w.update_time", Kind::Time),
    Column::new("due_time", "w.due_time_order", Kind::Time),
    Column::new("priority", "w.priority", Kind::Int),
    Column::new("key", "w.key_order", Kind::Text),
];

const TYPES: &[(&str, EnumValue)] = &[
    ("EPIC", EnumValue::Int(1)),
    ("REQUIREMENT", EnumValue::Int(2)),
    ("USER_STORY", EnumValue::Int(3)),
    ("FEATURE", EnumValue::Int(4)),
    ("COMPONENT", EnumValue::Int(5)),
    ("TASK", EnumValue::Int(6)),
    ("SUBTASK", EnumValue::Int(7)),
    ("WORK_ITEM_TYPE_EPIC", EnumValue::Int(1)),
    ("WORK_ITEM_TYPE_REQUIREMENT", EnumValue::Int(2)),
    ("WORK_ITEM_TYPE_USER_STORY", EnumValue::Int(3)),
    ("WORK_ITEM_TYPE_FEATURE", EnumValue::Int(4)),
    ("WORK_ITEM_TYPE_COMPONENT", EnumValue::Int(5)),
    ("WORK_ITEM_TYPE_TASK", EnumValue::Int(6)),
    ("WORK_ITEM_TYPE_SUBTASK", EnumValue::Int(7)),
];
const STATES: &[(&str, EnumValue)] = &[
    ("NOT_STARTED", EnumValue::Int(1)),
    ("IN_PROGRESS", EnumValue::Int(2)),
    ("BLOCKED", EnumValue::Int(3)),
    ("IN_REVIEW", EnumValue::Int(4)),
    ("COMPLETED", EnumValue::Int(5)),
    ("CANCELLED", EnumValue::Int(6)),
    ("WORK_ITEM_STATE_NOT_STARTED", EnumValue::Int(1)),
    ("WORK_ITEM_STATE_IN_PROGRESS", EnumValue::Int(2)),
    ("WORK_ITEM_STATE_BLOCKED", EnumValue::Int(3)),
    ("WORK_ITEM_STATE_IN_REVIEW", EnumValue::Int(4)),
    ("WORK_ITEM_STATE_COMPLETED", EnumValue::Int(5)),
    ("WORK_ITEM_STATE_CANCELLED", EnumValue::Int(6)),
];
const PRIORITIES: &[(&str, EnumValue)] = &[
    ("UNSPECIFIED", EnumValue::Int(0)),
    ("LOW", EnumValue::Int(1)),
    ("MEDIUM", EnumValue::Int(2)),
    ("HIGH", EnumValue::Int(3)),
    ("CRITICAL", EnumValue::Int(4)),
    ("WORK_ITEM_PRIORITY_UNSPECIFIED", EnumValue::Int(0)),
    ("WORK_ITEM_PRIORITY_LOW", EnumValue::Int(1)),
    ("WORK_ITEM_PRIORITY_MEDIUM", EnumValue::Int(2)),
    ("WORK_ITEM_PRIORITY_HIGH", EnumValue::Int(3)),
    ("WORK_ITEM_PRIORITY_CRITICAL", EnumValue::Int(4)),
];
const EFFORTS: &[(&str, EnumValue)] = &[
    ("UNSPECIFIED", EnumValue::Int(0)),
    ("SMALL", EnumValue::Int(1)),
    ("MEDIUM", EnumValue::Int(2)),
    ("LARGE", EnumValue::Int(3)),
    ("EXTRA_LARGE", EnumValue::Int(4)),
    ("WORK_ITEM_EFFORT_UNSPECIFIED", EnumValue::Int(0)),
    ("WORK_ITEM_EFFORT_SMALL", EnumValue::Int(1)),
    ("WORK_ITEM_EFFORT_MEDIUM", EnumValue::Int(2)),
    ("WORK_ITEM_EFFORT_LARGE", EnumValue::Int(3)),
    ("WORK_ITEM_EFFORT_EXTRA_LARGE", EnumValue::Int(4)),
];

/// Which items are wanted, and which page of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// AIP-160 over [`COLUMNS`].
    pub filter: String,
    /// A field of `ORDERS`, with ` desc` or not; empty for `create_time`.
    pub order_by: String,
    /// Whether deleted items are listed too.
    pub show_deleted: bool,
    /// Whether all that match are counted.
    pub count_total: bool,
    /// At most so many; 0 is 50.
    pub page_size: i32,
    /// From the page before.
    pub page_token: String,
}

/// A list that was asked for and can be had.
pub struct List<'a> {
    db: &'a Db,
    caller: &'a Caller,
    wanted: &'a Wanted,
    filter: Filter,
    order: Order,
}

impl<'a> List<'a> {
    /// Reads what is wanted.
    ///
    /// # Errors
    /// `FILTER_INVALID`, `ORDER_INVALID`.
    pub fn new(db: &'a Db, caller: &'a Caller, wanted: &'a Wanted) -> Result<Self, Error> {
        let filter = Filter::parse(&wanted.filter, COLUMNS)?;
        let order = Order::parse(&wanted.order_by, ORDERS, Order::asc("w.create_time", Kind::Time, "w.work_item_id"))?;
        Ok(List { db, caller, wanted, filter, order })
    }

    /// The page, and how many items match when that was asked.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID`.
    pub async fn page(self) -> Result<(Page<WorkItem>, Option<i64>), Error> {
        let request = self.request(self.wanted.page_size)?;
        let mut query = QueryBuilder::<Postgres>::new(
            "SELECT w.organization_id, w.workspace_id, w.product_id, w.work_item_id, w.number, w.key, w.parent_id, w.type, w.title, w.description,
                    w.state, w.priority, w.effort, w.assignee_ids, w.reporter_id, w.labels, w.due_time, w.version, w.create_time, w.update_time,
                    w.delete_time",
        );
        self.push_which(&mut query);
        request.push(&mut query);
        let (rows, cut, total) = self
            .db
            .read(self.caller, async |tx: &mut Tx| {
                let (rows, cut) = fetch(tx, &mut query).await?;
                let total = if self.wanted.count_total { Some(self.count(tx).await?) } else { None };
                Ok::<_, Error>((rows, cut, total))
            })
            .await?;
        // A page that ends early is one of as many rows as it holds; the last row fetched only says that there are more.
        let request = if cut { self.request(i32::try_from(rows.len() - 1).unwrap_or(i32::MAX))? } else { request };
        Ok((request.finish(rows, |last| cursor(&self.wanted.order_by, last)), total))
    }

    fn request(&self, size: i32) -> Result<db::PageRequest, Error> {
        let (workspace, deleted) = (self.wanted.workspace_id.to_string(), if self.wanted.show_deleted { "deleted too" } else { "" });
        Ok(self.db.page(self.caller, size, &self.wanted.page_token, self.order, &[&workspace, &self.wanted.filter, deleted])?)
    }

    async fn count(&self, tx: &mut Tx) -> db::Result<i64> {
        let mut query = QueryBuilder::<Postgres>::new("SELECT count(*)");
        self.push_which(&mut query);
        Ok(query.build_query_scalar().fetch_one(tx.conn()).await?)
    }

    fn push_which(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(" FROM tasks.work_item w WHERE w.organization_id = ").push_bind(self.caller.organization_id());
        query.push(" AND w.workspace_id = ").push_bind(self.wanted.workspace_id);
        if !self.wanted.show_deleted {
            query.push(" AND w.delete_time IS NULL");
        }
        self.filter.push(query);
    }
}

/// The rows of a query, up to and with the one that makes them too many; and whether there was one.
async fn fetch(tx: &mut Tx, query: &mut QueryBuilder<Postgres>) -> db::Result<(Vec<WorkItem>, bool)> {
    let mut stream = query.build_query_as::<WorkItem>().fetch(tx.conn());
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = stream.try_next().await? {
        bytes += size(&row);
        let cut = bytes > PAGE_BYTES_MAX && !rows.is_empty();
        rows.push(row);
        if cut {
            return Ok((rows, true));
        }
    }
    Ok((rows, false))
}

/// About how many bytes an item takes in an answer.
fn size(item: &WorkItem) -> usize {
    let labels: usize = item.labels.iter().map(|label| label.len() + 2).sum();
    400 + item.title.len() + item.description.len() + labels + 40 * item.assignee_ids.len()
}

/// The place of `last` in a list in the order `order_by`, which was read before.
fn cursor(order_by: &str, last: &WorkItem) -> Cursor {
    let id = last.work_item_id;
    match order_by.split_ascii_whitespace().next() {
        Some("update_time") => Cursor::time(last.update_time, id),
        Some("due_time") => Cursor::time(last.due_time.unwrap_or(NEVER), id),
        Some("priority") => Cursor::int(i64::from(last.priority as i16), id),
        Some("key") => Cursor::text(&key_order(last), id),
        _ => Cursor::time(last.create_time, id),
    }
}

/// What the index of keys holds: numbers of one length, so that ABC-2 comes before ABC-10.
fn key_order(item: &WorkItem) -> String {
    let product_key = item.key.split('-').next().unwrap_or_default();
    format!("{product_key}-{:019}", item.number)
}

#[cfg(test)]
mod tests {
    use contract::tasks::v1::{WorkItemEffort, WorkItemPriority, WorkItemState, WorkItemType};

    use super::*;

    #[test]
    fn every_name_of_an_enum_is_that_of_the_contract() {
        let number = |value: &EnumValue| if let EnumValue::Int(number) = value { i32::from(*number) } else { -1 };
        for (names, prefix, wire) in [
            (TYPES, "WORK_ITEM_TYPE_", (|name| WorkItemType::from_str_name(name).map(i32::from)) as fn(&str) -> Option<i32>),
            (STATES, "WORK_ITEM_STATE_", |name| WorkItemState::from_str_name(name).map(i32::from)),
            (PRIORITIES, "WORK_ITEM_PRIORITY_", |name| WorkItemPriority::from_str_name(name).map(i32::from)),
            (EFFORTS, "WORK_ITEM_EFFORT_", |name| WorkItemEffort::from_str_name(name).map(i32::from)),
        ] {
            for (name, value) in names {
                let full = if name.starts_with(prefix) { (*name).to_owned() } else { format!("{prefix}{name}") };
                assert_eq!(wire(&full), Some(number(value)), "{name}");
            }
        }
    }

    #[test]
    fn every_order_has_a_cursor_of_its_own_kind() {
        for order in ORDERS {
            assert!(
                Order::parse(&format!("{} desc", order.name), ORDERS, Order::asc("w.create_time", Kind::Time, "w.work_item_id")).is_ok()
            );
        }
        assert!(Order::parse("title", ORDERS, Order::asc("w.create_time", Kind::Time, "w.work_item_id")).is_err());
    }
}
