//! The database of one service: the only door to its tables.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rpc::Caller;
use runtime::{Clock, Ids};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, SqlSafeStr};
use time::OffsetDateTime;

use crate::begin::{Access, for_caller, for_worker};
use crate::connect::{Login, options};
use crate::deadline::{TRANSACTION_MAX, limit, within};
use crate::once::{Claimed, claim};
use crate::page::PageRequest;
use crate::pool::{Labels, Pool, Reading, Row, Size};
use crate::statements::Statements;
use crate::{DbConfig, Error, Order, Sealer, StartupError, Tx, WorkTx};

type Hook = Box<dyn Fn() + Send + Sync>;

/// How long closing waits for connections that are in use.
const CLOSE_AT_MOST: Duration = Duration::from_secs(5);

/// The database of one service. Cheap to clone.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    schema: &'static str,
    app: Pool,
    worker: Pool,
    worker_options: PgConnectOptions,
    statements: Statements,
    sealer: Sealer,
    clock: Clock,
    ids: Ids,
    hooks: RwLock<Vec<Hook>>,
}

impl Db {
    /// Connects the app and the worker login of `schema`; the smallest number of connections is open when it returns. Metrics carry the name
    /// `service`, which need not be the schema's.
    ///
    /// # Errors
    /// [`StartupError::LoginTooPowerful`] for a login that row-level security does not bind; [`StartupError::SchemaMissing`]; the database
    /// is away.
    pub async fn connect(
        config: &DbConfig,
        service: &'static str,
        schema: &'static str,
        sealer: Sealer,
        clock: Clock,
        ids: Ids,
    ) -> Result<Self, StartupError> {
        crate::migrate::check_schema_name(schema)?;
        let acquire_max = Duration::from_millis(config.acquire_timeout_ms);
        let app_size = Size { min: config.app_connections_min, max: config.app_connections, acquire_max };
        let worker_size = Size { min: 1, max: config.worker_connections, acquire_max: acquire_max * 4 };
        let worker_options = options(config, schema, Login::Worker)?;
        let app = Pool::open(options(config, schema, Login::App)?, schema, app_size, Labels { service, role: "app" }).await?;
        let worker = Pool::open(worker_options.clone(), schema, worker_size, Labels { service, role: "worker" }).await?;
        let statements = Statements::of(schema);
        Ok(Db(Arc::new(Inner { schema, app, worker, worker_options, statements, sealer, clock, ids, hooks: RwLock::default() })))
    }

    /// Runs `f` in a transaction that can't write.
    ///
    /// # Errors
    /// `f`'s; `DEADLINE_EXCEEDED`, `DEPENDENCY_UNAVAILABLE`.
    pub async fn read<T, E, F>(&self, caller: &Caller, f: F) -> Result<T, E>
    where
        E: From<Error>,
        F: AsyncFnOnce(&mut Tx) -> Result<T, E>,
    {
        let limit = limit(caller.deadline().remaining())?;
        within(limit, async {
            let mut tx = self.begin(caller, Access::Read, limit).await?;
            let result = f(&mut tx).await;
            end(tx, result).await
        })
        .await
    }

    /// Runs `f` once for the caller's request id, in a transaction: its effect, its events and its answer are committed together. A call
    /// that repeats the id gets the stored answer and `f` does not run. Without a request id `f` runs and no answer is stored.
    ///
    /// An error of `f` is not stored: nothing happened, and the id may be tried again.
    ///
    /// # Errors
    /// `f`'s; `REQUEST_ID_REUSED` when the id came with another body; `CONFLICT`, `DEADLINE_EXCEEDED`, `DEPENDENCY_UNAVAILABLE`.
    pub async fn write<T, E, F>(&self, caller: &Caller, f: F) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        E: From<Error>,
        F: AsyncFnOnce(&mut Tx) -> Result<T, E>,
    {
        let Some(key) = caller.request() else { return self.write_unrecorded(caller, f).await };
        let limit = limit(caller.deadline().remaining())?;
        within(limit, async {
            let mut tx = self.begin(caller, Access::Write, limit).await?;
            let claim = match claim(&mut tx, key).await {
                Ok(Claimed::Run(claim)) => claim,
                Ok(Claimed::Replay(answer)) => return end(tx, Ok(answer)).await,
                Err(error) => return end(tx, Err(error.into())).await,
            };
            let mut result = f(&mut tx).await;
            if let Ok(answer) = &result {
                match claim.seal(&tx, answer) {
                    Ok(sealed) => tx.answer(claim, sealed),
                    Err(error) => result = Err(error.into()),
                }
            }
            end(tx, result).await
        })
        .await
    }

    /// Runs `f` in a transaction and stores no answer: for methods that may be repeated as they are, and for background work.
    ///
    /// # Errors
    /// `f`'s; `CONFLICT`, `DEADLINE_EXCEEDED`, `DEPENDENCY_UNAVAILABLE`.
    pub async fn write_unrecorded<T, E, F>(&self, caller: &Caller, f: F) -> Result<T, E>
    where
        E: From<Error>,
        F: AsyncFnOnce(&mut Tx) -> Result<T, E>,
    {
        let limit = limit(caller.deadline().remaining())?;
        within(limit, async {
            let mut tx = self.begin(caller, Access::Write, limit).await?;
            let result = f(&mut tx).await;
            end(tx, result).await
        })
        .await
    }

    /// Runs one statement that reads, as the app role and outside every transaction: one round trip, where [`Db::read`] takes three. It
    /// stands in no organization, so the floors show it nothing: it is for the functions that are asked before there is a principal. Such a
    /// function may count that it was asked; it is asked again when the connection died in the pool.
    ///
    /// # Errors
    /// The statement's; `DEADLINE_EXCEEDED`, `DEPENDENCY_UNAVAILABLE`.
    pub async fn look_up<'q, T: Row>(
        &self,
        caller: &Caller,
        sql: impl SqlSafeStr,
        bind: impl Fn(Reading<'q, T>) -> Reading<'q, T>,
    ) -> Result<Vec<T>, Error> {
        within(limit(caller.deadline().remaining())?, self.0.app.read(sql.into_sql_str(), bind)).await
    }

    /// Runs one statement that reads, as the worker role and outside every transaction: one round trip, where [`Db::work`] takes four.
    ///
    /// # Errors
    /// The statement's; `DEPENDENCY_UNAVAILABLE`.
    pub async fn work_read<'q, T: Row>(
        &self,
        sql: impl SqlSafeStr,
        bind: impl Fn(Reading<'q, T>) -> Reading<'q, T>,
    ) -> Result<Vec<T>, Error> {
        within(TRANSACTION_MAX, self.0.worker.read(sql.into_sql_str(), bind)).await
    }

    /// The same for a statement that gives one row.
    ///
    /// # Errors
    /// The statement's, also that it gives none; `DEPENDENCY_UNAVAILABLE`.
    pub async fn work_read_one<'q, T: Row>(
        &self,
        sql: impl SqlSafeStr,
        bind: impl Fn(Reading<'q, T>) -> Reading<'q, T>,
    ) -> Result<T, Error> {
        let rows = self.work_read(sql, bind).await?;
        Ok(rows.into_iter().next().ok_or(sqlx::Error::RowNotFound)?)
    }

    /// Runs `f` as the worker role: in no organization, on the tables that grant it (`grant_worker`), for 30 s at most. For relay,
    /// snapshots and retention; a call never runs here.
    ///
    /// # Errors
    /// `f`'s; `CONFLICT`, `DEADLINE_EXCEEDED`, `DEPENDENCY_UNAVAILABLE`.
    pub async fn work<T, E, F>(&self, f: F) -> Result<T, E>
    where
        E: From<Error>,
        F: AsyncFnOnce(&mut WorkTx) -> Result<T, E>,
    {
        within(TRANSACTION_MAX, async {
            let lease = self.0.worker.begin(&for_worker(TRANSACTION_MAX)).await?;
            let mut tx = WorkTx::new(lease, self.0.clock.now());
            match f(&mut tx).await {
                Ok(value) => Ok(tx.commit().await.map(|()| value)?),
                Err(error) => {
                    tx.rollback().await;
                    Err(error)
                }
            }
        })
        .await
    }

    /// One connection of the worker role that belongs to no pool: what holds a session's advisory lock. Its end frees the lock.
    ///
    /// # Errors
    /// The database is away.
    pub async fn worker_connection(&self) -> Result<PgConnection, Error> {
        Ok(self.0.worker_options.connect().await?)
    }

    /// Calls `hook` after every commit that wrote events, beside the hooks that are there. It must not block.
    pub fn on_commit(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.0.hooks.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
    }

    /// Reads what a List request says about its page. `bound` is everything else in the request that chooses the list (the filter, a
    /// parent's id): a token goes with the same method, tenant, order and `bound` alone. `page_size` 0 is 50; the most is 1000.
    ///
    /// # Errors
    /// `PAGE_TOKEN_INVALID`.
    pub fn page(&self, caller: &Caller, page_size: i32, page_token: &str, order: Order, bound: &[&str]) -> Result<PageRequest, Error> {
        PageRequest::read(&self.0.sealer, caller, page_size, page_token, order, bound)
    }

    /// Forgets at most `at_most` answers to requests made before `time`, the oldest first; says how many. For the retention task: an answer
    /// is kept 24 hours.
    ///
    /// # Errors
    /// `CONFLICT`, `DEPENDENCY_UNAVAILABLE`.
    pub async fn forget_requests(&self, time: OffsetDateTime, at_most: u32) -> Result<u64, Error> {
        self.work(async |tx: &mut WorkTx| {
            let done = sqlx::query(&self.0.statements.forget).bind(time).bind(i64::from(at_most)).execute(tx.conn()).await?;
            Ok(done.rows_affected())
        })
        .await
    }

    /// The version of the newest migration applied; `None` before the first.
    ///
    /// # Errors
    /// `DEPENDENCY_UNAVAILABLE`.
    pub async fn migrated_to(&self) -> Result<Option<i64>, Error> {
        let (newest,) = self.work_read_one(&self.0.statements.newest_migration, |query| query).await?;
        Ok(newest)
    }

    /// Closes both pools: refuses new transactions, and waits 5 s at most for those that run.
    pub async fn close(&self) {
        let pools = async { tokio::join!(self.0.app.close(), self.0.worker.close()) };
        if tokio::time::timeout(CLOSE_AT_MOST, pools).await.is_err() {
            tracing::warn!(schema = self.0.schema, "connections are still in use: left to end with the process");
        }
    }

    /// The schema.
    pub fn schema(&self) -> &'static str {
        self.0.schema
    }

    /// What seals this service's data.
    pub fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }

    /// The clock that transactions take their time from.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Where event ids come from.
    pub fn ids(&self) -> &Ids {
        &self.0.ids
    }

    /// How many connections for calls exist, and how many of these nobody holds.
    pub fn connections(&self) -> (u32, usize) {
        self.0.app.counts()
    }

    /// Round trips that calls made so far: statements of the app role, with BEGIN and COMMIT. Not counted is what nobody waits for, or waits
    /// for once a connection: that a statement is prepared, and the sign of life with which a connection goes back to its pool.
    pub fn round_trips(&self) -> u64 {
        self.0.app.round_trips()
    }

    pub(crate) fn statements(&self) -> &Statements {
        &self.0.statements
    }

    pub(crate) fn poke(&self) {
        for hook in self.0.hooks.read().unwrap_or_else(PoisonError::into_inner).iter() {
            hook();
        }
    }

    async fn begin(&self, caller: &Caller, access: Access, limit: Duration) -> Result<Tx, Error> {
        let lease = self.0.app.begin(&for_caller(caller, access, limit)).await?;
        Ok(Tx::new(lease, self.clone(), caller.clone(), access == Access::Read))
    }
}

/// Commits what went well and rolls back what did not.
async fn end<T, E: From<Error>>(tx: Tx, result: Result<T, E>) -> Result<T, E> {
    match result {
        Ok(value) => Ok(tx.commit().await.map(|()| value)?),
        Err(error) => {
            tx.rollback().await;
            Err(error)
        }
    }
}
