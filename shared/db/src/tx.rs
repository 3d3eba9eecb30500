//! A transaction in the name of a caller, and one of the worker role.

use contract::Event;
use rpc::Caller;
use runtime::{OrganizationId, crash_point};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::lease::Lease;
use crate::once::Claim;
use crate::outbox::{Outbox, actor};
use crate::{Db, Error, Origin};

/// A transaction in the name of a caller: floors are set, time is bounded, events wait for the commit. Given by [`Db::read`] and
/// [`Db::write`], which also end it.
pub struct Tx {
    lease: Lease,
    db: Db,
    caller: Caller,
    now: OffsetDateTime,
    outbox: Outbox,
    answer: Option<(Claim, Vec<u8>)>,
    after_commit: Vec<Box<dyn FnOnce() + Send>>,
    reads_only: bool,
}

impl Tx {
    pub(crate) fn new(lease: Lease, db: Db, caller: Caller, reads_only: bool) -> Self {
        let now = db.clock().now();
        if !reads_only {
            crash_point!("after_begin");
        }
        Tx { lease, db, caller, now, outbox: Outbox::default(), answer: None, after_commit: Vec::new(), reads_only }
    }

    /// The connection, to execute one statement on: each use is counted as a round trip. What is begun on it is a savepoint.
    pub fn conn(&mut self) -> &mut PgConnection {
        self.lease.conn()
    }

    /// The time of this transaction: the same at every call.
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    /// The tenant.
    pub fn organization_id(&self) -> OrganizationId {
        self.caller.organization_id()
    }

    /// In whose name this is.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The database this is a transaction of.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Tells the world what happened: the event is committed with this transaction, or not at all. Fields that tell who a person is are
    /// cleared and their paths kept in the envelope.
    ///
    /// At most [`EVENTS_MAX`](crate::EVENTS_MAX) events of [`EVENT_BYTES_MAX`](crate::EVENT_BYTES_MAX) bytes each and
    /// [`EVENTS_BYTES_MAX`](crate::EVENTS_BYTES_MAX) together; beyond, the transaction fails as it commits. A use case bounds its batch.
    pub fn emit<E: Event>(&mut self, event: E) {
        let event_id = self.db.ids().next();
        self.outbox.push(event_id, event);
    }

    /// Calls `hook` once this transaction is committed, and never when it is not: to wake whoever works on what it wrote. It must not block.
    pub fn after_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Box::new(hook));
    }

    pub(crate) fn answer(&mut self, claim: Claim, sealed: Vec<u8>) {
        self.answer = Some((claim, sealed));
    }

    /// Writes events and answer, commits, and pokes the sequencer.
    pub(crate) async fn commit(mut self) -> Result<(), Error> {
        if !self.reads_only {
            crash_point!("after_domain_write");
        }
        match self.flush().await {
            Ok(()) => {}
            Err(error) => {
                self.lease.rollback().await;
                return Err(error);
            }
        }
        let wrote_events = !self.outbox.is_empty();
        if wrote_events {
            crash_point!("after_outbox_insert");
        }
        self.lease.commit().await?;
        self.after_commit.into_iter().for_each(|hook| hook());
        if wrote_events {
            self.db.poke();
            crash_point!("after_commit_before_reply");
        }
        Ok(())
    }

    pub(crate) async fn rollback(self) {
        self.lease.rollback().await;
    }

    async fn flush(&mut self) -> Result<(), Error> {
        self.outbox.check()?;
        match self.answer.take() {
            answer @ Some(_) => self.write_outbox(answer).await,
            None if !self.outbox.is_empty() => self.write_outbox(None).await,
            None if self.reads_only => Ok(()),
            // COMMIT after a failed statement is a ROLLBACK that reports success: a caller that went on after an error would be told that
            // its work is kept. Any statement finds that out.
            None => Ok(sqlx::query("SELECT 1").execute(self.lease.conn()).await.map(|_| ())?),
        }
    }

    async fn write_outbox(&mut self, answer: Option<(Claim, Vec<u8>)>) -> Result<(), Error> {
        let statements = self.db.statements();
        let statement = if answer.is_some() { &statements.outbox_and_answer } else { &statements.outbox };
        let (actor_kind, actor_id) = actor(&self.caller);
        let origin = Origin::of(&self.caller);
        let sealed = |event_id: &Uuid| origin.as_ref().map(|origin| origin.seal(self.db.sealer(), *event_id));
        let origins: Vec<Option<Vec<u8>>> = self.outbox.event_ids.iter().map(sealed).collect();
        let mut query = sqlx::query(statement)
            .bind(self.caller.organization_id())
            .bind(self.now)
            .bind(self.caller.audit_action())
            .bind(actor_kind)
            .bind(actor_id)
            .bind(self.caller.session_id())
            .bind(self.caller.correlation_id())
            .bind(self.caller.traceparent())
            .bind(self.caller.causation_id())
            .bind(&self.outbox.event_ids)
            .bind(&self.outbox.types)
            .bind(&self.outbox.aggregates)
            .bind(&self.outbox.aggregate_ids)
            .bind(origins)
            .bind(&self.outbox.redacted_paths)
            .bind(&self.outbox.bodies);
        if let Some((claim, sealed)) = answer {
            query =
                query.bind(claim.actor_id).bind(claim.method).bind(claim.key.request_id).bind(claim.key.body_sha256.to_vec()).bind(sealed);
        }
        query.execute(self.lease.conn()).await?;
        Ok(())
    }
}

/// A transaction of the worker role, which stands in no organization and sees the tables that name it in a policy of their own.
pub struct WorkTx {
    lease: Lease,
    now: OffsetDateTime,
}

impl WorkTx {
    pub(crate) fn new(lease: Lease, now: OffsetDateTime) -> Self {
        WorkTx { lease, now }
    }

    /// The connection, to execute one statement on.
    pub fn conn(&mut self) -> &mut PgConnection {
        self.lease.conn()
    }

    /// The time of this transaction: the same at every call.
    pub fn now(&self) -> OffsetDateTime {
        self.now
    }

    pub(crate) async fn commit(mut self) -> Result<(), Error> {
        // As in `Tx`: a COMMIT alone would hide an error that was passed over.
        if let Err(error) = sqlx::query("SELECT 1").execute(self.lease.conn()).await {
            self.lease.rollback().await;
            return Err(error.into());
        }
        self.lease.commit().await
    }

    pub(crate) async fn rollback(self) {
        self.lease.rollback().await;
    }
}
