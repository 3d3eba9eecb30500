//! `Pad`: a service of one noun on a database of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use contract::identity::v1::{Organization, OrganizationCreated};
use db::{Db, DbConfig, Migrator, OnConstraint, Sealer, Tx, roles};
use devstack::{Options, Stack};
use rpc::{CallContext, Caller};
use runtime::{Clock, Ids, OrganizationId, UserId};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::network::Network;

/// The schema, in every database of these tests.
pub(crate) const SCHEMA: &str = "pad";
/// What every new database is a copy of.
const TEMPLATE: &str = "pad_template";

static STACK: OnceCell<Arc<Stack>> = OnceCell::const_new();

/// One Postgres for all tests of this binary; it dies with the process.
pub(crate) async fn stack() -> &'static Arc<Stack> {
    STACK.get_or_init(prepared).await
}

/// A Postgres with the roles and the template.
async fn prepared() -> Arc<Stack> {
    runtime::init_crypto();
    let stack = Stack::start(Options { nats: false, redis: false, ..Options::temporary() }).await.unwrap();
    sql(&stack.postgres_url("postgres", "postgres"), &format!("CREATE DATABASE {TEMPLATE}")).await;
    let mut conn = PgConnection::connect(&stack.postgres_url("postgres", TEMPLATE)).await.unwrap();
    roles::bootstrap(&mut conn, SCHEMA, &DbConfig::default()).await.unwrap();
    migrator().up(&mut conn).await.unwrap();
    conn.close().await.unwrap();
    Arc::new(stack)
}

/// The foundation and the tables of these tests.
pub(crate) fn migrator() -> Migrator {
    Migrator::new(SCHEMA, &sqlx::migrate!("tests/migrations")).unwrap()
}

/// A new and empty database.
pub(crate) async fn database() -> String {
    create_database(stack().await, "").await
}

async fn create_database(stack: &Stack, like: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("pad_{}", NEXT.fetch_add(1, Ordering::SeqCst));
    sql(&stack.postgres_url("postgres", "postgres"), &format!("CREATE DATABASE {name} {like}")).await;
    name
}

async fn copy_of_template(stack: &Stack) -> String {
    create_database(stack, &format!("TEMPLATE {TEMPLATE} STRATEGY file_copy")).await
}

async fn sql(url: &str, text: &str) {
    let mut conn = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

pub(crate) struct Pad {
    pub(crate) db: Db,
    pub(crate) stack: Arc<Stack>,
    database: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is a note with this title")]
    TitleTaken,
    #[error("the test wants to fail")]
    Wanted,
    #[error(transparent)]
    Db(#[from] db::Error),
}

impl Pad {
    pub(crate) async fn new() -> Self {
        Self::sized(8).await
    }

    /// With at most `connections` for calls.
    pub(crate) async fn sized(connections: u32) -> Self {
        Self::on(stack().await.clone(), connections, 2_000).await
    }

    /// On a Postgres of its own, which may be stopped and killed; a call waits 250 ms for a connection.
    pub(crate) async fn alone(connections: u32) -> Self {
        Self::on(prepared().await, connections, 250).await
    }

    /// As `alone`, on the Postgres of all tests and with a network before it.
    pub(crate) async fn behind_a_network(connections: u32) -> (Self, Network) {
        let (stack, database) = (stack().await.clone(), copy_of_template(stack().await).await);
        let network = Network::to(stack.postgres().socket_dir().join(".s.PGSQL.5432")).await;
        let url = format!("postgres://postgres@127.0.0.1:{}/{database}?sslmode=disable", network.port);
        (Self::at(url, stack, database, connections, 250).await, network)
    }

    async fn on(stack: Arc<Stack>, connections: u32, acquire_timeout_ms: u64) -> Self {
        let database = copy_of_template(&stack).await;
        Self::at(stack.postgres_url("postgres", &database), stack, database, connections, acquire_timeout_ms).await
    }

    async fn at(url: String, stack: Arc<Stack>, database: String, connections: u32, acquire_timeout_ms: u64) -> Self {
        let config = DbConfig {
            url: url.into(),
            app_connections: connections,
            app_connections_min: connections.min(2),
            acquire_timeout_ms,
            ..DbConfig::default()
        };
        let db = Db::connect(&config, SCHEMA, SCHEMA, Sealer::from_key(&[7; 32]), Clock::system(), Ids::system()).await.unwrap();
        Pad { db, stack, database }
    }

    /// A superuser's connection to this database: sees everything.
    pub(crate) async fn admin(&self) -> PgConnection {
        self.bare("postgres").await
    }

    /// A connection as `login`, without anything that `Db` sets.
    pub(crate) async fn bare(&self, login: &str) -> PgConnection {
        PgConnection::connect(&self.stack.postgres_url(login, &self.database)).await.unwrap()
    }

    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut self.admin().await).await.unwrap()
    }
}

pub(crate) async fn config(database: &str) -> DbConfig {
    DbConfig { url: stack().await.postgres_url("postgres", database).into(), ..DbConfig::default() }
}

pub(crate) fn organization() -> OrganizationId {
    Ids::system().next_id()
}

/// A new user of `organization`, with 30 s for every call.
pub(crate) fn user_of(organization: OrganizationId) -> Caller {
    Caller::background(SCHEMA, organization, None).acting_as(Ids::system().next_id::<UserId>())
}

/// A new user of `organization` whose call may take `time`.
pub(crate) async fn of_time(organization: OrganizationId, time: Duration) -> Caller {
    Arc::new(CallContext::background(SCHEMA, None, time)).scope(async { user_of(organization) }).await
}

pub(crate) async fn insert(tx: &mut Tx, title: &str) -> Result<Uuid, Error> {
    let note_id = Ids::system().next();
    sqlx::query("INSERT INTO pad.note (organization_id, note_id, title, create_time) VALUES ($1, $2, $3, $4)")
        .bind(tx.organization_id())
        .bind(note_id)
        .bind(title)
        .bind(tx.now())
        .execute(tx.conn())
        .await
        .on_constraint("note_organization_id_title_key", || Error::TitleTaken)?;
    Ok(note_id)
}

/// Inserts a note and tells of it.
pub(crate) async fn tell(tx: &mut Tx, title: &str) -> Result<Uuid, Error> {
    let note_id = insert(tx, title).await?;
    tx.emit(told(title));
    Ok(note_id)
}

pub(crate) fn told(key: &str) -> OrganizationCreated {
    OrganizationCreated { organization_id: key.to_owned(), after: Some(Organization::default()) }
}

pub(crate) async fn titles(tx: &mut Tx) -> Result<Vec<String>, db::Error> {
    Ok(sqlx::query_scalar("SELECT title FROM pad.note ORDER BY title").fetch_all(tx.conn()).await?)
}

/// Waits until `query` gives true on a superuser's connection; 20 s at most.
pub(crate) async fn until(pad: &Pad, query: &'static str) {
    let mut admin = pad.admin().await;
    for _ in 0..2_000 {
        if sqlx::query_scalar::<_, bool>(query).fetch_one(&mut admin).await.unwrap() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never true: {query}");
}

/// The server process behind the connection.
pub(crate) async fn backend(tx: &mut Tx) -> Result<i32, db::Error> {
    Ok(sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(tx.conn()).await?)
}
