//! What a change costs after its commit: the sequencer and the relay, the consumer, and the way from one to the other.

use std::time::{Duration, Instant};

use contract::tasks::v1::{CreateWorkItemRequest, WorkItem, WorkItemCreated, work_item_service_client::WorkItemServiceClient};
use futures::{StreamExt, stream::FuturesUnordered};
use prost::Message;
use sqlx::{Connection, PgConnection};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tonic::transport::Channel;
use uuid::Uuid;

use super::{
    actor::signed,
    figures::{Run, figure},
    load::{median, percentile},
    report::Figure,
};

/// Events of a backlog.
const BACKLOG: i64 = 20_000;
/// Changes of the run that measures the way of one event, and the time between two.
const CHANGES: usize = 500;
const EVERY: Duration = Duration::from_millis(10);
/// How long a backlog may take.
const AT_MOST: Duration = Duration::from_secs(120);

impl Run<'_> {
    /// Everything about events.
    pub(super) async fn events(&self) -> anyhow::Result<Vec<Figure>> {
        let mut conn = PgConnection::connect(&self.suite.database_url()).await?;
        recorded(&mut conn).await?;
        let (mut relayed, mut taken) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let (relay, audit) = self.backlog(&mut conn).await?;
            relayed.push(BACKLOG as f64 / relay.as_secs_f64());
            taken.push(BACKLOG as f64 / audit.as_secs_f64());
        }
        let way = self.way(&mut conn).await?;
        conn.close().await?;
        let backlog = format!("a backlog of {BACKLOG}, the consumer paused");
        Ok(vec![
            figure("sequencer and relay: outbox to JetStream", format!("{:.0} events/s", median(relayed)), backlog, "stated", true),
            figure(
                "audit: JetStream to record",
                format!("{:.0} events/s", median(taken)),
                format!("a backlog of {BACKLOG}, dedupe and record in one transaction"),
                "stated",
                true,
            ),
            way,
        ])
    }

    /// How long the relay takes for a backlog, and then audit.
    async fn backlog(&self, conn: &mut PgConnection) -> anyhow::Result<(Duration, Duration)> {
        let (tasks, audit) = (&self.services[tasks::NAME], &self.services[audit::NAME]);
        audit.pause()?;
        tasks.pause()?;
        let filled = self.fill(conn).await;
        tasks.wake()?;
        filled?;
        let began = Instant::now();
        // A change of its own rings the bell; rows that appear by SQL don't.
        self.change(&self.tasks).await?;
        let relayed =
            until(conn, "SELECT NOT EXISTS (SELECT FROM tasks.outbox) AND position = published_position FROM tasks.event_head").await;
        let relay = began.elapsed();
        audit.wake()?;
        relayed?;
        let began = Instant::now();
        recorded(conn).await?;
        Ok((relay, began.elapsed()))
    }

    /// Puts a backlog into the outbox.
    async fn fill(&self, conn: &mut PgConnection) -> anyhow::Result<()> {
        let (organization, workspace) = (self.actor.organization_id.parse()?, self.actor.workspace_id.parse()?);
        let item = item(organization, workspace);
        sqlx::query(
            "INSERT INTO tasks.outbox (event_id, organization_id, type, aggregate, aggregate_id, create_time, audit_action, actor_kind,
                 actor_id, request_id, traceparent, redacted_paths, body)
             SELECT gen_random_uuid(), $1, 'muster.tasks.v1.WorkItemCreated', 'work_item', $2, now(), 'tasks.work_item.create', 'USER', $3,
                 'bench', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00', '{}', $4
             FROM generate_series(1, $5)",
        )
        .bind(organization)
        .bind(&item.work_item_id)
        .bind(&self.actor.user_id)
        .bind(WorkItemCreated { work_item_id: item.work_item_id.clone(), after: Some(item) }.encode_to_vec())
        .bind(BACKLOG)
        .execute(conn)
        .await?;
        Ok(())
    }

    /// From the commit of a change to the commit of its record by audit, at a hundred changes a second. They are made in a process of tasks that
    /// does not relay: the first one, which has just relayed a backlog, leads, and hears of each commit from the other as in production.
    async fn way(&self, conn: &mut PgConnection) -> anyhow::Result<Figure> {
        let (_follower, follower) = self.suite.another(tasks::NAME).await?;
        self.change(&follower).await?;
        recorded(conn).await?;
        let (mark,): (i64,) = sqlx::query_as("SELECT position FROM tasks.event_head").fetch_one(&mut *conn).await?;
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut changes = FuturesUnordered::new();
        for _ in 0..CHANGES {
            // Those on their way go on while the next one waits for its time.
            loop {
                tokio::select! {
                    _ = ticks.tick() => break,
                    Some(changed) = changes.next() => changed?,
                }
            }
            changes.push(self.change(&follower));
        }
        while let Some(changed) = changes.next().await {
            changed?;
        }
        recorded(conn).await?;
        anyhow::ensure!(self.suite.leads(tasks::NAME).await?, "the relay was in the process of the changes");
        let took = taken(conn, mark).await?;
        anyhow::ensure!(took.len() == CHANGES, "{} changes were recorded of {CHANGES}", took.len());
        let (p50, p99) = (percentile(&took, 50), percentile(&took, 99));
        Ok(figure(
            "commit of a change to commit of its audit record, relay in another process",
            format!("p50 {p50:.1?}, p99 {p99:.1?}"),
            format!("{CHANGES} changes, one every {EVERY:?}, open loop; both ends as PostgreSQL dates commits"),
            "p99 ≤ 100 ms",
            p99 <= Duration::from_millis(100),
        ))
    }

    /// Creates a work item in the process behind `tasks`.
    async fn change(&self, tasks: &Channel) -> anyhow::Result<()> {
        let request = CreateWorkItemRequest {
            workspace_id: self.actor.workspace_id.clone(),
            product_id: self.actor.products[0].clone(),
            title: "paint the shed".into(),
            ..Default::default()
        };
        WorkItemServiceClient::new(tasks.clone()).create_work_item(signed(request, &self.actor.authorization)?).await?;
        Ok(())
    }
}

/// How long each work item that was created after the position `mark` was on its way from its commit to that of its record; sorted.
async fn taken(conn: &mut PgConnection, mark: i64) -> anyhow::Result<Vec<Duration>> {
    let took: Vec<(f64,)> = sqlx::query_as(
        "SELECT extract(epoch FROM pg_xact_commit_timestamp(r.xmin) - pg_xact_commit_timestamp(w.xmin))::float8
         FROM audit.record r JOIN tasks.work_item w ON w.organization_id = r.organization_id AND w.work_item_id::text = r.resource_id
         WHERE r.service = 'tasks' AND r.type = 'muster.tasks.v1.WorkItemCreated' AND r.source_position > $1 ORDER BY 1",
    )
    .bind(mark)
    .fetch_all(conn)
    .await?;
    Ok(took.into_iter().map(|(seconds,)| Duration::from_secs_f64(seconds.max(0.0))).collect())
}

/// An item as an event carries it.
pub(super) fn item(organization: Uuid, workspace: Uuid) -> WorkItem {
    WorkItem {
        work_item_id: organization.to_string(),
        workspace_id: workspace.to_string(),
        product_id: workspace.to_string(),
        key: "B000-1".into(),
        title: "paint the shed".into(),
        reporter_id: organization.to_string(),
        etag: "1".into(),
        ..Default::default()
    }
}

/// Waits until audit has recorded every event of tasks.
async fn recorded(conn: &mut PgConnection) -> anyhow::Result<()> {
    until(
        conn,
        "SELECT NOT EXISTS (SELECT FROM tasks.outbox)
            AND (SELECT position FROM tasks.event_head) = (SELECT count(*) FROM audit.record WHERE service = 'tasks')",
    )
    .await
}

/// Waits until `statement` answers true.
pub(super) async fn until(conn: &mut PgConnection, statement: &'static str) -> anyhow::Result<()> {
    let began = Instant::now();
    while !sqlx::query_scalar::<_, bool>(statement).fetch_one(&mut *conn).await? {
        anyhow::ensure!(began.elapsed() < AT_MOST, "not within {AT_MOST:?}: {statement}");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
