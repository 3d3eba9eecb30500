//! When sessions are used between two refreshes: seen by what verifies tokens, in memory, and written now and then in one statement for all.
//!
//! It is for people who look at their devices, and decides nothing: what is lost with a process or a failed write is told by the next use, or the
//! next refresh. Seen is what comes to this service, introspection of tokens among it; an access token that other services see alone is good for a
//! quarter of an hour, so a session in use is refreshed that often.

mod store;

use std::time::Duration;

use db::{Db, WorkTx};
use rpc::authn::Verifier;
use runtime::Shutdown;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::Error;

/// What is seen, and where it is written.
pub struct LastUse {
    /// The service's tables.
    pub db: Db,
    /// What every call's token is verified by.
    pub verifier: Verifier,
}

impl LastUse {
    /// Writes what was seen, once in each `every` and once more at shutdown.
    pub async fn run(self, every: Duration, shutdown: Shutdown) {
        loop {
            let goes_on = shutdown.or(tokio::time::sleep(every)).await.is_some();
            match self.write().await {
                Ok(sessions) => metrics::counter!("identity_last_use_written_total").increment(sessions),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "when sessions were last used could not be written");
                }
            }
            if !goes_on {
                return;
            }
        }
    }

    /// Writes what was seen since the last time; says of how many sessions.
    ///
    /// # Errors
    /// `DEPENDENCY_UNAVAILABLE`; what was seen is forgotten then.
    pub async fn write(&self) -> Result<u64, Error> {
        let (ids, times): (Vec<Uuid>, Vec<OffsetDateTime>) =
            self.verifier.take_used().into_iter().map(|(id, time)| (id.uuid(), time)).unzip();
        if ids.is_empty() {
            return Ok(0);
        }
        self.db.work(async |tx: &mut WorkTx| store::note(tx, &ids, &times).await).await
    }
}
