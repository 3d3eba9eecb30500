//! Two services on one database and one NATS: `tasks` changes things, `audit` notes every change.
//!
//! `tasks.change` has a row for every change and `audit.effect` one for every effect, without any constraint that would hide a second one.

use std::time::Duration;

use db::{Db, DbConfig, Migrator, Sealer};
use devstack::{Nats, Options, Stack};
use events::{Bus, EventsConfig, Log, NatsConfig};
use runtime::config::Secret;
use runtime::{Clock, Ids, Shutdown, Tasks};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, PgPool};
use tokio::sync::OnceCell;

const TEMPLATE: &str = "events_template";
const TABLES: &str = "
    CREATE TABLE tasks.thing (organization_id uuid, thing_id text, version bigint NOT NULL, PRIMARY KEY (organization_id, thing_id));
    CREATE TABLE tasks.change (organization_id uuid, thing_id text, version bigint NOT NULL);
    CREATE TABLE audit.effect (effect_id bigint GENERATED ALWAYS AS IDENTITY, consumer text, organization_id uuid, thing_id text, version bigint, position bigint);
    SELECT tasks.mark_tenant('thing', 'test'); SELECT tasks.mark_tenant('change', 'test'); SELECT audit.mark_tenant('effect', 'test');";

/// One Postgres for all tests of this binary; every test has a database of its own.
async fn postgres() -> &'static Stack {
    static STACK: OnceCell<Stack> = OnceCell::const_new();
    STACK
        .get_or_init(|| async {
            runtime::init_crypto();
            let stack = Stack::start(Options { nats: false, redis: false, ..Options::temporary() }).await.unwrap();
            make_template(&stack).await;
            stack
        })
        .await
}

async fn make_template(stack: &Stack) {
    let mut admin = connect(stack, "postgres").await;
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {TEMPLATE}"))).execute(&mut admin).await.unwrap();
    let mut admin = connect(stack, TEMPLATE).await;
    for schema in ["tasks", "audit"] {
        db::roles::bootstrap(&mut admin, schema, &DbConfig::default()).await.unwrap();
        Migrator::new(schema, &sqlx::migrate::Migrator::DEFAULT).unwrap().up(&mut admin).await.unwrap();
    }
    sqlx::raw_sql(TABLES).execute(&mut admin).await.unwrap();
}

async fn connect(stack: &Stack, database: &str) -> PgConnection {
    let url = stack.postgres_url("postgres", database);
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    options.connect().await.unwrap()
}

/// What a test stands on.
pub(crate) struct World {
    pub(crate) nats: Nats,
    /// A superuser's connections: sees every row of both schemas.
    pub(crate) sql: PgPool,
    pub(crate) database_url: String,
    pub(crate) config: EventsConfig,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
}

impl World {
    pub(crate) async fn new() -> Self {
        let stack = postgres().await;
        let name = format!("events_{}", Ids::system().next().simple());
        let mut admin = connect(stack, "postgres").await;
        // Two clones of one template at the same time refuse each other.
        sqlx::query("SELECT pg_advisory_lock(1)").execute(&mut admin).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))).execute(&mut admin).await.unwrap();
        drop(admin);
        let database_url = stack.postgres_url("postgres", &name);
        let sql = PgPoolOptions::new().max_connections(4).connect(&database_url).await.unwrap();
        let (nats, tasks) = (Nats::temporary().await.unwrap(), Tasks::new("test", Shutdown::new()));
        World { nats, sql, database_url, config: quick(), clock: Clock::system(), tasks }
    }

    pub(crate) async fn db(&self, service: &'static str) -> Db {
        open_db(&self.database_url, service, self.clock.clone()).await
    }

    /// A log as one more process of `service` would hold it: with pools and a NATS connection of its own.
    pub(crate) async fn log(&self, service: &'static str) -> Log {
        open_log(&self.database_url, &self.nats.url(), service, self.clock.clone(), self.config.clone()).await
    }

    /// A log that runs: sequencer, relay, hints. The flag stops it alone.
    pub(crate) async fn running(&self, service: &'static str) -> (Log, Shutdown) {
        let (log, shutdown) = (self.log(service).await, self.tasks.shutdown().child());
        self.tasks.spawn_once("log", log.clone().run(shutdown.clone()));
        (log, shutdown)
    }

    /// A connection to NATS beside those of the services.
    pub(crate) async fn client(&self) -> async_nats::Client {
        async_nats::connect(self.nats.url()).await.unwrap()
    }

    /// What one number is in the database.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&self.sql).await.unwrap()
    }

    /// Waits until the number is `wanted`; says what it was when it never became that.
    pub(crate) async fn await_count(&self, sql: &str, wanted: i64) {
        let mut last = i64::MIN;
        for _ in 0..1_200 {
            last = self.count(sql).await;
            if last == wanted {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{sql} stayed {last}, not {wanted}");
    }

    /// Every change is one event at its place, on the bus, and one effect; nothing waits.
    pub(crate) async fn assert_conserved(&self, changes: i64) {
        assert_eq!(self.count("SELECT count(*) FROM tasks.change").await, changes, "changes");
        self.await_count("SELECT published_position FROM tasks.event_head", changes).await;
        self.await_count("SELECT count(*) FROM audit.inbox WHERE consumer = 'audit'", changes).await;
        assert_eq!(self.count("SELECT count(*) FROM audit.effect").await, changes, "effects");
        assert_eq!(self.count("SELECT count(DISTINCT (thing_id, version)) FROM audit.effect").await, changes, "distinct effects");
        assert_eq!(self.count("SELECT count(*) FROM tasks.outbox").await, 0, "outbox");
        self.assert_log_is_whole(changes).await;
    }

    /// Positions are 1..=n without a gap, and each thing's events are in the order of its versions.
    pub(crate) async fn assert_log_is_whole(&self, events: i64) {
        let shape = "SELECT count(*) FROM (SELECT position, lag(position, 1, 0::bigint) OVER (ORDER BY position) AS before FROM tasks.event) AS log WHERE position <> before + 1";
        assert_eq!(self.count(shape).await, 0, "gaps");
        assert_eq!(self.count("SELECT coalesce(max(position), 0) FROM tasks.event").await, events, "events");
        assert_eq!(self.count("SELECT position FROM tasks.event_head").await, events, "head");
    }

    /// Effects of one thing happened in the order of its versions.
    pub(crate) async fn assert_effects_in_order(&self) {
        let disorder = "SELECT count(*) FROM (SELECT version, lag(version, 1, 0::bigint) OVER (PARTITION BY organization_id, thing_id ORDER BY effect_id) AS before FROM audit.effect) AS effects WHERE version <= before";
        assert_eq!(self.count(disorder).await, 0, "effects out of order");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.shutdown().request();
    }
}

/// Settings under which faults show within a test's patience.
pub(crate) fn quick() -> EventsConfig {
    EventsConfig {
        poll_idle_ms: 100,
        leader_timeout_ms: 1_000,
        bookmark_ms: 50,
        attempt_max: 4,
        retry_delays_ms: vec![50, 100],
        ..EventsConfig::default()
    }
}

pub(crate) async fn open_db(url: &str, service: &'static str, clock: Clock) -> Db {
    runtime::init_crypto();
    let config = DbConfig { url: Secret::from(url), acquire_timeout_ms: 2_000, ..DbConfig::default() };
    Db::connect(&config, service, service, Sealer::from_key(&[7; 32]), clock, Ids::system()).await.unwrap()
}

pub(crate) async fn open_log(url: &str, nats: &str, service: &'static str, clock: Clock, config: EventsConfig) -> Log {
    let db = open_db(url, service, clock.clone()).await;
    let bus = Bus::connect(&NatsConfig { url: nats.to_owned(), ..NatsConfig::default() }, service).await.unwrap();
    Log::open(db, bus, service, clock, Ids::system(), config)
}
