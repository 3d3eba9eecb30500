//! The thread that makes copies of templates, some ahead, and removes them.

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::mpsc::{Receiver, Sender, TryRecvError},
    time::Duration,
};

use anyhow::Context;
use db::{DbConfig, Migrator, roles};
use devstack::{Options, Stack};
use runtime::config::Secret;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::{runtime::Builder, sync::oneshot};

use super::{Command, Schemas};

/// Copies of a template that wait for a test.
const AHEAD: usize = 3;
/// Removals that may wait for copies made ahead: after that they come first, or a long run would fill the disk (8 MB each).
const DROPPED_MAX: usize = 32;
/// How often a copy is tried again that met autovacuum in its template.
const TRIES: u32 = 5;

type Started = Result<(devstack::Postgres, PathBuf), String>;
type Reply = oneshot::Sender<Result<String, String>>;

/// Starts the server, says so, and serves `commands` for ever.
pub(super) fn run(started: &Sender<Started>, commands: &Receiver<Command>) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(started.send(Err(error.to_string()))),
    };
    let stack = runtime.block_on(Stack::start(Options { nats: false, redis: false, ..Options::temporary() }));
    let stack = match stack {
        Ok(stack) => stack,
        Err(error) => return drop(started.send(Err(error.to_string()))),
    };
    let admin = match runtime.block_on(PgConnection::connect(&stack.postgres_url("postgres", "postgres"))) {
        Ok(admin) => admin,
        Err(error) => return drop(started.send(Err(error.to_string()))),
    };
    // Whoever asked has gone only when the process ends.
    let _ = started.send(Ok((stack.postgres().clone(), stack.dir().to_path_buf())));
    let mut shop = Shop { stack, admin, templates: BTreeMap::new(), dropped: VecDeque::new(), copies: 0 };
    while shop.step(&runtime, commands) {}
}

struct Shop {
    stack: Stack,
    admin: PgConnection,
    templates: BTreeMap<String, Template>,
    dropped: VecDeque<String>,
    copies: u64,
}

#[derive(Default)]
struct Template {
    ready: VecDeque<String>,
    waiting: VecDeque<Reply>,
}

impl Shop {
    /// Does what is most urgent: a copy somebody waits for, then one to keep ahead, then a removal, unless these are many. Waits when there is nothing; false at the
    /// end of the process.
    fn step(&mut self, runtime: &tokio::runtime::Runtime, commands: &Receiver<Command>) -> bool {
        loop {
            match commands.try_recv() {
                Ok(command) => self.take(runtime, command),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        let waiting = self.templates.iter().find(|(_, template)| !template.waiting.is_empty()).map(|(name, _)| name.clone());
        let low = self
            .templates
            .iter()
            .find(|(_, template)| template.ready.len() < AHEAD && self.dropped.len() <= DROPPED_MAX)
            .map(|(name, _)| name.clone());
        if let Some(name) = waiting.or(low) {
            let copy = runtime.block_on(self.copy(&name));
            self.hand_over(&name, copy);
        } else if let Some(name) = self.dropped.pop_front() {
            // What can't be removed goes with the server.
            let _ = runtime.block_on(execute(&mut self.admin, format!("DROP DATABASE {name} WITH (FORCE)")));
        } else {
            let Ok(command) = commands.recv() else { return false };
            self.take(runtime, command);
        }
        true
    }

    fn take(&mut self, runtime: &tokio::runtime::Runtime, command: Command) {
        match command {
            Command::Drop(name) => self.dropped.push_back(name),
            Command::Copy(schemas, reply) => {
                let name = format!("template_{}", schemas.iter().map(|(schema, _)| *schema).collect::<Vec<_>>().join("_"));
                if !self.templates.contains_key(&name) {
                    if let Err(error) = runtime.block_on(self.make(&name, &schemas)) {
                        // Whoever asked is told; the next one who asks tries again.
                        let _ = reply.send(Err(format!("{error:#}")));
                        return;
                    }
                    self.templates.insert(name.clone(), Template::default());
                }
                let template = self.templates.entry(name).or_default();
                match template.ready.pop_front() {
                    Some(copy) => drop(reply.send(Ok(copy))),
                    None => template.waiting.push_back(reply),
                }
            }
        }
    }

    fn hand_over(&mut self, name: &str, copy: Result<String, sqlx::Error>) {
        let Some(template) = self.templates.get_mut(name) else { return };
        match (template.waiting.pop_front(), copy) {
            (Some(reply), copy) => drop(reply.send(copy.map_err(|error| error.to_string()))),
            (None, Ok(copy)) => template.ready.push_back(copy),
            // Nobody waits; it is tried again when somebody does.
            (None, Err(_)) => std::thread::sleep(Duration::from_millis(100)),
        }
    }

    /// Makes the template: roles and schema by the superuser, migrations by the service's migrator, as in production.
    async fn make(&mut self, name: &str, schemas: &Schemas) -> anyhow::Result<()> {
        execute(&mut self.admin, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
        execute(&mut self.admin, format!("CREATE DATABASE {name}")).await?;
        let url = self.stack.postgres_url("postgres", name);
        let config = DbConfig { url: Secret::from(url.as_str()), ..DbConfig::default() };
        let mut superuser = PgConnection::connect(&url).await?;
        for (schema, own) in schemas {
            roles::bootstrap(&mut superuser, schema, &config).await.with_context(|| format!("roles of {schema}"))?;
            let mut migrator = db::migrator_connection(&config, schema).await.with_context(|| format!("the migrator of {schema}"))?;
            Migrator::new(schema, own)?.up(&mut migrator).await.with_context(|| format!("migrating {schema}"))?;
            migrator.close().await?;
        }
        superuser.close().await?;
        Ok(execute(&mut self.admin, format!("ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")).await?)
    }

    async fn copy(&mut self, template: &str) -> Result<String, sqlx::Error> {
        self.copies += 1;
        let name = format!("test_{}", self.copies);
        let mut tries = 1;
        loop {
            // file_copy: one copy of files between two checkpoints that cost nothing here. Block by block through the WAL took ten times longer.
            match execute(&mut self.admin, format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")).await {
                Err(error) if tries < TRIES && is_in_use(&error) => tries += 1,
                other => return other.map(|()| name),
            }
        }
    }
}

/// Autovacuum looks into a template for a moment (55006).
fn is_in_use(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "55006")
}

async fn execute(admin: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(admin).await.map(|_| ())
}
