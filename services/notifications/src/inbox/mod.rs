//! A person's inbox: what they were told of, read or not, put away or not. Pure.

pub(crate) mod convert;
pub(crate) mod grpc;
pub(crate) mod ops;
pub(crate) mod store;
pub(crate) mod watch;

use runtime::{OrganizationId, UserId, WorkspaceId, id_type};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::category::Category;
use crate::notice::{Line, Notice};

id_type! { pub(crate) struct InboxItemId; "Names an item of an inbox." }

/// A row of `notifications.inbox_item`.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub(crate) struct InboxItem {
    /// Where it happened; the system organization for what belongs to none.
    pub organization_id: OrganizationId,
    /// Its name.
    pub inbox_item_id: InboxItemId,
    /// Whose.
    pub user_id: UserId,
    /// What led to it.
    pub event_id: Uuid,
    /// What it is about.
    pub category: Category,
    /// In one line.
    pub title: String,
    /// More of it.
    pub text: String,
    /// The workspace of the thing.
    pub workspace_id: Option<WorkspaceId>,
    /// The kind of thing.
    pub resource_type: String,
    /// The thing.
    pub resource_id: String,
    /// When it was told.
    pub create_time: OffsetDateTime,
    /// When it was read.
    pub read_time: Option<OffsetDateTime>,
    /// When it was put away.
    pub archive_time: Option<OffsetDateTime>,
}

impl InboxItem {
    /// The item that `notice` becomes, saying `line`.
    pub(crate) fn new(
        id: InboxItemId,
        organization_id: OrganizationId,
        event_id: Uuid,
        notice: &Notice,
        line: &Line,
        now: OffsetDateTime,
    ) -> Self {
        InboxItem {
            organization_id,
            inbox_item_id: id,
            user_id: notice.user_id,
            event_id,
            category: notice.category,
            title: line.title.clone(),
            text: line.text.clone(),
            workspace_id: notice.workspace_id,
            resource_type: notice.resource_type.to_owned(),
            resource_id: notice.resource_id.clone(),
            create_time: now,
            read_time: None,
            archive_time: None,
        }
    }

    /// The same item, read; one that was read stays as it is.
    pub(crate) fn read(&self, now: OffsetDateTime) -> Self {
        InboxItem { read_time: self.read_time.or(Some(now)), ..self.clone() }
    }

    /// The same item, put away; one that was stays as it is.
    pub(crate) fn archived(&self, now: OffsetDateTime) -> Self {
        InboxItem { archive_time: self.archive_time.or(Some(now)), ..self.clone() }
    }
}
