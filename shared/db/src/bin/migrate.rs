//! Brings a database to the newest schema of the services named, for `make gen`: `sqlx::query!` checks against it.
//!
//! `migrate <schema>=<folder of migrations>…`, with the administrator's `DATABASE_URL` in the environment. Files are read at run time, so
//! that this crate knows no service.
#![expect(clippy::print_stdout, reason = "a command's output")]

use std::path::Path;

use anyhow::Context;
use db::{DbConfig, Migrator, roles};
use sqlx::{Connection, PgConnection};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    runtime::init_crypto();
    let url = std::env::var("DATABASE_URL").context("DATABASE_URL is not set")?;
    let services: Vec<String> = std::env::args().skip(1).collect();
    anyhow::ensure!(!services.is_empty(), "usage: migrate <schema>=<folder>…");
    let mut conn = PgConnection::connect(&url).await.context("the database does not answer")?;
    for service in &services {
        let (schema, folder) = service.split_once('=').with_context(|| format!("{service} is not <schema>=<folder>"))?;
        let own = sqlx::migrate::Migrator::new(Path::new(folder)).await.with_context(|| format!("migrations in {folder}"))?;
        roles::bootstrap(&mut conn, schema, &DbConfig::default()).await?;
        let applied = Migrator::new(schema, &own)?.up(&mut conn).await.with_context(|| format!("schema {schema}"))?;
        println!("{schema}: {} applied", applied.len());
    }
    conn.close().await?;
    Ok(())
}
