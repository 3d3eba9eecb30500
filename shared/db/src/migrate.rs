//! Migrations: the foundation that every schema stands on, then the service's own files, by sqlx's machinery at run time.
//!
//! Every file may write `:schema` for the service's schema. The table `_sqlx_migrations` stands in that schema. Files run as the schema's
//! owner, one service at a time (session advisory lock), and wait two seconds for a lock at most, so that a migration never makes calls
//! queue up behind it; it tries again a few times.
//!
//! Deliberately absent: migrating at start. `muster migrate` does it, on a direct connection.

use std::time::Duration;

use runtime::Backoff;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType};
use sqlx::{AssertSqlSafe, PgConnection, SqlSafeStr};

use crate::StartupError;

/// Foundation files: version, name, up, down.
const FOUNDATION: [(i64, &str, &str, &str); 1] =
    [(1, "foundation", include_str!("../migrations/0001_foundation.up.sql"), include_str!("../migrations/0001_foundation.down.sql"))];
/// How long a statement of a migration waits for a lock. Source: field note reliability 7.8.
const LOCK_TIMEOUT: &str = "2s";
/// How often a migration that did not get its lock is tried.
const TRIES: u32 = 5;
/// How long one migrator waits for another.
const TURN_TIMEOUT: &str = "120s";
const SCHEMA_NAME_MAX: usize = 40;

/// The migrations of one service.
#[derive(Debug)]
pub struct Migrator {
    schema: String,
    files: sqlx::migrate::Migrator,
}

/// One migration, and whether the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Its version; below 100 for the foundation.
    pub version: i64,
    /// Its name.
    pub name: String,
    /// Whether it was applied.
    pub applied: bool,
}

impl Migrator {
    /// The foundation and then `own`, for `schema`.
    ///
    /// # Errors
    /// [`StartupError::SchemaName`].
    pub fn new(schema: &str, own: &sqlx::migrate::Migrator) -> Result<Self, StartupError> {
        check_schema_name(schema)?;
        let foundation = FOUNDATION.iter().flat_map(|(version, name, up, down)| {
            [(MigrationType::ReversibleUp, up), (MigrationType::ReversibleDown, down)]
                .map(|(kind, text)| rendered(schema, *version, (*name).into(), kind, text, false))
        });
        let own = own
            .iter()
            .map(|file| rendered(schema, file.version, file.description.clone(), file.migration_type, file.sql.as_str(), file.no_tx));
        let mut files = sqlx::migrate::Migrator::with_migrations(foundation.chain(own).collect());
        files.dangerous_set_table_name(table(schema));
        // The lock is taken in `turn`, where waiting for it is bounded otherwise than waiting for a table.
        files.set_locking(false);
        Ok(Migrator { schema: schema.to_owned(), files })
    }

    /// Applies what is missing; says which versions. `conn` is the migrator's login, or a superuser's.
    ///
    /// # Errors
    /// [`StartupError::Migration`]: a file failed (its own changes are undone, those before it stay), or one already applied was changed
    /// since or is missing.
    pub async fn up(&self, conn: &mut PgConnection) -> Result<Vec<i64>, StartupError> {
        self.turn(conn, async |conn| {
            let before = self.applied(conn).await?;
            let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(3));
            let mut tries = 1;
            while let Err(error) = self.files.run_direct(None, conn, false).await {
                if tries == TRIES || !is_lock_timeout(&error) {
                    return Err(error.into());
                }
                tries += 1;
                tokio::time::sleep(backoff.next_delay()).await;
            }
            let grant = format!("GRANT SELECT ON {} TO {}_worker", table(&self.schema), self.schema);
            sqlx::raw_sql(AssertSqlSafe(grant)).execute(&mut *conn).await?;
            Ok(self.applied(conn).await?.into_iter().filter(|version| !before.contains(version)).collect())
        })
        .await
    }

    /// Rolls back the newest migration; says which, `None` when there is none.
    ///
    /// # Errors
    /// [`StartupError::Migration`], also for one that can't be rolled back.
    pub async fn down(&self, conn: &mut PgConnection) -> Result<Option<i64>, StartupError> {
        self.turn(conn, async |conn| {
            let Some(newest) = self.applied(conn).await?.last().copied() else { return Ok(None) };
            let file = self.files.iter().find(|file| file.version == newest && file.migration_type.is_down_migration());
            let file = file.ok_or(MigrateError::VersionNotPresent(newest))?;
            conn.revert(&table(&self.schema), file).await?;
            Ok(Some(newest))
        })
        .await
    }

    /// Every migration there is, oldest first.
    ///
    /// # Errors
    /// The database is away.
    pub async fn status(&self, conn: &mut PgConnection) -> Result<Vec<MigrationStatus>, StartupError> {
        let applied = self.turn(conn, async |conn| self.applied(conn).await).await?;
        let ups = self.files.iter().filter(|file| !file.migration_type.is_down_migration());
        Ok(ups
            .map(|file| MigrationStatus {
                version: file.version,
                name: file.description.to_string(),
                applied: applied.contains(&file.version),
            })
            .collect())
    }

    /// The version of the newest migration there is: what [`Db::migrated_to`](crate::Db::migrated_to) should say.
    pub fn newest(&self) -> i64 {
        self.files.iter().map(|file| file.version).max().unwrap_or_default()
    }

    async fn applied(&self, conn: &mut PgConnection) -> Result<Vec<i64>, StartupError> {
        let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(table(&self.schema)).fetch_one(&mut *conn).await?;
        if !exists {
            return Ok(Vec::new());
        }
        Ok(conn.list_applied_migrations(&table(&self.schema)).await?.into_iter().map(|migration| migration.version).collect())
    }

    /// Runs `f` alone among migrators of this database, as the owner. The lock and the role end with the connection at the latest.
    async fn turn<T>(
        &self,
        conn: &mut PgConnection,
        f: impl AsyncFnOnce(&mut PgConnection) -> Result<T, StartupError>,
    ) -> Result<T, StartupError> {
        sqlx::raw_sql(AssertSqlSafe(format!("SET lock_timeout = '{TURN_TIMEOUT}'"))).execute(&mut *conn).await?;
        conn.lock().await?;
        let prepare = format!("SET ROLE {}_owner; SET lock_timeout = '{LOCK_TIMEOUT}'", self.schema);
        let result = match sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *conn).await {
            Ok(_) => f(conn).await,
            Err(error) => Err(error.into()),
        };
        sqlx::raw_sql("RESET ROLE; RESET lock_timeout").execute(&mut *conn).await?;
        conn.unlock().await?;
        result
    }
}

/// A lower-case letter, then letters, digits and `_`: such a name needs no quotes in SQL and leaves room for `_migrator`.
pub(crate) fn check_schema_name(schema: &str) -> Result<(), StartupError> {
    let begins = schema.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
    let goes_on = schema.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if begins && goes_on && schema.len() <= SCHEMA_NAME_MAX { Ok(()) } else { Err(StartupError::SchemaName(schema.to_owned())) }
}

fn table(schema: &str) -> String {
    format!("{schema}._sqlx_migrations")
}

fn rendered(schema: &str, version: i64, name: std::borrow::Cow<'static, str>, kind: MigrationType, text: &str, no_tx: bool) -> Migration {
    let sql = AssertSqlSafe(text.replace(":schema", schema)).into_sql_str();
    Migration::new(version, name, kind, sql, no_tx)
}

fn is_lock_timeout(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else { return false };
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "55P03")
}
