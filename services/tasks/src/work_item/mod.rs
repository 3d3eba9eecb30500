//! Work items: what an item is, what may be changed of it, and which items may stand under which. Pure.
//!
//! Deliberately absent: rows of a plan (`crate::plan`), and who may do what; policies of `proto/` and [`WorkItem::resource`] decide that.
//!
//! Why the etag is the version in plain digits: nothing is hidden in it and nothing is gained by forging it, and it reads well in a log.

pub mod convert;
pub mod grpc;
pub mod kind;
pub mod list;
pub mod ops;
pub mod state;
pub mod store;
pub mod watch;

use authz::Resource;
use runtime::{OrganizationId, UserId, WorkspaceId, id_type};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::error::Error;
use crate::product::ProductId;
pub use kind::{Effort, Kind, Priority};
pub use state::State;

/// The longest description, in bytes: one event holds the item before and after a change, in 256 KiB.
pub const DESCRIPTION_BYTES_MAX: usize = 65_536;
/// The longest title, in characters.
pub const TITLE_LENGTH_MAX: usize = 500;
/// How deep items may nest; 1 is the top.
pub const DEPTH_MAX: usize = 10;

id_type! { pub struct WorkItemId; "Names a work item." }

/// A row of `tasks.work_item`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct WorkItem {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// Where it belongs.
    pub workspace_id: WorkspaceId,
    /// What it is numbered in.
    pub product_id: ProductId,
    /// Its name.
    pub work_item_id: WorkItemId,
    /// Its number in the product, from 1, without gaps.
    pub number: i64,
    /// The product's key, `-`, the number.
    pub key: String,
    /// What it is part of.
    pub parent_id: Option<WorkItemId>,
    /// What kind of item.
    pub r#type: Kind,
    /// In one line, 1 to 500 characters.
    pub title: String,
    /// Markdown, up to 64 KiB.
    pub description: String,
    /// Where it stands.
    pub state: State,
    /// How urgent.
    pub priority: Priority,
    /// How large.
    pub effort: Effort,
    /// Who does it.
    pub assignee_ids: Vec<UserId>,
    /// Who created it.
    pub reporter_id: UserId,
    /// Free words.
    pub labels: Vec<String>,
    /// When it is due.
    pub due_time: Option<OffsetDateTime>,
    /// Counts the changes, from 1.
    pub version: i64,
    /// When it was created.
    pub create_time: OffsetDateTime,
    /// When it was last changed.
    pub update_time: OffsetDateTime,
    /// When it was deleted.
    pub delete_time: Option<OffsetDateTime>,
}

/// An item to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWorkItem {
    /// Where it belongs.
    pub workspace_id: WorkspaceId,
    /// What it is numbered in.
    pub product_id: ProductId,
    /// What it is part of.
    pub parent_id: Option<WorkItemId>,
    /// What kind of item.
    pub r#type: Kind,
    /// In one line.
    pub title: String,
    /// Markdown.
    pub description: String,
    /// How urgent.
    pub priority: Priority,
    /// How large.
    pub effort: Effort,
    /// Who does it.
    pub assignee_ids: Vec<UserId>,
    /// Free words.
    pub labels: Vec<String>,
    /// When it is due.
    pub due_time: Option<OffsetDateTime>,
}

/// What an update changes; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// A new parent; `Some(None)` is the top.
    pub parent_id: Option<Option<WorkItemId>>,
    /// A new kind.
    pub r#type: Option<Kind>,
    /// A new title.
    pub title: Option<String>,
    /// A new description.
    pub description: Option<String>,
    /// A new priority.
    pub priority: Option<Priority>,
    /// A new effort.
    pub effort: Option<Effort>,
    /// New assignees.
    pub assignee_ids: Option<Vec<UserId>>,
    /// New labels.
    pub labels: Option<Vec<String>>,
    /// A new due time; `Some(None)` takes it away.
    pub due_time: Option<Option<OffsetDateTime>>,
}

impl Change {
    /// Whether it may change where the item stands among others.
    pub fn is_structural(&self) -> bool {
        self.parent_id.is_some() || self.r#type.is_some()
    }
}

/// What matters of a parent: its kind, and how deep it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its kind.
    pub r#type: Kind,
    /// 1 at the top.
    pub depth: usize,
}

/// Whether an item of `kind` whose own tree is `height` high (1 without children) may stand under `parent`.
///
/// # Errors
/// `PARENT_TYPE_NOT_ALLOWED`, `HIERARCHY_TOO_DEEP`.
pub fn check_place(kind: Kind, parent: Option<Parent>, height: usize) -> Result<(), Error> {
    let over = parent.map(|parent| parent.r#type);
    if !kind.may_stand_under(over) {
        return Err(Error::ParentType { child: kind, parent: over });
    }
    if parent.map_or(0, |parent| parent.depth) + height > DEPTH_MAX {
        return Err(Error::TooDeep);
    }
    Ok(())
}

impl WorkItem {
    /// The item that `new` becomes. Its number and key are the product's to give, when it is stored.
    pub fn new(id: WorkItemId, organization_id: OrganizationId, reporter_id: UserId, new: NewWorkItem, now: OffsetDateTime) -> Self {
        WorkItem {
            organization_id,
            workspace_id: new.workspace_id,
            product_id: new.product_id,
            work_item_id: id,
            number: 0,
            key: String::new(),
            parent_id: new.parent_id,
            r#type: new.r#type,
            title: new.title,
            description: new.description,
            state: State::NotStarted,
            priority: new.priority,
            effort: new.effort,
            assignee_ids: new.assignee_ids,
            reporter_id,
            labels: new.labels,
            due_time: new.due_time,
            version: 1,
            create_time: now,
            update_time: now,
            delete_time: None,
        }
    }

    /// What changes with every change, opaque to callers.
    pub fn etag(&self) -> String {
        self.version.to_string()
    }

    /// Refuses a caller who has seen another version; an empty `etag` is any.
    ///
    /// # Errors
    /// `ETAG_MISMATCH`.
    pub fn check_etag(&self, etag: &str) -> Result<(), Error> {
        if etag.is_empty() || etag == self.etag() { Ok(()) } else { Err(rpc::Error::EtagMismatch.into()) }
    }

    /// What decides who reaches this item: reporters own it, assignees may move it.
    pub fn resource(&self) -> Resource<'_> {
        Resource { owner: Some(self.reporter_id), assignees: &self.assignee_ids }
    }

    /// The item after `change`, one version on; the same when nothing would be another.
    #[must_use]
    pub fn changed(&self, change: Change, now: OffsetDateTime) -> Self {
        let mut next = self.clone();
        change.parent_id.into_iter().for_each(|value| next.parent_id = value);
        change.r#type.into_iter().for_each(|value| next.r#type = value);
        change.title.into_iter().for_each(|value| next.title = value);
        change.description.into_iter().for_each(|value| next.description = value);
        change.priority.into_iter().for_each(|value| next.priority = value);
        change.effort.into_iter().for_each(|value| next.effort = value);
        change.assignee_ids.into_iter().for_each(|value| next.assignee_ids = value);
        change.labels.into_iter().for_each(|value| next.labels = value);
        change.due_time.into_iter().for_each(|value| next.due_time = value);
        if next == *self { next } else { next.stamped(now) }
    }

    /// The item in the state `to`.
    ///
    /// # Errors
    /// `TRANSITION_NOT_ALLOWED`.
    pub fn moved(&self, to: State, now: OffsetDateTime) -> Result<Self, Error> {
        if !self.state.leads_to(to) {
            return Err(Error::WrongState { from: self.state, to });
        }
        Ok(WorkItem { state: to, ..self.clone() }.stamped(now))
    }

    /// The item, deleted.
    #[must_use]
    pub fn deleted(&self, now: OffsetDateTime) -> Self {
        WorkItem { delete_time: Some(now), ..self.clone() }.stamped(now)
    }

    /// The item, restored.
    #[must_use]
    pub fn undeleted(&self, now: OffsetDateTime) -> Self {
        WorkItem { delete_time: None, ..self.clone() }.stamped(now)
    }

    fn stamped(mut self, now: OffsetDateTime) -> Self {
        self.version += 1;
        // Clocks of two replicas may differ; time does not go back for an item.
        self.update_time = now.max(self.update_time);
        self
    }
}

#[cfg(test)]
mod tests;
