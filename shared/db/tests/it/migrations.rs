//! Migrations: up, status, down, up again; as the owner; and every table carries its marks.

use db::{DbConfig, Migrator, StartupError, roles};
use sqlx::migrate::{Migration, MigrationType, Migrator as Files};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqlSafeStr};

use crate::pad::{Pad, SCHEMA, config, database, migrator, stack};

/// An empty database with the roles and the schema, and the migrator's connection to it.
async fn empty() -> (String, PgConnection) {
    let name = database().await;
    let mut admin = PgConnection::connect(&stack().await.postgres_url("postgres", &name)).await.unwrap();
    roles::bootstrap(&mut admin, SCHEMA, &DbConfig::default()).await.unwrap();
    let conn = db::migrator_connection(&config(&name).await, SCHEMA).await.unwrap();
    (name, conn)
}

fn file(version: i64, text: &str) -> Migration {
    Migration::new(version, "made".into(), MigrationType::ReversibleUp, AssertSqlSafe(text).into_sql_str(), false)
}

#[tokio::test]
async fn a_schema_goes_up_down_and_up_again() {
    let (_, mut conn) = empty().await;
    let migrator = migrator();
    assert_eq!(migrator.status(&mut conn).await.unwrap().iter().map(|one| one.applied).collect::<Vec<_>>(), [false, false]);
    assert_eq!(migrator.down(&mut conn).await.unwrap(), None);
    assert_eq!(migrator.up(&mut conn).await.unwrap(), [1, 100]);
    assert_eq!(migrator.up(&mut conn).await.unwrap(), Vec::<i64>::new());
    assert_eq!(migrator.down(&mut conn).await.unwrap(), Some(100));
    let status = migrator.status(&mut conn).await.unwrap();
    assert_eq!(
        status.iter().map(|one| (one.version, one.name.as_str(), one.applied)).collect::<Vec<_>>(),
        [(1, "foundation", true), (100, "note", false)]
    );
    assert_eq!(migrator.up(&mut conn).await.unwrap(), [100]);
    assert_eq!(migrator.down(&mut conn).await.unwrap(), Some(100));
    assert_eq!(migrator.down(&mut conn).await.unwrap(), Some(1));
    let left = "SELECT count(*) FROM pg_class WHERE relnamespace = 'pad'::regnamespace AND relname NOT LIKE '\\_sqlx%'";
    assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(&mut conn).await.unwrap(), 0);
    assert_eq!(migrator.up(&mut conn).await.unwrap(), [1, 100]);
}

#[tokio::test]
async fn everything_belongs_to_the_owner_who_can_t_log_in() {
    let (_, mut conn) = empty().await;
    migrator().up(&mut conn).await.unwrap();
    let others = "SELECT count(*) FROM pg_class WHERE relnamespace = 'pad'::regnamespace AND relowner <> 'pad_owner'::regrole";
    assert_eq!(sqlx::query_scalar::<_, i64>(others).fetch_one(&mut conn).await.unwrap(), 0);
    assert!(PgConnection::connect(&stack().await.postgres_url("pad_owner", "postgres")).await.is_err());
    let role: String = sqlx::query_scalar("SELECT current_user::text").fetch_one(&mut conn).await.unwrap();
    assert_eq!(role, "pad_migrator", "the connection is as it was");
}

#[tokio::test]
async fn two_migrators_at_once_apply_each_file_once() {
    let (name, mut one) = empty().await;
    let mut two = db::migrator_connection(&config(&name).await, SCHEMA).await.unwrap();
    let migrator = migrator();
    let (first, second) = futures::join!(migrator.up(&mut one), migrator.up(&mut two));
    let mut applied = [first.unwrap(), second.unwrap()];
    applied.sort();
    assert_eq!(applied, [vec![], vec![1, 100]]);
}

#[tokio::test]
async fn a_file_that_was_changed_after_it_was_applied_is_refused() {
    let (_, mut conn) = empty().await;
    let migrator = |text: &str| Migrator::new(SCHEMA, &Files::with_migrations(vec![file(100, text)])).unwrap();
    migrator("CREATE TABLE :schema.a ()").up(&mut conn).await.unwrap();
    let changed = migrator("CREATE TABLE :schema.b ()").up(&mut conn).await;
    assert!(matches!(changed, Err(StartupError::Migration(_))), "{changed:?}");
    let down = migrator("CREATE TABLE :schema.a ()").down(&mut conn).await;
    assert!(matches!(down, Err(StartupError::Migration(_))), "it has no way back: {down:?}");
}

#[tokio::test]
async fn a_file_that_fails_leaves_nothing_of_itself_and_frees_the_lock() {
    let (name, mut conn) = empty().await;
    let broken = Files::with_migrations(vec![file(100, "CREATE TABLE :schema.a (); SELECT 1/0")]);
    assert!(Migrator::new(SCHEMA, &broken).unwrap().up(&mut conn).await.is_err());
    let mut other = db::migrator_connection(&config(&name).await, SCHEMA).await.unwrap();
    assert_eq!(migrator().up(&mut other).await.unwrap(), [100], "the foundation stayed, the broken file did not");
}

#[tokio::test]
async fn a_name_that_needs_quotes_is_refused() {
    for name in ["", "Pad", "1pad", "pad-x", "pad;drop", "pad\"", &"p".repeat(41)] {
        assert!(matches!(Migrator::new(name, &Files::with_migrations(vec![])), Err(StartupError::SchemaName(_))), "{name}");
    }
}

/// Name, comment, RLS enabled and forced, restrictive and permissive policies of the app role, whether more is granted than may be.
type Marks = (String, Option<String>, bool, bool, i64, i64, bool);

#[tokio::test]
async fn every_table_carries_the_marks_of_its_class() {
    let pad = Pad::new().await;
    let tables: Vec<Marks> = sqlx::query_as(
        "SELECT c.relname::text, obj_description(c.oid), c.relrowsecurity, c.relforcerowsecurity,
                (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid AND NOT p.polpermissive AND 'pad_app'::regrole = ANY (p.polroles)),
                (SELECT count(*) FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive AND 'pad_app'::regrole = ANY (p.polroles)),
                has_table_privilege('pad_app', c.oid, 'TRUNCATE') OR has_table_privilege('pad_app', c.oid, 'REFERENCES')
                    OR has_table_privilege('pad_worker', c.oid, 'TRUNCATE')
         FROM pg_class c WHERE c.relnamespace = 'pad'::regnamespace AND c.relkind = 'r' AND c.relname NOT LIKE '\\_sqlx%'",
    )
    .fetch_all(&mut pad.admin().await)
    .await
    .unwrap();
    assert_eq!(tables.len(), 13);
    for (name, comment, enabled, forced, floors, allows, too_much) in tables {
        let comment = comment.unwrap_or_else(|| panic!("{name} has no class"));
        let (class, why) = comment.split_once(": ").unwrap();
        let floors_wanted = match class {
            // With an exception a floor for each verb: only the one for reading has it.
            "TENANT" if name == "firm" => 4,
            "TENANT" | "WORKSPACE" => 1,
            "USER" => 4,
            "SERVICE" => 0,
            other => panic!("{name}: {other}"),
        };
        assert_eq!((floors, allows), (floors_wanted, i64::from(floors_wanted > 0)), "{name}");
        assert_eq!((enabled, forced), (class != "SERVICE", class != "SERVICE"), "{name}");
        assert!(!too_much && !why.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn functions_are_nobody_s_until_they_are_granted() {
    let pad = Pad::new().await;
    let callable = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'pad'::regnamespace AND has_function_privilege('pad_app', oid, 'EXECUTE') AND proname LIKE 'mark%'";
    assert_eq!(pad.count(callable).await, 0);
    let open = "SELECT count(*) FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a WHERE pronamespace = 'pad'::regnamespace AND a.grantee = 0";
    assert_eq!(pad.count(open).await, 0, "nothing is granted to everybody");
}

#[tokio::test]
async fn the_command_brings_an_empty_database_to_the_newest_schema() {
    let url = stack().await.postgres_url("postgres", &database().await);
    let run = |folder: &str| {
        let folder = format!("rm={}/{folder}", env!("CARGO_MANIFEST_DIR"));
        std::process::Command::new(env!("CARGO_BIN_EXE_migrate")).arg(folder).env("DATABASE_URL", &url).output().unwrap()
    };
    for said in ["rm: 2 applied\n", "rm: 0 applied\n"] {
        let output = run("tests/migrations");
        assert_eq!(String::from_utf8_lossy(&output.stdout), said, "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(!run("tests/no_such_folder").status.success());
    let mut conn = PgConnection::connect(&url).await.unwrap();
    let owner: String = sqlx::query_scalar("SELECT relowner::regrole::text FROM pg_class WHERE oid = 'rm.note'::regclass")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    assert_eq!(owner, "rm_owner");
}

#[tokio::test]
async fn a_service_knows_how_far_its_schema_is() {
    let pad = Pad::new().await;
    assert_eq!(pad.db.migrated_to().await.unwrap(), Some(migrator().newest()));
}
