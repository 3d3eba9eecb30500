//! Audit emits nothing; it takes every event of every service.

use events::{Handler, Outcome, Received};

use crate::record::ops::Ops;

/// The services whose events are recorded.
pub const SOURCES: &[&str] = &["identity", "authorization", "tasks"];

/// Records each event in the transaction that marks it as taken.
pub struct Recorder(pub Ops);

impl Handler for Recorder {
    async fn handle(&self, tx: &mut db::Tx, event: &Received) -> Result<(), Outcome> {
        self.0.record(tx, &event.envelope, &event.body).await
    }
}
