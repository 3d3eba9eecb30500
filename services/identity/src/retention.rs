//! Deletes what no longer matters: revocations that no token outlives, sessions that ended long ago.
//!
//! Deliberately absent: events and answers to requests, which shared/events and shared/db forget for every service.

use std::time::Duration;

use db::{Db, WorkTx};
use runtime::Shutdown;

use crate::error::Error;
use crate::revocation::store as revocations;
use crate::session::store as sessions;

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(60);
/// Rows of each kind that one transaction deletes.
const BATCH: i64 = 1_000;
/// Sessions are kept so long after their end: their events name them.
const SESSION_KEPT: time::Duration = time::Duration::days(30);

/// Runs until shutdown, a round a minute; a round goes on while there is a full batch.
pub async fn run(db: Db, shutdown: Shutdown) {
    while shutdown.or(tokio::time::sleep(EVERY)).await.is_some() {
        loop {
            match round(&db).await {
                Ok(deleted) if deleted < BATCH as u64 || shutdown.is_requested() => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "what no longer matters could not be deleted; next try in a minute"
                    );
                    break;
                }
            }
        }
    }
}

/// One batch of each kind; says how many rows of the larger one.
///
/// # Errors
/// `DEPENDENCY_UNAVAILABLE`.
pub async fn round(db: &Db) -> Result<u64, Error> {
    db.work(async |tx: &mut WorkTx| {
        let now = tx.now();
        let revocations = revocations::prune(tx, now, BATCH).await?;
        let sessions = sessions::prune(tx, now - SESSION_KEPT, BATCH).await?;
        metrics::counter!("identity_pruned_total", "table" => "revocation").increment(revocations);
        metrics::counter!("identity_pruned_total", "table" => "session").increment(sessions);
        Ok(revocations.max(sessions))
    })
    .await
}
