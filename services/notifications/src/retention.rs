//! What is let go in time: items, deliveries that came to their end, devices that nobody uses, mails of the development mailbox.
//!
//! Nothing is told of it. Items and deliveries stay longer than events live in any log: an event that comes again finds that it was told.

use std::time::Duration;

use db::{Db, WorkTx};
use runtime::Shutdown;

use crate::{Config, delivery, device, inbox, mailbox};

/// How often it is looked at; the first time at the start.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Rows that one transaction lets go.
const BATCH: i64 = 1_000;

/// Lets go what is old until `shutdown`. Replicas may do so at once.
pub(crate) async fn run(db: Db, config: Config, shutdown: Shutdown) {
    loop {
        if let Some(Err(error)) = shutdown.or(pass(&db, &config)).await {
            tracing::warn!(%error, "what is old is not let go");
        }
        if shutdown.or(tokio::time::sleep(EVERY)).await.is_none() {
            return;
        }
    }
}

async fn pass(db: &Db, config: &Config) -> db::Result<()> {
    let kept = config.mails_kept();
    db.work(async |tx: &mut WorkTx| mailbox::store::forget(tx, kept).await).await?;
    for what in [What::Devices, What::Items, What::Deliveries] {
        while what.forget_some(db, config).await? >= BATCH.unsigned_abs() {}
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum What {
    Devices,
    Items,
    Deliveries,
}

impl What {
    /// One batch; says how many rows it let go.
    async fn forget_some(self, db: &Db, config: &Config) -> db::Result<u64> {
        db.work(async |tx: &mut WorkTx| {
            let now = tx.now();
            match self {
                What::Devices => device::store::forget(tx, now - config.known_device_age(), BATCH).await,
                What::Items => inbox::store::forget(tx, now - config.inbox_age(), BATCH).await,
                What::Deliveries => delivery::store::forget(tx, now - config.delivery_age(), BATCH).await,
            }
        })
        .await
    }
}
