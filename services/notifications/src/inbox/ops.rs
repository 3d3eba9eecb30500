//! What one can do with one's inbox, but for watching it (`watch`).

use db::{Db, Filter, Kind, Order, Page};
use rpc::Caller;

use super::{InboxItem, InboxItemId, store};
use crate::{error::Error, events};

/// The use cases of the inbox. Whose it is, the token says; of which organizations, it says too: its own and none.
#[derive(Clone)]
pub(crate) struct Ops {
    db: Db,
}

impl Ops {
    /// Over `db`.
    pub(crate) fn new(db: Db) -> Self {
        Ops { db }
    }

    /// A page of the caller's items, newest first.
    ///
    /// # Errors
    /// `FILTER_INVALID`, `PAGE_TOKEN_INVALID`.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        filter: &str,
        show_archived: bool,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<InboxItem>, Error> {
        let user_id = caller.user_id()?;
        let parsed = Filter::parse(filter, store::COLUMNS)?;
        let order = Order::desc("create_time", Kind::Time, "inbox_item_id");
        let bound = [&*user_id.to_string(), filter, if show_archived { "archived too" } else { "" }];
        let page = self.db.page(caller, page_size, page_token, order, &bound)?;
        Ok(self.db.read(caller, async |tx| store::list(tx, user_id, &parsed, show_archived, &page).await).await?)
    }

    /// How many of the caller's items wait, up to [`store::COUNT_MAX`].
    ///
    /// # Errors
    /// None of its own.
    pub(crate) async fn unread_count(&self, caller: &Caller) -> Result<i64, Error> {
        let user_id = caller.user_id()?;
        Ok(self.db.read(caller, async |tx| store::unread_count(tx, user_id).await).await?)
    }

    /// Marks one of the caller's items as read; one that is stays as it is, and nothing is told.
    ///
    /// # Errors
    /// `INBOX_ITEM_NOT_FOUND`.
    /// # Emits
    /// `InboxItemRead`, same transaction.
    pub(crate) async fn mark_read(&self, caller: &Caller, id: InboxItemId) -> Result<InboxItem, Error> {
        let user_id = caller.user_id()?;
        let write = self.db.write_unrecorded(caller, async |tx| {
            let before = store::lock(tx, user_id, id).await?.ok_or(Error::InboxItemNotFound)?;
            let after = before.read(tx.now());
            if after != before {
                store::update(tx, &after).await?;
                tx.emit(events::read(&before, &after, tx.organization_id()));
            }
            Ok(after)
        });
        write.await
    }

    /// Puts one of the caller's items away; one that is stays as it is, and nothing is told.
    ///
    /// # Errors
    /// `INBOX_ITEM_NOT_FOUND`.
    /// # Emits
    /// `InboxItemArchived`, same transaction.
    pub(crate) async fn archive(&self, caller: &Caller, id: InboxItemId) -> Result<InboxItem, Error> {
        let user_id = caller.user_id()?;
        let write = self.db.write_unrecorded(caller, async |tx| {
            let before = store::lock(tx, user_id, id).await?.ok_or(Error::InboxItemNotFound)?;
            let after = before.archived(tx.now());
            if after != before {
                store::update(tx, &after).await?;
                tx.emit(events::archived(&before, &after, tx.organization_id()));
            }
            Ok(after)
        });
        write.await
    }

    /// Marks all that the caller has not read as read; answers how many it were.
    ///
    /// # Errors
    /// None of its own.
    /// # Emits
    /// `InboxRead`, same transaction, unless there was nothing.
    pub(crate) async fn mark_all_read(&self, caller: &Caller) -> Result<u64, Error> {
        let user_id = caller.user_id()?;
        let write = self.db.write_unrecorded(caller, async |tx| {
            let count = store::read_all(tx, user_id).await?;
            if count > 0 {
                tx.emit(events::all_read(user_id, count, tx.now()));
            }
            Ok(count)
        });
        write.await
    }
}
