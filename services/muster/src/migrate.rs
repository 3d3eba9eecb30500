//! Schemas and logins of the services: made, brought up, rolled back, shown.

use anyhow::Context;
use db::{DbConfig, MigrationStatus, Migrator, roles};
use runtime::config::Secret;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

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
        anyhow::ensure!(SCHEMAS.iter().any(|(name, ..)| name == service), "there is no service {service}");
    }
    Ok(SCHEMAS.into_iter().filter(|(name, ..)| services.is_empty() || services.iter().any(|service| service == name)).collect())
}
