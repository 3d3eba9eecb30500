//! What must hold before a service starts, and what is said when it doesn't.

use std::time::Duration;

use sqlx::{PgConnection, Row};

use crate::Error;

/// How long a service waits for its first connections.
pub(crate) const STARTUP_MAX: Duration = Duration::from_secs(10);

/// Why a service can't start on this database, or its schema can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// Not a `postgres://` URL. The URL itself is not shown: it may hold a password.
    #[error("the database URL can't be read")]
    Url,
    /// The schema isn't there.
    #[error("there is no schema {0}: run the migrations first")]
    SchemaMissing(String),
    /// Not a name a schema can have here: a lower-case letter, then letters, digits and `_`, 40 at most.
    #[error("{0:?} can't be the name of a schema")]
    SchemaName(String),
    /// The login could get round row-level security.
    #[error("the login {login} {power}: tenants would not be kept apart")]
    LoginTooPowerful {
        /// The login.
        login: String,
        /// What it is.
        power: &'static str,
    },
    /// A migration failed or doesn't fit those already applied.
    #[error(transparent)]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The database is away or answers with an error.
    #[error("the database can't be used: {0}")]
    Database(#[from] Error),
}

impl From<sqlx::Error> for StartupError {
    fn from(error: sqlx::Error) -> Self {
        StartupError::Database(Error::from(error))
    }
}

/// Refuses a login that row-level security doesn't bind: a superuser, one with BYPASSRLS, one that is or can become the schema's owner.
pub(crate) async fn refuse_powerful_login(conn: &mut PgConnection, schema: &str) -> Result<(), StartupError> {
    let row = sqlx::query(
        "SELECT r.rolname::text AS login, r.rolsuper AS superuser, r.rolbypassrls AS bypasses,
                (SELECT pg_has_role(r.oid, n.nspowner, 'MEMBER') FROM pg_catalog.pg_namespace n WHERE n.nspname = $1) AS owns,
                EXISTS (SELECT FROM pg_catalog.pg_roles p WHERE (p.rolsuper OR p.rolbypassrls) AND pg_has_role(r.oid, p.oid, 'MEMBER')) AS becomes
         FROM pg_catalog.pg_roles r WHERE r.rolname = session_user",
    )
    .bind(schema)
    .fetch_one(conn)
    .await?;
    let owns: Option<bool> = row.try_get("owns")?;
    let Some(owns) = owns else { return Err(StartupError::SchemaMissing(schema.to_owned())) };
    let powers = [
        (row.try_get("superuser")?, "is a superuser"),
        (row.try_get("bypasses")?, "has BYPASSRLS"),
        (owns, "is the schema's owner or a member of it"),
        (row.try_get("becomes")?, "is a member of a role that row-level security does not bind"),
    ];
    match powers.into_iter().find(|(has, _)| *has) {
        Some((_, power)) => Err(StartupError::LoginTooPowerful { login: row.try_get("login")?, power }),
        None => Ok(()),
    }
}
