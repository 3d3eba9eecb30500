//! What a system admin can do with the development mailbox: read it.

use db::{Db, Filter, Kind, Order, Page};
use rpc::Caller;

use super::{Content, Kept, MailId, store};
use crate::error::Error;

/// The use cases of the mailbox.
#[derive(Clone)]
pub(crate) struct Ops {
    db: Db,
    /// Whether there is one: it is there while no SMTP server is configured.
    enabled: bool,
}

impl Ops {
    /// Over `db`.
    pub(crate) fn new(db: Db, enabled: bool) -> Self {
        Ops { db, enabled }
    }

    /// A page of all mails, newest first.
    ///
    /// # Errors
    /// `MAILBOX_DISABLED`, `FILTER_INVALID`, `PAGE_TOKEN_INVALID`.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        filter: &str,
        page_size: i32,
        page_token: &str,
    ) -> Result<Page<(Kept, Content)>, Error> {
        self.check()?;
        let sealer = self.db.sealer();
        let parsed = Filter::parse_blind(filter, store::COLUMNS, |_, to| store::to_index(sealer, to))?;
        let page = self.db.page(caller, page_size, page_token, Order::desc("create_time", Kind::Time, "mail_id"), &[filter])?;
        let page = self.db.read(caller, async |tx| store::list(tx, &parsed, &page).await).await?;
        Ok(page.map(|kept| self.opened(kept)))
    }

    /// One mail.
    ///
    /// # Errors
    /// `MAILBOX_DISABLED`, `MAIL_NOT_FOUND`.
    pub(crate) async fn get(&self, caller: &Caller, id: MailId) -> Result<(Kept, Content), Error> {
        self.check()?;
        let kept = self.db.read(caller, async |tx| store::get(tx, id).await?.ok_or(Error::MailNotFound)).await?;
        Ok(self.opened(kept))
    }

    fn check(&self) -> Result<(), Error> {
        if self.enabled { Ok(()) } else { Err(Error::MailboxDisabled) }
    }

    fn opened(&self, kept: Kept) -> (Kept, Content) {
        let content = store::open(self.db.sealer(), &kept);
        (kept, content)
    }
}
