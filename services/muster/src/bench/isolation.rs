//! What row security costs: the same statement, with its explicit predicate, by a login that row security binds and by one that it does not.

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

use super::{actor::Actor, figures::figure, load::percentile, report::Figure};

/// Rows that a page of 50 reads: one more tells whether there is another.
pub(super) const PAGE: usize = 51;
/// Pages that each login reads, in turns.
const PAGES: usize = 2_000;

/// The first page of a workspace's items.
pub(super) async fn page(url: &str, actor: &Actor) -> anyhow::Result<Figure> {
    let [organization, workspace, user]: [Uuid; 3] = [actor.organization_id.parse()?, actor.workspace_id.parse()?, actor.user_id.parse()?];
    let mut free = PgConnection::connect(url).await?;
    sqlx::query("ANALYZE tasks.work_item").execute(&mut free).await?;
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
