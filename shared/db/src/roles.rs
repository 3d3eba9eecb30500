//! The four roles of a service and its schema, made once by an administrator's connection.
//!
//! `<schema>_owner` owns everything and can't log in; `<schema>_migrator` may become the owner; `<schema>_app` serves calls under the
//! floors; `<schema>_worker` sees the tables that name it. Roles belong to the whole server, so that two databases of one server may set
//! them up at the same time: every step may be repeated, and a step that met another is tried again.

use std::time::Duration;

use runtime::Backoff;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::migrate::check_schema_name;
use crate::{DbConfig, StartupError};

/// How often a step that met another process is tried.
const TRIES: u32 = 10;

/// Settings of a login, whoever connects with it. An idle transaction holds its locks no longer than 10 s, and a statement whose caller is
/// gone ends within a quarter of a second. Sources: field note reliability 7.4; `client_connection_check_interval` exists since
/// PostgreSQL 14 and is off unless set.
const LOGIN_SETTINGS: [(&str, &str); 4] = [
    ("client_connection_check_interval", "250ms"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("lock_timeout", "500ms"),
    ("statement_timeout", "30s"),
];

/// Makes the roles and the schema, or what of them is missing, and sets the passwords that `config` has. `conn` is a superuser's, or that
/// of a role which may create roles and schemas and is a member of `<schema>_owner`.
///
/// # Errors
/// [`StartupError::SchemaName`]; the database refuses.
pub async fn bootstrap(conn: &mut PgConnection, schema: &str, config: &DbConfig) -> Result<(), StartupError> {
    check_schema_name(schema)?;
    sqlx::query("SELECT pg_advisory_lock(hashtext('muster roles'))").execute(&mut *conn).await?;
    let result = make(conn, schema, config).await;
    sqlx::query("SELECT pg_advisory_unlock(hashtext('muster roles'))").execute(&mut *conn).await?;
    result
}

async fn make(conn: &mut PgConnection, schema: &str, config: &DbConfig) -> Result<(), StartupError> {
    create(conn, &format!("{schema}_owner"), "NOLOGIN").await?;
    for (suffix, password) in [("app", &config.app_password), ("worker", &config.worker_password), ("migrator", &config.migrator_password)]
    {
        let login = format!("{schema}_{suffix}");
        create(conn, &login, "LOGIN").await?;
        if password.is_set() {
            let literal: String = sqlx::query_scalar("SELECT quote_literal($1)").bind(password.expose()).fetch_one(&mut *conn).await?;
            step(conn, format!("ALTER ROLE {login} PASSWORD {literal}")).await?;
        }
        if suffix != "migrator" {
            set(conn, &login).await?;
        }
    }
    grant_owner(conn, schema).await?;
    step(conn, format!("CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {schema}_owner")).await
}

/// Makes the role if it is not there, and gives it `LOGIN` if one made it without.
async fn create(conn: &mut PgConnection, role: &str, login: &str) -> Result<(), StartupError> {
    let exists: Option<bool> =
        sqlx::query_scalar("SELECT rolcanlogin FROM pg_catalog.pg_roles WHERE rolname = $1").bind(role).fetch_optional(&mut *conn).await?;
    match exists {
        None => {
            let make = format!("CREATE ROLE {role} {login} NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOINHERIT");
            step(conn, format!("DO $$ BEGIN {make}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$")).await
        }
        Some(can_login) if can_login == (login == "LOGIN") => Ok(()),
        Some(_) => step(conn, format!("ALTER ROLE {role} {login}")).await,
    }
}

/// Changes nothing that is as it should be: an ALTER of the same role in two databases at once fails one of them.
async fn set(conn: &mut PgConnection, login: &str) -> Result<(), StartupError> {
    let query = "SELECT coalesce(array_agg(s.setting), '{}') FROM pg_catalog.pg_db_role_setting d, unnest(d.setconfig) AS s (setting)
                 WHERE d.setdatabase = 0 AND d.setrole = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1)";
    let settings: Vec<String> = sqlx::query_scalar(query).bind(login).fetch_one(&mut *conn).await?;
    for (name, value) in LOGIN_SETTINGS {
        if !settings.contains(&format!("{name}={value}")) {
            step(conn, format!("ALTER ROLE {login} SET {name} = '{value}'")).await?;
        }
    }
    Ok(())
}

async fn grant_owner(conn: &mut PgConnection, schema: &str) -> Result<(), StartupError> {
    let query = "SELECT EXISTS (SELECT FROM pg_catalog.pg_auth_members WHERE roleid = $1::regrole AND member = $2::regrole)";
    let (owner, migrator) = (format!("{schema}_owner"), format!("{schema}_migrator"));
    let granted: bool = sqlx::query_scalar(query).bind(&owner).bind(&migrator).fetch_one(&mut *conn).await?;
    if granted { Ok(()) } else { step(conn, format!("GRANT {owner} TO {migrator}")).await }
}

/// Runs one statement, again if another process changed the same role in that moment.
async fn step(conn: &mut PgConnection, sql: String) -> Result<(), StartupError> {
    let mut backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(200));
    for _ in 1..TRIES {
        match sqlx::raw_sql(AssertSqlSafe(sql.as_str())).execute(&mut *conn).await {
            Err(error) if met_another(&error) => tokio::time::sleep(backoff.next_delay()).await,
            other => return Ok(other.map(|_| ())?),
        }
    }
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await?;
    Ok(())
}

/// `tuple concurrently updated` is an internal error (XX000) to the server; the others are two CREATEs or GRANTs that met.
fn met_another(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| matches!(code.as_ref(), "XX000" | "23505" | "42710" | "40001" | "40P01" | "55P03"))
}
