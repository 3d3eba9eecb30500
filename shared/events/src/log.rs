//! The event log of one service, as one process holds it: where it ends, who waits for more, and the tasks that keep it moving.
//!
//! Deliberately absent: writing events. `db::Tx::emit` is the only way, in the transaction of the change.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use db::Db;
use runtime::{Clock, Ids, Shutdown};
use sqlx::AssertSqlSafe;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::envelope::Row;
use crate::recent::Recent;
use crate::sql::Sql;
use crate::{Bus, Error, EventsConfig, Filter, Inbox, Logged, Tail, poke, retention, sequencer};

/// The handle on a service's event log. Cheap to clone.
#[derive(Clone)]
pub struct Log(Arc<Inner>);

struct Inner {
    db: Db,
    bus: Bus,
    service: &'static str,
    config: EventsConfig,
    clock: Clock,
    ids: Ids,
    sql: Sql,
    /// The newest position that is known to be committed. It only grows.
    head: watch::Sender<i64>,
    /// When the database was last asked where the log ends.
    looked: Mutex<Instant>,
    leading: AtomicBool,
    committed: Arc<Notify>,
    told: Arc<Notify>,
    consumers: Mutex<Vec<(&'static str, &'static [&'static str])>>,
    recent: Recent,
}

impl Log {
    /// The log of `service` in the schema behind `db`. Nothing runs yet; [`run`](Self::run) does.
    pub fn open(db: Db, bus: Bus, service: &'static str, clock: Clock, ids: Ids, config: EventsConfig) -> Self {
        let (committed, told) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let sql = Sql::of(db.schema());
        let hooks = (committed.clone(), told.clone());
        db.on_commit(move || {
            hooks.0.notify_one();
            hooks.1.notify_one();
        });
        let (head, leading, consumers) = (watch::Sender::new(0), AtomicBool::new(false), Mutex::default());
        let (looked, recent) = (Mutex::new(Instant::now()), Recent::new(config.tails_max));
        Log(Arc::new(Inner { db, bus, service, config, clock, ids, sql, head, looked, leading, committed, told, consumers, recent }))
    }

    /// Runs everything the log needs until `shutdown`: the sequencer and relay when this process leads, the hints of the other processes,
    /// retention. Faults of Postgres and NATS are waited out.
    pub async fn run(self, shutdown: Shutdown) {
        tokio::join!(sequencer::run(&self, &shutdown), poke::run(&self, &shutdown), retention::run(&self, &shutdown));
    }

    /// Events after the position `from`, as they are committed; `None` is from now on.
    ///
    /// # Errors
    /// `RESUME_TOKEN_EXPIRED` when the log no longer reaches back to `from`, or ends before it (it was restored): list again, then watch.
    /// `OVERLOADED` when this process has `tails_max` of them.
    pub async fn tail(&self, from: Option<i64>, filter: Filter) -> Result<Tail, Error> {
        Tail::open(self.clone(), from, filter).await
    }

    /// The consumer `consumer` of this service, of the events of the services `sources`. Its name is known to the server and in our tables:
    /// under another name it takes every event again.
    pub fn inbox(&self, consumer: &'static str, sources: &'static [&'static str]) -> Inbox {
        self.0.consumers.lock().unwrap_or_else(PoisonError::into_inner).push((consumer, sources));
        Inbox::new(self.clone(), consumer, sources)
    }

    /// Whether this process numbers and publishes the events of the service.
    pub fn is_leader(&self) -> bool {
        self.0.leading.load(Ordering::SeqCst)
    }

    /// The service whose log this is.
    pub fn service(&self) -> &'static str {
        self.0.service
    }

    /// Where the log ends and how far it is on the bus, read from the database: `(position, published_position)`.
    ///
    /// # Errors
    /// Those of Postgres.
    pub async fn positions(&self) -> Result<(i64, i64), Error> {
        Ok(self.db().work_read_one(AssertSqlSafe(self.sql().head.as_str()), |query| query).await?)
    }

    /// Up to `limit` events after `position`, by position.
    pub(crate) async fn read(&self, position: i64, limit: i64) -> Result<Vec<Logged>, Error> {
        let rows: Vec<Row> = self.db().work_read(AssertSqlSafe(self.sql().read.as_str()), |query| query.bind(position).bind(limit)).await?;
        Ok(rows.into_iter().map(|row| row.into_logged(self.service(), self.db().sealer())).collect())
    }

    pub(crate) fn db(&self) -> &Db {
        &self.0.db
    }

    pub(crate) fn bus(&self) -> &Bus {
        &self.0.bus
    }

    pub(crate) fn config(&self) -> &EventsConfig {
        &self.0.config
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn ids(&self) -> &Ids {
        &self.0.ids
    }

    /// What the tails share.
    pub(crate) fn recent(&self) -> &Recent {
        &self.0.recent
    }

    pub(crate) fn sql(&self) -> &Sql {
        &self.0.sql
    }

    /// The consumers that this process was asked for, each with its sources.
    pub(crate) fn consumers(&self) -> Vec<(&'static str, &'static [&'static str])> {
        self.0.consumers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wakes when a transaction of this process wrote events: for the sequencer.
    pub(crate) fn committed(&self) -> &Notify {
        &self.0.committed
    }

    /// The same for whoever tells the other processes.
    pub(crate) fn told(&self) -> &Notify {
        &self.0.told
    }

    pub(crate) fn head(&self) -> watch::Receiver<i64> {
        self.0.head.subscribe()
    }

    pub(crate) fn has_tails(&self) -> bool {
        self.0.head.receiver_count() > 0
    }

    /// Notes that the database answered where the log ends.
    pub(crate) fn looked(&self) {
        *self.0.looked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long ago it last did: what was committed since is not known here.
    pub(crate) fn unseen(&self) -> Duration {
        self.0.looked.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Notes that the log is committed up to `position`, and wakes the tails and the relay.
    pub(crate) fn reached(&self, position: i64) {
        self.looked();
        self.0.head.send_if_modified(|head| {
            let grown = position > *head;
            *head = position.max(*head);
            grown
        });
    }

    pub(crate) fn lead(&self) -> Leading<'_> {
        self.0.leading.store(true, Ordering::SeqCst);
        Leading(self)
    }
}

/// While it lives, this process says that it leads.
pub(crate) struct Leading<'a>(&'a Log);

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        self.0.0.leading.store(false, Ordering::SeqCst);
    }
}

/// What a loop that has no end returns: why it ended.
pub(crate) type Endless = Result<Infallible, Error>;
