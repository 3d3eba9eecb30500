//! Rows of one tenant never reach another: by the floors, and through a pool of one connection under random cancellation.

use std::time::Duration;

use authz::Workspaces;
use db::{Error as DbError, Tx};
use rand::Rng;
use rpc::Caller;
use runtime::{Ids, OrganizationId, WorkspaceId};
use sqlx::{PgConnection, Row};

use crate::pad::{Error, Pad, insert, of_time, organization, tell, titles, user_of};

async fn organizations(tx: &mut Tx) -> Result<Vec<OrganizationId>, DbError> {
    Ok(sqlx::query_scalar("SELECT organization_id FROM pad.note").fetch_all(tx.conn()).await?)
}

/// Two tenants with a note each, and an hour for their calls: a long run outlasts what background work has.
async fn two_tenants(pad: &Pad) -> [Caller; 2] {
    let hour = Duration::from_secs(3_600);
    let callers = [of_time(organization(), hour).await, of_time(organization(), hour).await];
    for caller in &callers {
        pad.db.write_unrecorded(caller, async |tx| insert(tx, "mine").await).await.unwrap();
    }
    callers
}

#[tokio::test]
async fn each_tenant_sees_its_own_rows_alone() {
    let pad = Pad::new().await;
    for caller in two_tenants(&pad).await {
        assert_eq!(pad.db.read(&caller, organizations).await.unwrap(), [caller.organization_id()]);
    }
}

#[tokio::test]
async fn without_the_floor_foreign_rows_appear() {
    let pad = Pad::new().await;
    let [ana, _] = two_tenants(&pad).await;
    sqlx::query("DROP POLICY floor ON pad.note").execute(&mut pad.admin().await).await.unwrap();
    assert_eq!(pad.db.read(&ana, organizations).await.unwrap().len(), 2, "the tests of this file can fail");
    assert_eq!(pad.db.read(&ana, own_and_foreign).await.unwrap(), (1, 1));
}

#[tokio::test]
async fn a_forgotten_tenant_sees_and_writes_nothing() {
    let pad = Pad::new().await;
    two_tenants(&pad).await;
    let mut conn = pad.bare("pad_app").await;
    assert_eq!(notes(&mut conn).await, 0, "never set");
    sqlx::raw_sql("BEGIN; SELECT set_config('muster.organization', '00000000-0000-0000-0000-000000000000', true); COMMIT")
        .execute(&mut conn)
        .await
        .unwrap();
    assert_eq!(notes(&mut conn).await, 0, "set before");
    let insert = "INSERT INTO pad.note (organization_id, note_id, title) VALUES (gen_random_uuid(), gen_random_uuid(), 'x')";
    let error = sqlx::query(insert).execute(&mut conn).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501");
}

async fn notes(conn: &mut PgConnection) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM pad.note").fetch_one(conn).await.unwrap()
}

#[tokio::test]
async fn a_row_can_t_be_given_to_another_tenant() {
    let pad = Pad::new().await;
    let [ana, bob] = two_tenants(&pad).await;
    let stolen = pad
        .db
        .write_unrecorded(&ana, async |tx| {
            sqlx::query("UPDATE pad.note SET organization_id = $1").bind(bob.organization_id()).execute(tx.conn()).await?;
            Ok::<_, DbError>(())
        })
        .await;
    assert!(matches!(stolen, Err(DbError::Fatal(_))));
}

#[tokio::test]
async fn a_workspace_floor_lets_pass_what_the_caller_reaches() {
    let pad = Pad::new().await;
    let owner = user_of(organization());
    let workspaces: Vec<WorkspaceId> = (0..3).map(|_| Ids::system().next_id()).collect();
    let insert =
        "INSERT INTO pad.paper (organization_id, workspace_id, paper_id) SELECT $1, w, gen_random_uuid() FROM unnest($2::uuid[]) AS w";
    let write =
        async |tx: &mut Tx| Ok::<_, DbError>(sqlx::query(insert).bind(tx.organization_id()).bind(&workspaces).execute(tx.conn()).await?);
    pad.db.write_unrecorded(&owner, write).await.unwrap();
    assert_eq!(owner.workspaces(), Workspaces::All);
    for (reached, seen) in [(owner.clone(), 3), (owner.within(workspaces[..2].to_vec()), 2), (owner.within(vec![]), 0)] {
        assert_eq!(pad.db.read(&reached, papers).await.unwrap(), seen);
    }
    let foreign = pad.db.write_unrecorded(&owner.within(workspaces[..1].to_vec()), write).await;
    assert!(matches!(foreign, Err(DbError::Fatal(_))), "a row of a workspace out of reach can't be written");
    assert_eq!(pad.db.read(&user_of(organization()), papers).await.unwrap(), 0, "all workspaces of one's own tenant");
}

async fn papers(tx: &mut Tx) -> Result<i64, DbError> {
    let row = sqlx::query("SELECT count(*), bool_and(pad.reaches_workspace(workspace_id)) FROM pad.paper").fetch_one(tx.conn()).await?;
    assert_ne!(row.get::<Option<bool>, _>(1), Some(false), "the function says the same as the floor");
    Ok(row.get(0))
}

#[tokio::test]
async fn an_exception_inside_the_floor_opens_one_table_for_reading_in_scope_system_alone() {
    let pad = Pad::new().await;
    for _ in 0..2 {
        let found = async |tx: &mut Tx| {
            let organization = tx.organization_id();
            Ok::<_, DbError>(sqlx::query("INSERT INTO pad.firm VALUES ($1)").bind(organization).execute(tx.conn()).await?)
        };
        pad.db.write_unrecorded(&user_of(organization()), found).await.unwrap();
    }
    let mut conn = pad.bare("pad_app").await;
    for (system, firms) in [("", 0), ("off", 0), ("on", 2)] {
        sqlx::query("SELECT set_config('muster.system', $1, false)").bind(system).execute(&mut conn).await.unwrap();
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM pad.firm").fetch_one(&mut conn).await.unwrap();
        assert_eq!(seen, firms, "{system}");
    }
    // What is seen of others is theirs: the floor of every verb that writes has no exception.
    let insert = sqlx::query("INSERT INTO pad.firm VALUES (gen_random_uuid())").execute(&mut conn).await.unwrap_err();
    assert_eq!(insert.as_database_error().unwrap().code().unwrap(), "42501");
    for write in ["UPDATE pad.firm SET organization_id = organization_id", "DELETE FROM pad.firm", "SELECT FROM pad.firm FOR UPDATE"] {
        let touched = sqlx::query(write).execute(&mut conn).await.unwrap().rows_affected();
        assert_eq!(touched, 0, "{write}");
    }
}

#[tokio::test]
async fn a_diary_is_written_by_its_person_and_read_where_it_is_shared() {
    let pad = Pad::new().await;
    let (ana, bob) = (user_of(organization()), user_of(organization()));
    let user = ana.user_id().unwrap();
    let write = async |tx: &mut Tx| {
        let insert = "INSERT INTO pad.diary (user_id, day, shared) VALUES ($1, 1, false), ($1, 2, true)";
        Ok::<_, DbError>(sqlx::query(insert).bind(user).execute(tx.conn()).await?.rows_affected())
    };
    assert!(pad.db.write_unrecorded(&bob, write).await.is_err(), "bob can't write ana's diary");
    assert_eq!(pad.db.write_unrecorded(&ana, write).await.unwrap(), 2);
    let days = async |tx: &mut Tx| {
        Ok::<Vec<i32>, DbError>(sqlx::query_scalar("SELECT day FROM pad.diary ORDER BY day").fetch_all(tx.conn()).await?)
    };
    assert_eq!(pad.db.read(&ana, days).await.unwrap(), [1, 2]);
    assert_eq!(pad.db.read(&bob, days).await.unwrap(), [2]);
    let tear = async |tx: &mut Tx| Ok::<_, DbError>(sqlx::query("DELETE FROM pad.diary").execute(tx.conn()).await?.rows_affected());
    assert_eq!(pad.db.write_unrecorded(&bob, tear).await.unwrap(), 0, "what can be read can't be torn out");
    assert_eq!(pad.db.write_unrecorded(&ana, tear).await.unwrap(), 2);
}

#[tokio::test]
async fn the_worker_sees_the_tables_that_name_it_alone() {
    let pad = Pad::new().await;
    let [ana, _] = two_tenants(&pad).await;
    pad.db.write_unrecorded(&ana, async |tx| tell(tx, "told").await).await.unwrap();
    let outbox =
        pad.db.work(async |tx| Ok::<i64, DbError>(sqlx::query_scalar("SELECT count(*) FROM pad.outbox").fetch_one(tx.conn()).await?)).await;
    assert_eq!(outbox.unwrap(), 1);
    let notes =
        pad.db.work(async |tx| Ok::<i64, DbError>(sqlx::query_scalar("SELECT count(*) FROM pad.note").fetch_one(tx.conn()).await?)).await;
    assert!(matches!(notes, Err(DbError::Fatal(_))));
}

/// Two tenants share one connection; calls are dropped at random moments. 10^4 calls, or 10^5 with MUSTER_SOAK. Every note is written with
/// an event, so that their numbers must agree in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_foreign_row_comes_through_a_pool_of_one_under_cancellation() {
    let calls = if std::env::var_os("MUSTER_SOAK").is_some() { 50_000 } else { 5_000 };
    let pad = Pad::sized(1).await;
    let callers = two_tenants(&pad).await;
    let done = futures::future::join_all(callers.iter().map(|caller| interleaved(&pad, caller, calls))).await;
    let (finished, cancelled) = done.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    println!("{finished} calls finished, {cancelled} cancelled, 0 foreign rows");
    assert!(finished > 0 && cancelled > 0, "both happened: {finished} finished, {cancelled} cancelled");
    let unequal = "SELECT count(*) - 2 - (SELECT count(*) FROM pad.outbox) FROM pad.note";
    assert_eq!(pad.count(unequal).await, 0, "a note without its event, or an event without its note");
}

async fn interleaved(pad: &Pad, caller: &Caller, calls: usize) -> (usize, usize) {
    let (mut finished, mut cancelled) = (0, 0);
    for call in 0..calls {
        let patience = if rand::rng().random_ratio(1, 10) {
            Duration::from_micros(rand::rng().random_range(1..3_000))
        } else {
            Duration::from_secs(60)
        };
        let own = async {
            if call % 10 == 0 {
                pad.db.write_unrecorded(caller, async |tx| tell(tx, &call.to_string()).await.map(drop)).await?;
            }
            Ok::<_, Error>(pad.db.read(caller, own_and_foreign).await?)
        };
        match tokio::time::timeout(patience, own).await {
            Ok(Ok((own, foreign))) => {
                assert_eq!(foreign, 0, "a foreign row");
                assert!(own > 0);
                finished += 1;
            }
            Ok(Err(error)) => panic!("{error:?}"),
            Err(_) => cancelled += 1,
        }
    }
    (finished, cancelled)
}

async fn own_and_foreign(tx: &mut Tx) -> Result<(i64, i64), DbError> {
    let organization = tx.organization_id();
    let query = "SELECT count(*) FILTER (WHERE organization_id = $1), count(*) FILTER (WHERE organization_id <> $1) FROM pad.note";
    Ok(sqlx::query_as(query).bind(organization).fetch_one(tx.conn()).await?)
}

#[tokio::test]
async fn a_service_s_transaction_after_a_user_s_is_in_its_own_organization_and_has_no_user() {
    let pad = Pad::sized(1).await;
    let [ana, _] = two_tenants(&pad).await;
    pad.db.read(&ana, titles).await.unwrap();
    let nobody = Caller::background("pad", OrganizationId::SYSTEM, None);
    let set = async |tx: &mut Tx| {
        let query =
            "SELECT current_setting('muster.organization') || current_setting('muster.user') || current_setting('muster.workspaces')";
        Ok::<String, DbError>(sqlx::query_scalar(query).fetch_one(tx.conn()).await?)
    };
    assert_eq!(pad.db.read(&nobody, set).await.unwrap(), "00000000-0000-0000-0000-000000000000*");
}
