//! Two schemas on one database: `identity`, of which only the event log is there, and ours.

use std::time::Duration;

use authz::Authorizer;
use db::{Db, DbConfig, Migrator, Sealer};
use devstack::{Nats, Options, Stack};
use events::{Bus, EventsConfig, Log, NatsConfig};
use runtime::config::Secret;
use runtime::{Clock, Ids, Shutdown, Tasks};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, PgPool};
use tokio::sync::OnceCell;

const TEMPLATE: &str = "authorization_template";

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

async fn postgres() -> &'static Stack {
    static STACK: OnceCell<Stack> = OnceCell::const_new();
    STACK
        .get_or_init(|| async {
            runtime::init_crypto();
            let stack = Stack::start(Options { nats: false, redis: false, ..Options::temporary() }).await.unwrap();
            let mut admin = connect(&stack, "postgres").await;
            sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {TEMPLATE}"))).execute(&mut admin).await.unwrap();
            let mut admin = connect(&stack, TEMPLATE).await;
            for (schema, migrations) in
                [("identity", &sqlx::migrate::Migrator::DEFAULT), (authorization::SCHEMA, &authorization::MIGRATIONS)]
            {
                db::roles::bootstrap(&mut admin, schema, &DbConfig::default()).await.unwrap();
                Migrator::new(schema, migrations).unwrap().up(&mut admin).await.unwrap();
            }
            stack
        })
        .await
}

async fn connect(stack: &Stack, database: &str) -> PgConnection {
    let options: PgConnectOptions = stack.postgres_url("postgres", database).parse().unwrap();
    options.connect().await.unwrap()
}

/// What a test stands on.
pub(crate) struct World {
    /// Identity's log, which runs.
    pub(crate) identity: Db,
    /// Ours, which runs.
    pub(crate) db: Db,
    pub(crate) log: Log,
    pub(crate) authorizer: Authorizer,
    pub(crate) tasks: Tasks,
    /// A superuser's connections: sees every row of both schemas.
    pub(crate) sql: PgPool,
    _nats: Nats,
}

impl World {
    /// Databases and logs; the service itself is not built.
    pub(crate) async fn without_service() -> Self {
        let stack = postgres().await;
        let name = format!("authorization_{}", Ids::system().next().simple());
        let mut admin = connect(stack, "postgres").await;
        // Two clones of one template at the same time refuse each other.
        sqlx::query("SELECT pg_advisory_lock(1)").execute(&mut admin).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))).execute(&mut admin).await.unwrap();
        drop(admin);
        let url = stack.postgres_url("postgres", &name);
        let sql = PgPoolOptions::new().max_connections(2).connect(&url).await.unwrap();
        let (nats, tasks) = (Nats::temporary().await.unwrap(), Tasks::new("test", Shutdown::new()));
        let (identity, identity_log) = open(&url, &nats, "identity", "identity").await;
        let (db, log) = open(&url, &nats, authorization::SCHEMA, authorization::NAME).await;
        for log in [identity_log, log.clone()] {
            tasks.spawn("log", log.run(tasks.shutdown().clone()));
        }
        World { identity, db, log, authorizer: Authorizer::new(), tasks, sql, _nats: nats }
    }

    /// All of it, and the service's own authorizer is ready.
    pub(crate) async fn new() -> Self {
        let world = Self::without_service().await;
        let deps = host::Deps {
            db: world.db.clone(),
            log: world.log.clone(),
            authorizer: world.authorizer.clone(),
            tasks: world.tasks.clone(),
            clock: Clock::system(),
            ids: Ids::system(),
        };
        authorization::build(&deps, &authorization::Config::default()).await.unwrap();
        tokio::time::timeout(PATIENCE, world.authorizer.ready()).await.unwrap();
        world
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
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.shutdown().request();
    }
}

async fn open(url: &str, nats: &Nats, schema: &'static str, service: &'static str) -> (Db, Log) {
    let config = DbConfig { url: Secret::from(url), acquire_timeout_ms: 2_000, ..DbConfig::default() };
    let db = Db::connect(&config, schema, Sealer::from_key(&[7; 32]), Clock::system(), Ids::system()).await.unwrap();
    let bus = Bus::connect(&NatsConfig { url: nats.url(), ..NatsConfig::default() }, service).await.unwrap();
    let config = EventsConfig { poll_idle_ms: 100, bookmark_ms: 100, retry_delays_ms: vec![50, 100], ..EventsConfig::default() };
    let log = Log::open(db.clone(), bus, service, Clock::system(), Ids::system(), config);
    (db, log)
}
