//! What an admin can do with deliveries.

use db::{Db, Filter, Kind, Order, Page};
use rpc::Caller;

use super::poke::Poke;
use super::{Attempt, Delivery, DeliveryId, store};
use crate::{error::Error, events};

/// The use cases of deliveries.
#[derive(Clone)]
pub(crate) struct Ops {
    db: Db,
    poke: Poke,
    attempt_max: i32,
}

impl Ops {
    /// Over `db`; what is sent once more is tried `attempt_max` times, and `poke` wakes who sends it.
    pub(crate) fn new(db: Db, poke: Poke, attempt_max: i32) -> Self {
        Ops { db, poke, attempt_max }
    }

    /// A page of the organization's deliveries, newest first.
    ///
    /// # Errors
    /// `FILTER_INVALID`, `PAGE_TOKEN_INVALID`.
    pub(crate) async fn list(&self, caller: &Caller, filter: &str, page_size: i32, page_token: &str) -> Result<Page<Delivery>, Error> {
        let parsed = Filter::parse(filter, store::COLUMNS)?;
        let order = Order::desc("create_time", Kind::Time, "delivery_id");
        let page = self.db.page(caller, page_size, page_token, order, &[filter])?;
        Ok(self.db.read(caller, async |tx| store::list(tx, &parsed, &page).await).await?)
    }

    /// One delivery of the organization, with its attempts.
    ///
    /// # Errors
    /// `DELIVERY_NOT_FOUND`.
    pub(crate) async fn get(&self, caller: &Caller, id: DeliveryId) -> Result<(Delivery, Vec<Attempt>), Error> {
        let read = self.db.read(caller, async |tx| {
            let delivery = store::get(tx, id).await?.ok_or(Error::DeliveryNotFound)?;
            Ok((delivery, store::attempts(tx, id).await?))
        });
        read.await
    }

    /// Has one that is DEAD or UNKNOWN sent once more.
    ///
    /// # Errors
    /// `DELIVERY_NOT_FOUND`, `DELIVERY_WRONG_STATE`, `REQUEST_ID_REUSED`.
    /// # Emits
    /// `DeliveryRedriven`, same transaction.
    pub(crate) async fn redrive(&self, caller: &Caller, id: DeliveryId) -> Result<Delivery, Error> {
        let write = self.db.write(caller, async |tx| {
            let before = store::lock(tx, id).await?.ok_or(Error::DeliveryNotFound)?;
            let after = before.redriven(self.attempt_max, tx.now())?;
            store::update(tx, &after).await?;
            tx.emit(events::redriven(&before, &after));
            self.poke.after(tx);
            Ok(after)
        });
        write.await
    }
}
