//! Use cases of revocations: the snapshot, the watch, and forgetting.

use std::time::Duration;

use contract::identity::v1 as pb;
use db::{Db, Tx, WorkTx};
use events::{Filter, Log};
use futures::{Stream, StreamExt};
use rpc::Caller;
use runtime::Shutdown;

use super::{Revocation, convert, store};
use crate::error::Error;

/// The most that one snapshot holds: a hundred revocations a second for as long as an access token lives.
const SNAPSHOT_MAX: i64 = 100_000;
/// How often what no longer matters is looked for.
const PRUNE_EVERY: Duration = Duration::from_secs(60);
/// Rows that one transaction deletes.
const PRUNE_BATCH: i64 = 1_000;
/// Sessions are kept so long after their end, for their owner to see.
const SESSION_KEPT: time::Duration = time::Duration::days(30);

/// Revocations.
#[derive(Clone)]
pub struct Ops {
    /// The service's tables.
    pub db: Db,
    /// The service's event log.
    pub log: Log,
}

impl Ops {
    /// Every revocation that still matters, and a position of the log up to which none is missing. The position is read first: what is
    /// committed in between is in the list and comes again in the watch, which does no harm.
    ///
    /// # Errors
    /// `DEPENDENCY_UNAVAILABLE`.
    pub async fn list(&self, caller: &Caller) -> Result<(Vec<Revocation>, i64), Error> {
        let (position, _) = self.log.positions().await?;
        let revocations = self.db.read(caller, async |tx: &mut Tx| store::list(tx, SNAPSHOT_MAX + 1).await).await?;
        if revocations.len() as i64 > SNAPSHOT_MAX {
            // To leave some out would let revoked tokens pass.
            return Err(rpc::Error::Overloaded { retry_after: PRUNE_EVERY }.into());
        }
        Ok((revocations, position))
    }

    /// Revocations after `from_position` as they are committed, with a heartbeat at least every second. Without an end.
    ///
    /// # Errors
    /// `RESUME_TOKEN_EXPIRED` when the log does not reach back so far.
    pub async fn watch(
        &self,
        from_position: i64,
    ) -> Result<impl Stream<Item = Result<pb::WatchRevocationsResponse, Error>> + Send + 'static, Error> {
        let filter = Filter::all().of_type::<pb::SessionRevoked>().of_type::<pb::SessionRefreshReused>();
        let tail = self.log.tail(Some(from_position), filter).await?;
        Ok(tail.into_stream().map(|item| {
            let item = item?;
            let told = item.event.as_ref().map(convert::told_by).transpose()?.flatten();
            let revocations = told.into_iter().collect();
            Ok(pb::WatchRevocationsResponse { previous_position: item.previous_position, position: item.position, revocations })
        }))
    }

    /// Deletes what no longer matters, every minute, until shutdown.
    pub async fn prune(self, shutdown: Shutdown) {
        while shutdown.or(tokio::time::sleep(PRUNE_EVERY)).await.is_some() {
            match self.prune_once().await {
                Ok(deleted) => metrics::counter!("identity_pruned_total").increment(deleted),
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "revocations and sessions could not be pruned; next try in a minute"
                ),
            }
        }
    }

    /// Deletes a batch of each kind; says how many rows.
    ///
    /// # Errors
    /// `DEPENDENCY_UNAVAILABLE`.
    pub async fn prune_once(&self) -> Result<u64, Error> {
        self.db
            .work(async |tx: &mut WorkTx| {
                let now = tx.now();
                let revocations = store::prune(tx, now, PRUNE_BATCH).await?;
                let sessions = store::prune_sessions(tx, now - SESSION_KEPT, PRUNE_BATCH).await?;
                Ok(revocations + sessions)
            })
            .await
    }
}
