//! Schemas and logins of the services: made, brought up, rolled back, shown.

use anyhow::Context;
use clap::Subcommand;
use db::{DbConfig, MigrationStatus, Migrator, roles};
use runtime::config::Secret;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{
    output::{Output, say},
    table,
};

/// What is done with the schemas.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make roles and schemas, as the superuser of DATABASE_URL.
    Bootstrap,
    /// Apply what is missing, in the named services or in all.
    Up {
        /// Names of services.
        services: Vec<String>,
        #[command(flatten)]
        output: Output,
    },
    /// Roll back the newest migration of one service.
    Down {
        /// The service.
        service: String,
        #[command(flatten)]
        output: Output,
    },
    /// Show every migration and whether the database has it.
    Status {
        /// Names of services.
        services: Vec<String>,
        #[command(flatten)]
        output: Output,
    },
}

#[derive(Debug, Serialize)]
struct Applied {
    services: Vec<AppliedTo>,
}

#[derive(Debug, Serialize)]
struct AppliedTo {
    service: &'static str,
    applied_count: usize,
}

#[derive(Debug, Serialize)]
struct RolledBack {
    service: String,
    /// None: there was nothing.
    version: Option<i64>,
}

#[derive(Debug, Serialize)]
struct Status {
    migrations: Vec<Migration>,
}

#[derive(Debug, Serialize)]
struct Migration {
    service: &'static str,
    version: i64,
    name: String,
    applied: bool,
}

/// Does what was typed, and says what came of it.
///
/// # Errors
/// No such service; the database does not let in; a migration that fails.
pub(crate) async fn run(config: &DbConfig, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Bootstrap => {
            let url = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty());
            let url = url.context("DATABASE_URL names the superuser's database and is not set")?;
            bootstrap(&url.as_str().into(), config).await?;
            say("roles and schemas are there")
        }
        Command::Up { services, output } => {
            let applied = output.progress().during("migrating", up(config, &services)).await?;
            let services = applied.into_iter().map(|(service, applied_count)| AppliedTo { service, applied_count }).collect();
            let applied = Applied { services };
            let line = |one: &AppliedTo| format!("{}: {} applied\n", one.service, one.applied_count);
            output.answer(&applied, || applied.services.iter().map(line).collect())
        }
        Command::Down { service, output } => {
            let version = output.progress().during("rolling back", down(config, &service)).await?;
            let rolled_back = RolledBack { service, version };
            output.answer(&rolled_back, || match version {
                Some(version) => format!("{}: {version} rolled back", rolled_back.service),
                None => format!("{}: nothing to roll back", rolled_back.service),
            })
        }
        Command::Status { services, output } => {
            let all = status(config, &services).await?.into_iter();
            let all = all.map(|(service, of)| Migration { service, version: of.version, name: of.name, applied: of.applied });
            let status = Status { migrations: all.collect() };
            output.answer(&status, || {
                let rows = status.migrations.iter().map(|one| {
                    let state = if one.applied { "applied" } else { "pending" };
                    [one.service.to_owned(), format!("{:04} {}", one.version, one.name), state.to_owned()]
                });
                table::render(["service", "migration", "state"], &rows.collect::<Vec<_>>())
            })
        }
    }
}

/// The services with a schema: name, schema, migrations.
pub const SCHEMAS: [(&str, &str, &sqlx::migrate::Migrator); 5] = [
    (identity::NAME, identity::SCHEMA, &identity::MIGRATIONS),
    (authorization::NAME, authorization::SCHEMA, &authorization::MIGRATIONS),
    (tasks::NAME, tasks::SCHEMA, &tasks::MIGRATIONS),
    (audit::NAME, audit::SCHEMA, &audit::MIGRATIONS),
    (notifications::NAME, notifications::SCHEMA, &notifications::MIGRATIONS),
];

/// Makes the database `name` unless it is there, as the superuser of `admin_url`.
pub async fn create_database(admin_url: &Secret, name: &'static str) -> anyhow::Result<()> {
    let mut conn = PgConnection::connect(admin_url.expose()).await.context("the database does not let the administrator in")?;
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)").bind(name).fetch_one(&mut conn).await?;
    if !exists {
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut conn).await?;
    }
    Ok(conn.close().await?)
}

/// Makes roles and schemas that are missing, as the superuser of `admin_url`.
pub async fn bootstrap(admin_url: &Secret, config: &DbConfig) -> anyhow::Result<()> {
    let mut conn = PgConnection::connect(admin_url.expose()).await.context("the database does not let the administrator in")?;
    for (name, schema, _) in SCHEMAS {
        roles::bootstrap(&mut conn, schema, config).await.with_context(|| format!("roles of {name}"))?;
    }
    Ok(conn.close().await?)
}

/// Applies what is missing in the schema of each of `services`; answers how many migrations each one got.
pub async fn up(config: &DbConfig, services: &[String]) -> anyhow::Result<Vec<(&'static str, usize)>> {
    let mut applied = Vec::new();
    for (name, schema, own) in chosen(services)? {
        let mut conn = db::migrator_connection(config, schema).await.with_context(|| format!("{name}: its migrator can't connect"))?;
        let versions = Migrator::new(schema, own)?.up(&mut conn).await.with_context(|| format!("migrating {name}"))?;
        applied.push((name, versions.len()));
        conn.close().await?;
    }
    Ok(applied)
}

/// Rolls back the newest migration of one service; answers which.
pub async fn down(config: &DbConfig, service: &str) -> anyhow::Result<Option<i64>> {
    let (name, schema, own) = chosen(&[service.to_owned()])?.remove(0);
    let mut conn = db::migrator_connection(config, schema).await.with_context(|| format!("{name}: its migrator can't connect"))?;
    let version = Migrator::new(schema, own)?.down(&mut conn).await.with_context(|| format!("rolling back {name}"))?;
    conn.close().await?;
    Ok(version)
}

/// Every migration of each of `services`, and whether the database has it.
pub async fn status(config: &DbConfig, services: &[String]) -> anyhow::Result<Vec<(&'static str, MigrationStatus)>> {
    let mut all = Vec::new();
    for (name, schema, own) in chosen(services)? {
        let mut conn = db::migrator_connection(config, schema).await.with_context(|| format!("{name}: its migrator can't connect"))?;
        all.extend(Migrator::new(schema, own)?.status(&mut conn).await?.into_iter().map(|status| (name, status)));
        conn.close().await?;
    }
    Ok(all)
}

/// The named services, or all when none is named.
fn chosen(services: &[String]) -> anyhow::Result<Vec<(&'static str, &'static str, &'static sqlx::migrate::Migrator)>> {
    for service in services {
        let names = SCHEMAS.map(|(name, ..)| name);
        anyhow::ensure!(names.contains(&service.as_str()), "there is no service {service} with a schema; there are {}", names.join(", "));
    }
    Ok(SCHEMAS.into_iter().filter(|(name, ..)| services.is_empty() || services.iter().any(|service| service == name)).collect())
}
