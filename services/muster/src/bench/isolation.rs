//! What row security costs: the same statement, with its explicit predicate, by a login that row security binds and by one that it does not.

use std::{
    fmt::Write,
    str::FromStr,
    time::{Duration, Instant},
};

use contract::tasks::v1::{ImportPlanRequest, work_item_service_client::WorkItemServiceClient};
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tonic::transport::Channel;
use uuid::Uuid;

use super::{
    actor::{Actor, signed},
    figures::figure,
    load::percentile,
    report::Figure,
};

/// Rows that a page of 50 reads: one more tells whether there is another.
const PAGE: usize = 51;
/// Items of the workspace: as many as one plan may bring.
const ITEMS: usize = 5_000;
/// Pages that each login reads, in turns.
const PAGES: usize = 4_000;

/// The first page of a workspace's items.
pub(super) async fn page(url: &str, tasks: &Channel, actor: &Actor) -> anyhow::Result<Figure> {
    let mut plan = String::new();
    for number in 0..ITEMS {
        writeln!(plan, "- [ ] Item {number} of a plan, with a title of the usual length\n  - and a line that describes it")?;
    }
    let request = ImportPlanRequest {
        workspace_id: actor.workspace_id.clone(),
        product_id: actor.products.first().cloned().unwrap_or_default(),
        document: "isolation".into(),
        markdown: plan,
        ..Default::default()
    };
    WorkItemServiceClient::new(tasks.clone()).import_plan(signed(request, &actor.authorization)?).await?;
    let [organization, workspace, user]: [Uuid; 3] = [actor.organization_id.parse()?, actor.workspace_id.parse()?, actor.user_id.parse()?];
    let mut free = PgConnection::connect(url).await?;
    sqlx::query("VACUUM ANALYZE tasks.work_item").execute(&mut free).await?;
    let mut bound = PgConnectOptions::from_str(url)?.username("tasks_app").connect().await?;
    for conn in [&mut free, &mut bound] {
        // Else PostgreSQL may plan anew each time for one of them, and the comparison is of planning.
        sqlx::query("SET plan_cache_mode = force_generic_plan").execute(conn).await?;
    }
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..PAGES {
        with.push(read(&mut bound, organization, workspace, user).await?);
        without.push(read(&mut free, organization, workspace, user).await?);
    }
    bound.close().await?;
    free.close().await?;
    with.sort();
    without.sort();
    let (with, without) = (percentile(&with, 50).as_secs_f64(), percentile(&without, 50).as_secs_f64());
    let cost = (with / without - 1.0) * 100.0;
    Ok(figure(
        "row security: a page of 50 work items, median",
        format!("{:.0} µs, {cost:+.1} %", with * 1e6),
        format!("the explicit predicate alone, {:.0} µs; both with their plan at hand", without * 1e6),
        "< 5 %",
        cost < 5.0,
    ))
}

/// One page in a transaction like those of the service; the time of the statement alone.
async fn read(conn: &mut PgConnection, organization: Uuid, workspace: Uuid, user: Uuid) -> anyhow::Result<Duration> {
    let mut tx = conn.begin().await?;
    sqlx::query(
        "SELECT set_config('muster.organization', $1, true), set_config('muster.user', $2, true),
                set_config('muster.workspaces', '*', true), set_config('muster.system', '', true)",
    )
    .bind(organization.to_string())
    .bind(user.to_string())
    .execute(&mut *tx)
    .await?;
    let began = Instant::now();
    let rows = sqlx::query(
        "SELECT work_item_id, number, key, parent_id, type, title, description, state, priority, effort, assignee_ids, reporter_id, labels,
                due_time, version, create_time, update_time, delete_time
         FROM tasks.work_item WHERE organization_id = $1 AND workspace_id = $2 AND delete_time IS NULL
         ORDER BY create_time, work_item_id LIMIT 51",
    )
    .bind(organization)
    .bind(workspace)
    .fetch_all(&mut *tx)
    .await?;
    let took = began.elapsed();
    anyhow::ensure!(rows.len() == PAGE, "a page is full");
    tx.commit().await?;
    Ok(took)
}
