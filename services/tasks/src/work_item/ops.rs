//! What one can do with work items, but lists (`list`), watching (`watch`) and plans (`crate::plan`).
//!
//! Why the product is locked before a place in the tree is checked: whoever takes a number or moves an item holds that lock until the commit,
//! so what was checked still holds when it is written. An item without a parent needs no check and no lock but that of its number.

use db::{Db, Page, Tx};
use rpc::Caller;
use runtime::{Ids, UserId, WorkspaceId};

use super::list::{List, Wanted};
use super::{Change, NewWorkItem, State, WorkItem, WorkItemId, check_place, store};
use crate::{error::Error, events, product};

/// The use cases of work items.
#[derive(Clone)]
pub struct Ops {
    db: Db,
    ids: Ids,
}

impl Ops {
    /// Over `db`.
    pub fn new(db: Db, ids: Ids) -> Self {
        Ops { db, ids }
    }

    /// Creates an item in `new.product_id`, reported by the caller, with the product's next number.
    ///
    /// Without a parent it is one statement beside BEGIN, the event and COMMIT.
    ///
    /// # Errors
    /// `PRODUCT_NOT_FOUND`, `PARENT_NOT_FOUND`, `PARENT_TYPE_NOT_ALLOWED`, `HIERARCHY_TOO_DEEP`, `ASSIGNEE_NOT_FOUND`, `REQUEST_ID_REUSED`.
    /// # Emits
    /// `WorkItemCreated`, same transaction.
    pub async fn create(&self, caller: &Caller, new: NewWorkItem) -> Result<WorkItem, Error> {
        let reporter_id = caller.user_id()?;
        let write = self.db.write(caller, async |tx| {
            let mut item = WorkItem::new(self.ids.next_id(), tx.organization_id(), reporter_id, new, tx.now());
            check_assignees(caller, item.workspace_id, &item.assignee_ids)?;
            check_new_place(tx, &item).await?;
            (item.number, item.key) = store::insert(tx, &item).await?;
            tx.emit(events::created(&item));
            Ok(item)
        });
        write.await
    }

    /// An item that is not deleted.
    ///
    /// # Errors
    /// `WORK_ITEM_NOT_FOUND`, `PERMISSION_DENIED`.
    pub async fn get(&self, caller: &Caller, workspace_id: WorkspaceId, id: WorkItemId) -> Result<WorkItem, Error> {
        let item = self.db.read(caller, async |tx| Ok::<_, Error>(store::get(tx, workspace_id, id).await?)).await?;
        let item = item.filter(|item| item.delete_time.is_none()).ok_or(Error::WorkItemNotFound)?;
        caller.require(&item.resource())?;
        Ok(item)
    }

    /// A page of a workspace's items, and how many match when that is asked.
    ///
    /// # Errors
    /// `FILTER_INVALID`, `ORDER_INVALID`, `PAGE_TOKEN_INVALID`.
    pub async fn list(&self, caller: &Caller, wanted: &Wanted) -> Result<(Page<WorkItem>, Option<i64>), Error> {
        List::new(&self.db, caller, wanted)?.page().await
    }

    /// Changes an item; one that is so already stays as it is, and nothing is told.
    ///
    /// # Errors
    /// `WORK_ITEM_NOT_FOUND`, `PERMISSION_DENIED`, `ETAG_MISMATCH`, `PARENT_NOT_FOUND`, `PARENT_TYPE_NOT_ALLOWED`, `HIERARCHY_TOO_DEEP`,
    /// `ASSIGNEE_NOT_FOUND`, `REQUEST_ID_REUSED`.
    /// # Emits
    /// `WorkItemUpdated`, same transaction.
    pub async fn update(
        &self,
        caller: &Caller,
        workspace_id: WorkspaceId,
        id: WorkItemId,
        change: Change,
        etag: &str,
    ) -> Result<WorkItem, Error> {
        let write = self.db.write(caller, async |tx| {
            if change.is_structural() {
                lock_product_of(tx, workspace_id, id).await?;
            }
            let before = lock_live(tx, workspace_id, id).await?;
            caller.require(&before.resource())?;
            before.check_etag(etag)?;
            let after = before.changed(change, tx.now());
            if after == before {
                return Ok(before);
            }
            let added: Vec<UserId> = after.assignee_ids.iter().filter(|id| !before.assignee_ids.contains(id)).copied().collect();
            check_assignees(caller, workspace_id, &added)?;
            if (after.parent_id, after.r#type) != (before.parent_id, before.r#type) {
                check_other_place(tx, &after).await?;
            }
            store::update(tx, &after).await?;
            tx.emit(events::updated(&before, &after));
            Ok(after)
        });
        write.await
    }

    /// Moves an item to another state.
    ///
    /// # Errors
    /// `WORK_ITEM_NOT_FOUND`, `PERMISSION_DENIED`, `ETAG_MISMATCH`, `TRANSITION_NOT_ALLOWED`, `REQUEST_ID_REUSED`.
    /// # Emits
    /// `WorkItemTransitioned`, same transaction.
    pub async fn transition(
        &self,
        caller: &Caller,
        workspace_id: WorkspaceId,
        id: WorkItemId,
        to: State,
        etag: &str,
    ) -> Result<WorkItem, Error> {
        let write = self.db.write(caller, async |tx| {
            let before = lock_live(tx, workspace_id, id).await?;
            caller.require(&before.resource())?;
            before.check_etag(etag)?;
            let after = before.moved(to, tx.now())?;
            store::update(tx, &after).await?;
            tx.emit(events::transitioned(&before, &after));
            Ok(after)
        });
        write.await
    }

    /// Deletes an item. Its children stay where they are.
    ///
    /// # Errors
    /// `WORK_ITEM_NOT_FOUND`, `PERMISSION_DENIED`, `ETAG_MISMATCH`, `REQUEST_ID_REUSED`.
    /// # Emits
    /// `WorkItemDeleted`, same transaction.
    pub async fn delete(&self, caller: &Caller, workspace_id: WorkspaceId, id: WorkItemId, etag: &str) -> Result<WorkItem, Error> {
        let write = self.db.write(caller, async |tx| {
            let before = lock_live(tx, workspace_id, id).await?;
            caller.require(&before.resource())?;
            before.check_etag(etag)?;
            let after = before.deleted(tx.now());
            store::update_deleted(tx, &after).await?;
            tx.emit(events::deleted(&before, &after));
            Ok(after)
        });
        write.await
    }

    /// Restores a deleted item; one that is not deleted stays as it is, and nothing is told.
    ///
    /// # Errors
    /// `WORK_ITEM_NOT_FOUND`, `PERMISSION_DENIED`, `REQUEST_ID_REUSED`.
    /// # Emits
    /// `WorkItemUndeleted`, same transaction.
    pub async fn undelete(&self, caller: &Caller, workspace_id: WorkspaceId, id: WorkItemId) -> Result<WorkItem, Error> {
        let write = self.db.write(caller, async |tx| {
            let before = lock_any(tx, workspace_id, id).await?;
            caller.require(&before.resource())?;
            if before.delete_time.is_none() {
                return Ok(before);
            }
            let after = before.undeleted(tx.now());
            store::update_deleted(tx, &after).await?;
            tx.emit(events::undeleted(&before, &after));
            Ok(after)
        });
        write.await
    }
}

async fn lock_any(tx: &mut Tx, workspace_id: WorkspaceId, id: WorkItemId) -> Result<WorkItem, Error> {
    store::lock(tx, workspace_id, &[id]).await?.pop().ok_or(Error::WorkItemNotFound)
}

async fn lock_live(tx: &mut Tx, workspace_id: WorkspaceId, id: WorkItemId) -> Result<WorkItem, Error> {
    let item = lock_any(tx, workspace_id, id).await?;
    if item.delete_time.is_none() { Ok(item) } else { Err(Error::WorkItemNotFound) }
}

/// Locks the product of an item, before the item itself: an item never changes its product.
async fn lock_product_of(tx: &mut Tx, workspace_id: WorkspaceId, id: WorkItemId) -> Result<(), Error> {
    let item = store::get(tx, workspace_id, id).await?.ok_or(Error::WorkItemNotFound)?;
    product::store::lock(tx, workspace_id, item.product_id).await?.ok_or(Error::ProductNotFound)?;
    Ok(())
}

/// Everybody who is to do something must be able to see it.
fn check_assignees(caller: &Caller, workspace_id: WorkspaceId, assignee_ids: &[UserId]) -> Result<(), Error> {
    let (roles, organization_id) = (caller.authorizer().snapshot(), caller.organization_id());
    let holds_role = |user: &UserId| {
        roles.organization_role(*user, organization_id).is_some() || roles.workspace_role(*user, organization_id, workspace_id).is_some()
    };
    if assignee_ids.iter().all(holds_role) { Ok(()) } else { Err(Error::AssigneeNotFound) }
}

async fn check_new_place(tx: &mut Tx, item: &WorkItem) -> Result<(), Error> {
    let Some(parent_id) = item.parent_id else { return check_place(item.r#type, None, 1) };
    product::store::lock(tx, item.workspace_id, item.product_id).await?.ok_or(Error::ProductNotFound)?;
    let (parent, _) = store::parent(tx, item.product_id, parent_id).await?.ok_or(Error::ParentNotFound)?;
    check_place(item.r#type, Some(parent), 1)
}

/// The place of an item that exists: under its parent, over its children, and not under itself.
async fn check_other_place(tx: &mut Tx, item: &WorkItem) -> Result<(), Error> {
    let parent = match item.parent_id {
        None => None,
        Some(parent_id) => {
            let (parent, above) = store::parent(tx, item.product_id, parent_id).await?.ok_or(Error::ParentNotFound)?;
            if above.contains(&item.work_item_id) {
                return Err(Error::TooDeep);
            }
            Some(parent)
        }
    };
    let (height, children) = store::tree(tx, item.product_id, item.work_item_id).await?;
    check_place(item.r#type, parent, height)?;
    match children.into_iter().find(|child| !child.may_stand_under(Some(item.r#type))) {
        Some(child) => Err(Error::ParentType { child, parent: Some(item.r#type) }),
        None => Ok(()),
    }
}
