//! Every table says in which class it stands, and the catalogue of PostgreSQL says that it is kept so.

use devstack::{Options, Stack};
use muster::migrate::{self, SCHEMAS};
use runtime::config::Secret;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

/// Tables of a tenant without an index that leads with it: nobody who is bound by the floor searches them.
const WITHOUT_TENANT_INDEX: [(&str, &str); 2] =
    [("outbox", "calls only insert; the sequencer reads in the order of the sequence"), ("event", "read by position, as the worker")];

const VERBS: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// Functions that run with the owner's rights: look-ups before there is a principal.
const DEFINERS: [&str; 15] = [
    "identity.active_user",
    "identity.email_change_recipient",
    "identity.has_system_admin",
    "identity.inviting_organization",
    "identity.is_pending",
    "identity.is_system_admin",
    "identity.my_memberships",
    "identity.own_credential",
    "identity.own_password_hashes",
    "identity.pending_verification",
    "identity.recipient",
    "identity.reset_factors",
    "identity.session_policy",
    "identity.sign_in_credential",
    "identity.username_taken",
];

/// A database with every schema as the migrations make it, and no service on it.
async fn database() -> (Stack, PgConnection) {
    runtime::init_crypto();
    let stack = Stack::start(Options { redis: false, nats: false, ..Options::temporary() }).await.unwrap();
    let url = Secret::from(stack.postgres_url("postgres", "muster").as_str());
    migrate::create_database(&Secret::from(stack.postgres_url("postgres", "postgres").as_str()), "muster").await.unwrap();
    let config = db::DbConfig { url: url.clone(), ..db::DbConfig::default() };
    migrate::bootstrap(&url, &config).await.unwrap();
    migrate::up(&config, &[]).await.unwrap();
    let conn = PgConnection::connect(url.expose()).await.unwrap();
    (stack, conn)
}

/// What is wrong with the tables of `schema`, in words.
async fn wrong(conn: &mut PgConnection, schema: &str) -> Vec<String> {
    let query = "SELECT c.relname::text AS name, c.relrowsecurity AND c.relforcerowsecurity AS forced, coalesce(obj_description(c.oid, 'pg_class'), '') AS mark,
               pg_get_userbyid(c.relowner)::text AS owner,
               (SELECT coalesce(string_agg(p.cmd || ' ' || coalesce(p.qual, '') || ' ' || coalesce(p.with_check, ''), E'\\n'), '') FROM pg_policies p
                WHERE p.schemaname = n.nspname AND p.tablename = c.relname AND p.permissive = 'RESTRICTIVE' AND p.roles = ARRAY[($1 || '_app')::name]) AS floors,
               EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
                       WHERE i.indrelid = c.oid AND a.attname = 'organization_id') AS tenant_index,
               (SELECT coalesce(string_agg(DISTINCT g.privilege_type || ' of ' || CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee)::text END, ', '), '')
                FROM aclexplode(c.relacl) g WHERE g.grantee <> c.relowner
                AND (g.grantee = 0 OR g.is_grantable OR g.privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE'))) AS too_much
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND c.relname <> '_sqlx_migrations' ORDER BY 1";
    let rows = sqlx::query(query).bind(schema).fetch_all(&mut *conn).await.unwrap();
    assert!(rows.len() > 7, "{schema} has tables of its own beside those of the event log");
    let mut wrong = Vec::new();
    for row in rows {
        let (name, floors, mark): (String, String, String) = (row.get("name"), row.get("floors"), row.get("mark"));
        let mut complain = |what: &str| wrong.push(format!("{schema}.{name} {what}"));
        let class = mark.split_once(": ").filter(|(_, why)| !why.is_empty()).map_or("", |(class, _)| class);
        let holds = |words: &[&str]| {
            let floor = |verb: &str| {
                let of = |floor: &&str| floor.starts_with("ALL") || floor.starts_with(verb);
                floors.lines().filter(of).any(|floor| words.iter().all(|word| floor.contains(word)))
            };
            VERBS.iter().all(|verb| floor(verb))
        };
        let writes = |floor: &str| ["ALL", "INSERT", "UPDATE", "DELETE"].iter().any(|verb| floor.starts_with(verb));
        match class {
            "TENANT" if floors.lines().any(|floor| writes(floor) && floor.contains(" OR ")) => complain("lets an exception write"),
            "TENANT" if !holds(&["organization_id = ", "tenant()"]) => complain("has no tenant floor"),
            "WORKSPACE" if !holds(&["organization_id = ", "tenant()", "workspace_id = ", "workspaces()"]) => {
                complain("has no workspace floor")
            }
            "USER" => {
                for verb in VERBS {
                    if !floors.lines().any(|floor| floor.starts_with(verb) && floor.contains("current_user_id()")) {
                        complain(&format!("has no user floor for {verb}"));
                    }
                }
            }
            "TENANT" | "WORKSPACE" | "SERVICE" => {}
            _ => complain("does not say its class"),
        }
        if class != "SERVICE" && !row.get::<bool, _>("forced") {
            complain("does not force row-level security");
        }
        if matches!(class, "TENANT" | "WORKSPACE")
            && !row.get::<bool, _>("tenant_index")
            && !WITHOUT_TENANT_INDEX.iter().any(|(exempt, _)| *exempt == name)
        {
            complain("has no index that leads with the tenant");
        }
        if row.get::<String, _>("owner") != format!("{schema}_owner") {
            complain("belongs to another role than the owner");
        }
        let too_much: String = row.get("too_much");
        if !too_much.is_empty() {
            complain(&format!("grants too much: {too_much}"));
        }
    }
    wrong
}

#[tokio::test]
async fn every_table_says_its_class_and_is_kept_in_it() {
    let (stack, mut conn) = database().await;
    for (_, schema, _) in SCHEMAS {
        assert_eq!(wrong(&mut conn, schema).await, [""; 0]);
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_floor_that_is_taken_away_is_noticed() {
    let (stack, mut conn) = database().await;
    let floors = "SELECT schemaname || '.' || tablename, policyname::text FROM pg_policies WHERE policyname LIKE 'floor%'";
    let floors: Vec<(String, String)> = sqlx::query_as(floors).fetch_all(&mut conn).await.unwrap();
    let mut changes: Vec<(String, String)> =
        floors.into_iter().map(|(table, floor)| (format!("DROP POLICY {floor} ON {table}"), format!("{table} has no"))).collect();
    assert!(changes.len() > 20, "{changes:?}");
    changes.extend(
        [
            ("ALTER TABLE tasks.work_item NO FORCE ROW LEVEL SECURITY", "tasks.work_item does not force"),
            ("COMMENT ON TABLE tasks.work_item IS NULL", "tasks.work_item does not say its class"),
            ("GRANT TRUNCATE ON tasks.work_item TO tasks_app", "tasks.work_item grants too much: TRUNCATE of tasks_app"),
            ("GRANT SELECT ON tasks.work_item TO PUBLIC", "tasks.work_item grants too much: SELECT of PUBLIC"),
            ("ALTER TABLE tasks.work_item OWNER TO tasks_app", "tasks.work_item belongs to another role"),
            ("CREATE TABLE tasks.fresh (organization_id uuid)", "tasks.fresh does not say its class"),
            (
                "ALTER POLICY floor_update ON identity.organization USING (organization_id = identity.tenant() OR identity.in_system_scope())",
                "identity.organization lets an exception write",
            ),
        ]
        .map(|(change, complaint)| (change.to_owned(), complaint.to_owned())),
    );
    for (change, complaint) in changes {
        let schema = SCHEMAS.iter().map(|(_, schema, _)| *schema).find(|schema| complaint.starts_with(&format!("{schema}."))).unwrap();
        let mut tx = conn.begin().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(change.as_str())).execute(&mut *tx).await.unwrap();
        let wrong = wrong(&mut tx, schema).await;
        assert!(wrong.iter().any(|what| what.starts_with(&complaint)), "{change} was not noticed: {wrong:?}");
        tx.rollback().await.unwrap();
    }
    stack.stop().await;
}

#[tokio::test]
async fn the_logins_of_a_service_have_no_power_and_see_no_other_schema() {
    let (stack, mut conn) = database().await;
    for (_, schema, _) in SCHEMAS {
        for login in ["app", "worker"].map(|suffix| format!("{schema}_{suffix}")) {
            let query = "SELECT rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication
                    OR EXISTS (SELECT FROM pg_auth_members WHERE member = r.oid) OR EXISTS (SELECT FROM pg_class WHERE relowner = r.oid)
                    OR EXISTS (SELECT FROM pg_namespace WHERE nspowner = r.oid) FROM pg_roles r WHERE rolname = $1";
            let powerful: bool = sqlx::query_scalar(query).bind(&login).fetch_one(&mut conn).await.unwrap();
            assert!(!powerful, "{login} has power over more than rows");
            for (_, other, _) in SCHEMAS {
                let sees: bool = sqlx::query_scalar("SELECT has_schema_privilege($1, $2, 'USAGE')")
                    .bind(&login)
                    .bind(other)
                    .fetch_one(&mut conn)
                    .await
                    .unwrap();
                assert_eq!(sees, other == schema, "{login} and the schema {other}");
            }
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn functions_with_the_owner_s_rights_are_listed_one_by_one() {
    let (stack, mut conn) = database().await;
    let query = "SELECT n.nspname || '.' || p.proname, coalesce('search_path=\"\"' = ANY (p.proconfig), false) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                 WHERE p.prosecdef AND n.nspname <> 'pg_catalog' ORDER BY 1";
    let found: Vec<(String, bool)> = sqlx::query_as(query).fetch_all(&mut conn).await.unwrap();
    assert_eq!(found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), DEFINERS);
    assert!(found.iter().all(|(_, fixed)| *fixed), "each has a search path of its own: {found:?}");
    stack.stop().await;
}
