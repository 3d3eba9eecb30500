//! Audit takes every event of every service, its own included: what an operator does to its dead letters.

use events::{Handler, Outcome, Received};

use crate::record::ops::Ops;

/// The name of its durable consumer. Under another name it would take every event again, and find each one recorded.
pub(crate) const CONSUMER: &str = "audit";

/// The services whose events are recorded.
pub(crate) const SOURCES: &[&str] = &["identity", "authorization", "tasks", "audit", "notifications"];

/// Records each event in the transaction that marks it as taken.
pub(crate) struct Recorder(pub(crate) Ops);

impl Handler for Recorder {
    async fn handle(&self, tx: &mut db::Tx, event: &Received) -> Result<(), Outcome> {
        self.0.record(tx, &event.envelope, &event.body).await
    }
}
