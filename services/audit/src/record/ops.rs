//! What one can do with the audit trail: add to it, and read it.

use contract::common::v1::EventEnvelope;
use db::{Db, Filter, Kind, Order, Page, Tx};
use events::Outcome;
use rpc::Caller;
use uuid::Uuid;

use super::{Record, convert, store};
use crate::{error::Error, sealed::Sealed};

/// The use cases of the audit record.
#[derive(Clone)]
pub(crate) struct Ops {
    db: Db,
    sealed: Sealed,
}

impl Ops {
    /// Over `db`.
    pub(crate) fn new(db: Db) -> Ops {
        let sealed = Sealed::new(db.sealer().clone());
        Ops { db, sealed }
    }

    /// Seals and opens what a record holds of a person.
    pub(crate) fn sealed(&self) -> &Sealed {
        &self.sealed
    }

    /// Records an event in the transaction that marks it as taken. A second time changes nothing.
    ///
    /// # Errors
    /// [`Outcome::Poison`] for an envelope that is none, and for another event at a position that is recorded.
    pub(crate) async fn record(&self, tx: &mut Tx, envelope: &EventEnvelope, body: &[u8]) -> Result<(), Outcome> {
        let record = convert::record(envelope, body, &self.sealed, tx.now()).map_err(|cause| Outcome::Poison(cause.into()))?;
        store::insert(tx, &record).await
    }

    /// One record of the caller's organization.
    ///
    /// # Errors
    /// `AUDIT_EVENT_NOT_FOUND`.
    pub(crate) async fn get(&self, caller: &Caller, audit_event_id: Uuid) -> Result<Record, Error> {
        self.db.read(caller, async |tx| store::get(tx, audit_event_id).await?.ok_or(Error::AuditEventNotFound)).await
    }

    /// A page of the caller's organization's records, newest first. While records arrive, none is shown twice and none is left out: what is newer
    /// than the page before stays off the later ones, and what comes late stands in its place.
    ///
    /// # Errors
    /// `FILTER_INVALID`, `PAGE_TOKEN_INVALID`.
    pub(crate) async fn list(&self, caller: &Caller, filter: &str, page_size: i32, page_token: &str) -> Result<Page<Record>, Error> {
        let parsed = Filter::parse(filter, store::COLUMNS)?;
        let order = Order::desc("create_time", Kind::Time, "audit_event_id");
        let page = self.db.page(caller, page_size, page_token, order, &[filter])?;
        Ok(self.db.read(caller, async |tx| store::list(tx, &parsed, &page).await).await?)
    }
}
