//! Roles: made once however often they are asked for, and refused when they could get round the floors.

use db::{Db, DbConfig, Sealer, StartupError, roles};
use runtime::{Clock, Ids};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::pad::{Pad, config, database, stack};

/// A database whose schema and roles are named `schema`: roles belong to the whole server, and these tests change theirs.
async fn own(schema: &'static str) -> (DbConfig, PgConnection) {
    let name = database().await;
    let mut admin = PgConnection::connect(&stack().await.postgres_url("postgres", &name)).await.unwrap();
    roles::bootstrap(&mut admin, schema, &DbConfig::default()).await.unwrap();
    (config(&name).await, admin)
}

async fn connect(config: &DbConfig, schema: &'static str) -> Result<Db, StartupError> {
    Db::connect(config, schema, schema, Sealer::from_key(&[7; 32]), Clock::system(), Ids::system()).await
}

async fn refused(schema: &'static str, make_powerful: &'static str) -> &'static str {
    let (config, mut admin) = own(schema).await;
    sqlx::raw_sql(AssertSqlSafe(format!("GRANT USAGE ON SCHEMA {schema} TO {schema}_app, {schema}_worker")))
        .execute(&mut admin)
        .await
        .unwrap();
    connect(&config, schema).await.map(drop).expect("an ordinary login is taken");
    sqlx::raw_sql(AssertSqlSafe(make_powerful.replace(":schema", schema))).execute(&mut admin).await.unwrap();
    match connect(&config, schema).await.map(drop) {
        Err(StartupError::LoginTooPowerful { power, login }) => {
            assert!(login.starts_with(schema));
            power
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_superuser_is_refused() {
    assert_eq!(refused("ra", "ALTER ROLE :schema_app SUPERUSER").await, "is a superuser");
}

#[tokio::test]
async fn a_login_with_bypassrls_is_refused_also_for_the_worker() {
    assert_eq!(refused("rb", "ALTER ROLE :schema_worker BYPASSRLS").await, "has BYPASSRLS");
}

#[tokio::test]
async fn an_owner_is_refused() {
    assert_eq!(refused("rc", "ALTER SCHEMA :schema OWNER TO :schema_app").await, "is the schema's owner or a member of it");
}

#[tokio::test]
async fn a_member_of_the_owner_is_refused() {
    assert_eq!(refused("rd", "GRANT :schema_owner TO :schema_app").await, "is the schema's owner or a member of it");
}

#[tokio::test]
async fn a_member_of_a_role_that_no_floor_binds_is_refused() {
    let power = refused("re", "CREATE ROLE re_backup BYPASSRLS; GRANT re_backup TO :schema_app").await;
    assert_eq!(power, "is a member of a role that row-level security does not bind");
}

#[tokio::test]
async fn a_schema_that_is_not_there_is_said_so() {
    let (config, mut admin) = own("rf").await;
    sqlx::raw_sql("DROP SCHEMA rf").execute(&mut admin).await.unwrap();
    assert!(matches!(connect(&config, "rf").await.map(drop), Err(StartupError::SchemaMissing(schema)) if schema == "rf"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_are_made_once_by_many_at_once_in_two_databases() {
    let names = [database().await, database().await];
    let made = names.iter().cycle().take(8).map(|name| async move {
        let mut admin = PgConnection::connect(&stack().await.postgres_url("postgres", name)).await.unwrap();
        roles::bootstrap(&mut admin, "rg", &DbConfig { app_password: "pass'word".into(), ..DbConfig::default() }).await
    });
    for result in futures::future::join_all(made).await {
        result.unwrap();
    }
    let mut admin = PgConnection::connect(&stack().await.postgres_url("postgres", &names[0])).await.unwrap();
    let roles: Vec<(String, bool, bool, bool)> = sqlx::query_as(
        "SELECT rolname::text, rolcanlogin, rolsuper, rolbypassrls FROM pg_roles WHERE rolname LIKE 'rg\\_%' ORDER BY rolname",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    let expected = [("rg_app", true), ("rg_migrator", true), ("rg_owner", false), ("rg_worker", true)];
    assert_eq!(roles, expected.map(|(name, login)| (name.to_owned(), login, false, false)));
}

#[tokio::test]
async fn logins_carry_their_limits_and_notice_a_caller_that_is_gone() {
    let pad = Pad::new().await;
    let mut conn = pad.bare("pad_app").await;
    for (setting, value) in
        [("client_connection_check_interval", "250ms"), ("idle_in_transaction_session_timeout", "10s"), ("lock_timeout", "500ms")]
    {
        let shown: String = sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&mut conn).await.unwrap();
        assert_eq!(shown, value, "{setting}");
    }
}

#[tokio::test]
async fn a_login_can_t_reach_another_service_s_schema() {
    let (config, _) = own("rh").await;
    let pad = Pad::new().await;
    let mut admin = pad.admin().await;
    roles::bootstrap(&mut admin, "rh", &config).await.unwrap();
    let error = sqlx::query("SELECT FROM pad.weather").execute(&mut pad.bare("rh_app").await).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501");
}

#[tokio::test]
async fn the_leader_s_connection_is_the_worker_s_and_stands_outside_the_pool() {
    let pad = Pad::new().await;
    let mut conn = pad.db.worker_connection().await.unwrap();
    let who: String = sqlx::query_scalar("SELECT current_user::text").fetch_one(&mut conn).await.unwrap();
    assert_eq!((who.as_str(), pad.db.schema()), ("pad_worker", "pad"));
}
