//! One PostgreSQL for all tests of a process, and a database of its own for each test.
//!
//! A database is a copy of a template that was migrated once. Copies are made ahead, so that a test seldom waits for one (`examples/waits.rs`
//! measures it). Server and copies belong to a thread of their own: the runtime of the test that came first ends with that test.

mod thread;

use std::{
    path::PathBuf,
    sync::{OnceLock, mpsc},
};

use db::DbConfig;
use runtime::config::Secret;
use sqlx::{Connection, PgConnection};
use tokio::sync::oneshot;

/// Schemas to migrate, with the migrations of each: what a template is made from.
pub type Schemas = Vec<(&'static str, &'static sqlx::migrate::Migrator)>;

/// The server of this process.
#[derive(Debug)]
pub struct Postgres {
    commands: mpsc::Sender<Command>,
    server: devstack::Postgres,
    directory: PathBuf,
}

#[derive(Debug)]
enum Command {
    /// Hand over a copy of the template with these schemas.
    Copy(Schemas, oneshot::Sender<Result<String, String>>),
    /// Remove a copy whose test has ended.
    Drop(String),
}

/// A test's own database. It is removed when this is dropped.
#[derive(Debug)]
pub struct Database {
    name: String,
    postgres: &'static Postgres,
}

impl Postgres {
    /// The server, started when it is first asked for. It ends with the process.
    ///
    /// # Panics
    /// When PostgreSQL can't be started; says why.
    pub fn of_this_process() -> &'static Postgres {
        static POSTGRES: OnceLock<Postgres> = OnceLock::new();
        POSTGRES.get_or_init(|| {
            runtime::init_crypto();
            let (started, server) = mpsc::channel();
            let (commands, received) = mpsc::channel();
            let thread = std::thread::Builder::new().name("testkit postgres".to_owned());
            thread.spawn(move || thread::run(&started, &received)).expect("a thread");
            let (server, directory) =
                server.recv().expect("an answer").unwrap_or_else(|error| panic!("PostgreSQL does not start: {error}"));
            Postgres { commands, server, directory }
        })
    }

    /// A folder that goes with the server.
    pub fn directory(&self) -> &PathBuf {
        &self.directory
    }

    /// A new database with `schemas` in it, all migrated and empty.
    ///
    /// # Panics
    /// When a migration fails; says which.
    pub async fn database(&'static self, schemas: Schemas) -> Database {
        let (reply, copy) = oneshot::channel();
        self.commands.send(Command::Copy(schemas, reply)).expect("the thread of PostgreSQL lives as long as the process");
        let name = copy.await.expect("an answer").unwrap_or_else(|error| panic!("no database: {error}"));
        Database { name, postgres: self }
    }
}

impl Database {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL for the superuser.
    pub fn url(&self) -> String {
        self.postgres.server.url("postgres", &self.name)
    }

    /// The server it is on, to pause or kill it. Other tests of the process are on it too.
    pub fn server(&self) -> &devstack::Postgres {
        &self.postgres.server
    }

    /// How a service reaches it. A call waits longer for a connection than in production: two tests share two cores.
    pub fn config(&self) -> DbConfig {
        DbConfig { url: Secret::from(self.url()), acquire_timeout_ms: 2_000, ..DbConfig::default() }
    }

    /// A superuser's connection to it: sees every row of every tenant.
    ///
    /// # Panics
    /// When the server is away.
    pub async fn superuser(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.expect("the test's PostgreSQL answers")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The thread is gone only when the process ends, and the database with it.
        let _ = self.postgres.commands.send(Command::Drop(std::mem::take(&mut self.name)));
    }
}
