//! What row security costs, where every statement has its explicit predicate too: in a call, and in the statement alone.

use std::{
    fmt::Write,
    str::FromStr,
    time::{Duration, Instant},
};

use contract::tasks::v1::{ImportPlanRequest, ListWorkItemsRequest, work_item_service_client::WorkItemServiceClient};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
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
/// Turns of the service with row security and without.
const TURNS: usize = 8;
/// Calls of one turn that are not counted: each connection plans anew after a change of the table.
const WARM: usize = 100;
/// Calls of one turn that are.
const CALLS: usize = 400;

/// What row security adds to ListWorkItems, and to its statement alone; both on the first page of a workspace's items.
pub(super) async fn figures(url: &str, tasks: &Channel, actor: &Actor) -> anyhow::Result<[Figure; 2]> {
    let client = WorkItemServiceClient::new(tasks.clone());
    import(client.clone(), actor).await?;
    let mut conn = PgConnection::connect(url).await?;
    sqlx::query("VACUUM ANALYZE tasks.work_item").execute(&mut conn).await?;
    let figures = [call(&mut conn, client, actor).await?, statement(&mut conn, url, actor).await?];
    conn.close().await?;
    Ok(figures)
}

async fn import(mut client: WorkItemServiceClient<Channel>, actor: &Actor) -> anyhow::Result<()> {
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
    client.import_plan(signed(request, &actor.authorization)?).await?;
    Ok(())
}

/// The query as its caller meets it: one call after the other, with row security on the table and, in turns, without.
async fn call(conn: &mut PgConnection, client: WorkItemServiceClient<Channel>, actor: &Actor) -> anyhow::Result<Figure> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for turn in 0..TURNS * 2 {
        let (verb, times) = if turn % 2 == 0 { ("DISABLE", &mut without) } else { ("ENABLE", &mut with) };
        sqlx::query(AssertSqlSafe(format!("ALTER TABLE tasks.work_item {verb} ROW LEVEL SECURITY"))).execute(&mut *conn).await?;
        for number in 0..WARM + CALLS {
            let request = ListWorkItemsRequest { workspace_id: actor.workspace_id.clone(), page_size: 50, ..Default::default() };
            let began = Instant::now();
            let page = client.clone().list_work_items(signed(request, &actor.authorization)?).await?.into_inner();
            anyhow::ensure!(page.work_items.len() == PAGE - 1, "a page is full");
            if number >= WARM {
                times.push(began.elapsed());
            }
        }
    }
    let Cost { with, percent, without } = Cost::of(with, without);
    let (value, against) = (format!("{with:.0} µs, {percent:+.1} %"), format!("the same call without, {without:.0} µs"));
    Ok(figure("row security: ListWorkItems, 50 of 5,000, median", value, against, "< 5 %", percent < 5.0))
}

/// The statement alone, as two logins send it.
async fn statement(free: &mut PgConnection, url: &str, actor: &Actor) -> anyhow::Result<Figure> {
    let [organization, workspace, user]: [Uuid; 3] = [actor.organization_id.parse()?, actor.workspace_id.parse()?, actor.user_id.parse()?];
    let mut bound = PgConnectOptions::from_str(url)?.username("tasks_app").connect().await?;
    for conn in [&mut *free, &mut bound] {
        // Else PostgreSQL may plan anew each time for one of them, and the comparison is of planning.
        sqlx::query("SET plan_cache_mode = force_generic_plan").execute(conn).await?;
    }
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..PAGES {
        with.push(read(&mut bound, organization, workspace, user).await?);
        without.push(read(free, organization, workspace, user).await?);
    }
    bound.close().await?;
    let Cost { with, percent, without } = Cost::of(with, without);
    let against = format!("the explicit predicate alone, {without:.0} µs; both with their plan at hand");
    Ok(figure("row security: its statement alone, median", format!("{with:.0} µs, {percent:+.1} %"), against, "told", true))
}

/// Two medians in microseconds, and by how many percent the first is more.
struct Cost {
    with: f64,
    without: f64,
    percent: f64,
}

impl Cost {
    fn of(with: Vec<Duration>, without: Vec<Duration>) -> Cost {
        let [with, without] = [with, without].map(|mut times| {
            times.sort();
            percentile(&times, 50).as_secs_f64() * 1e6
        });
        Cost { with, without, percent: (with / without - 1.0) * 100.0 }
    }
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
