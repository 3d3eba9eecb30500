//! Migrations of every service's own tables: each can be rolled back, and taken again, and leaves the schema as it found it.

use devstack::{Options, Stack};
use muster::{config::Config, migrate};
use runtime::config::Secret;
use sqlx::{Connection, PgConnection};

/// Versions below are the foundation's, which every schema keeps.
const OWN: i64 = 100;

/// Everything that is declared in schema `$1`, a line each: tables with owners, grants and comments, columns, constraints, indexes, policies,
/// triggers, functions.
const CATALOGUE: &str = "
    WITH class AS (SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1)
    SELECT line FROM (
        SELECT format('relation %s %s %s %s %s %s %s', relname, relkind, relowner::regrole, relrowsecurity, relforcerowsecurity, relacl,
                      obj_description(oid, 'pg_class')) FROM class
        UNION ALL SELECT format('column %s.%s %s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                                pg_get_expr(d.adbin, d.adrelid), a.attacl)
            FROM class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        UNION ALL SELECT format('constraint %s %s %s', c.relname, k.conname, pg_get_constraintdef(k.oid))
            FROM class c JOIN pg_constraint k ON k.conrelid = c.oid
        UNION ALL SELECT 'index ' || pg_get_indexdef(i.indexrelid) FROM class c JOIN pg_index i ON i.indrelid = c.oid
        UNION ALL SELECT format('policy %s %s %s %s %s %s', tablename, policyname, permissive, roles, qual, with_check)
            FROM pg_policies WHERE schemaname = $1
        UNION ALL SELECT 'trigger ' || pg_get_triggerdef(t.oid) FROM class c JOIN pg_trigger t ON t.tgrelid = c.oid WHERE NOT t.tgisinternal
        UNION ALL SELECT format('function %s %s', pg_get_functiondef(p.oid), p.proacl)
            FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = $1
    ) AS declared (line) ORDER BY line";

async fn catalogue(conn: &mut PgConnection, schema: &str) -> Vec<String> {
    sqlx::query_scalar(CATALOGUE).bind(schema).fetch_all(conn).await.unwrap()
}

/// Rolls back the service's own migrations, newest first; answers how many there were.
async fn roll_back(config: &Config, name: &str) -> usize {
    let mut steps = 0;
    while newest(config, name).await >= OWN {
        migrate::down(&config.database, name).await.unwrap_or_else(|error| panic!("{name}: {error:#}"));
        steps += 1;
    }
    steps
}

async fn newest(config: &Config, name: &str) -> i64 {
    let all = migrate::status(&config.database, &[name.to_owned()]).await.unwrap();
    all.into_iter().filter(|(_, status)| status.applied).map(|(_, status)| status.version).max().unwrap_or_default()
}

#[tokio::test]
async fn every_schema_goes_down_and_up_again() {
    let stack = Stack::start(Options { nats: false, redis: false, ..Options::temporary() }).await.unwrap();
    let mut config = Config::default();
    config.database.url = Secret::from(stack.postgres_url("postgres", "muster").as_str());
    migrate::create_database(&Secret::from(stack.postgres_url("postgres", "postgres").as_str()), "muster").await.unwrap();
    migrate::bootstrap(&config.database.url, &config.database).await.unwrap();
    migrate::up(&config.database, &[]).await.unwrap();
    let mut conn = PgConnection::connect(config.database.url.expose()).await.unwrap();
    for (name, schema, _) in migrate::SCHEMAS {
        let whole = catalogue(&mut conn, schema).await;
        let steps = roll_back(&config, name).await;
        assert!(steps > 0, "{name} has migrations of its own");
        let bare = catalogue(&mut conn, schema).await;
        let own = bare.iter().filter(|line| !whole.contains(line)).collect::<Vec<_>>();
        assert!(own.is_empty() && bare.len() < whole.len(), "{name}: rolling back leaves {own:#?}");
        migrate::up(&config.database, &[name.to_owned()]).await.unwrap();
        assert_eq!(catalogue(&mut conn, schema).await, whole, "{name} is as it was");
        roll_back(&config, name).await;
        assert_eq!(catalogue(&mut conn, schema).await, bare, "{name} is rolled back as before");
    }
    conn.close().await.unwrap();
    stack.stop().await;
}
