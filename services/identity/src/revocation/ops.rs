//! Use cases of revocations: the snapshot and the watch. Forgetting them is `retention`'s.

use std::time::Duration;

use contract::identity::v1 as pb;
use db::{Db, Tx};
use events::{Filter, Log};
use futures::{Stream, StreamExt};
use rpc::Caller;

use super::{MATTERS, convert, store};
use crate::error::Error;
use crate::key;

/// The most that one snapshot holds: what fits the 4 MiB that a client of gRPC takes in one message unless told otherwise, at 70 bytes each.
/// Reached by sixty revocations a second for as long as an access token lives.
pub(super) const SNAPSHOT_MAX: usize = 59_000;
/// When a snapshot that was too large is worth another try: revocations lapse by the second.
const RETRY_AFTER: Duration = Duration::from_secs(60);

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
    /// `OVERLOADED` when they are more than one message carries: a verifier that misses no message goes on with the set it has, any other takes no
    /// token until enough of them lapsed. `DEPENDENCY_UNAVAILABLE`.
    pub async fn list(&self, caller: &Caller) -> Result<(Vec<pb::Revocation>, i64), Error> {
        let (position, _) = self.log.positions().await?;
        let (revocations, keys) = self
            .db
            .read(caller, async |tx: &mut Tx| {
                Ok::<_, Error>((store::list(tx, SNAPSHOT_MAX as i64 + 1).await?, key::store::list_revoked(tx, MATTERS).await?))
            })
            .await?;
        if revocations.len() + keys.len() > SNAPSHOT_MAX {
            // To leave some out would let revoked tokens pass.
            return Err(rpc::Error::Overloaded { retry_after: RETRY_AFTER }.into());
        }
        let of_keys = keys.iter().filter_map(key::convert::revocation);
        Ok((of_keys.chain(revocations.into_iter().map(Into::into)).collect(), position))
    }

    /// Revocations after `from_position` as they are committed, with a heartbeat at least every second. Without an end.
    ///
    /// # Errors
    /// `RESUME_TOKEN_EXPIRED` when the log does not reach back so far.
    pub async fn watch(
        &self,
        from_position: i64,
    ) -> Result<impl Stream<Item = Result<pb::WatchRevocationsResponse, Error>> + Send + 'static, Error> {
        let filter = Filter::all()
            .of_type::<pb::SessionRevoked>()
            .of_type::<pb::SessionRefreshReused>()
            .of_type::<pb::FactorRemoved>()
            .of_type::<pb::UserFactorsReset>()
            .of_type::<pb::SigningKeyRotated>();
        let tail = self.log.tail(Some(from_position), filter).await?;
        Ok(tail.into_stream().map(|item| {
            let item = item?;
            let revocations = item.event.as_ref().map(convert::told_by).transpose()?.unwrap_or_default();
            Ok(pb::WatchRevocationsResponse { previous_position: item.previous_position, position: item.position, revocations })
        }))
    }
}
