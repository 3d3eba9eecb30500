//! What the machine gives at best, measured in the same run as what we make of it.

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Params, Version};
use contract::tasks::v1::WorkItemCreated;
use prost::Message;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use uuid::Uuid;

use super::events;

/// H: argon2id verifications a second on every core, with `memory_kib` and `passes`, each core with its own memory.
pub(super) fn hashes(memory_kib: u32, passes: u32, duration: Duration) -> anyhow::Result<f64> {
    let params = Params::new(memory_kib, passes, 1, Some(32)).map_err(|error| anyhow::anyhow!("{error}"))?;
    let cores = std::thread::available_parallelism()?.get();
    let began = Instant::now();
    let workers: Vec<_> = (0..cores)
        .map(|_| {
            let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
            std::thread::spawn(move || {
                let mut memory = vec![argon2::Block::default(); argon.params().block_count()];
                let (mut out, mut count) = ([0_u8; 32], 0_u64);
                while began.elapsed() < duration {
                    if argon.hash_password_into_with_memory(b"correct horse", b"salt of sixteen!", &mut out, &mut memory).is_ok() {
                        count += 1;
                    }
                }
                count
            })
        })
        .collect();
    let count: u64 = workers.into_iter().filter_map(|worker| worker.join().ok()).sum();
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// P: the statements that CreateWorkItem sends, over a pool of the same size, by the same login, without anything around them.
pub(super) struct Statements {
    pool: PgPool,
    organization: Uuid,
    workspace: Uuid,
    user: Uuid,
    products: Vec<Uuid>,
    body: Vec<u8>,
}

impl Statements {
    /// Over the database at `url`, with `connections`.
    pub(super) async fn new(
        url: &str,
        connections: u32,
        organization: Uuid,
        workspace: Uuid,
        user: Uuid,
        products: Vec<Uuid>,
    ) -> anyhow::Result<Self> {
        let options = PgConnectOptions::from_str(url)?.username("tasks_app");
        let pool = PgPoolOptions::new().max_connections(connections).min_connections(connections).test_before_acquire(false);
        let item = events::item(organization, workspace);
        let body = WorkItemCreated { work_item_id: item.work_item_id.clone(), after: Some(item) }.encode_to_vec();
        Ok(Statements { pool: pool.connect_with(options).await?, organization, workspace, user, products, body })
    }

    /// One transaction.
    pub(super) async fn create(&self, place: usize, ids: &runtime::Ids) -> anyhow::Result<()> {
        let mut conn = self.pool.acquire().await?;
        let begin = format!(
            "BEGIN; SELECT set_config('muster.organization','{}',true), set_config('muster.user','{}',true), \
             set_config('muster.workspaces','*',true), set_config('muster.system','',true), \
             set_config('statement_timeout','4980',true), set_config('lock_timeout','500',true)",
            self.organization, self.user
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(begin)).execute(&mut *conn).await?;
        sqlx::query(
            "WITH numbered AS (
               UPDATE tasks.product SET next_number = next_number + 1 WHERE organization_id = $1 AND workspace_id = $2 AND product_id = $3
               RETURNING key, next_number - 1 AS number)
             INSERT INTO tasks.work_item (organization_id, workspace_id, product_id, work_item_id, number, key, parent_id, type, title,
                 description, state, priority, effort, assignee_ids, reporter_id, labels, due_time, version, create_time, update_time)
             SELECT $1, $2, $3, $4, numbered.number, numbered.key || '-' || numbered.number, NULL, 6, 'paint the shed', '', 1, 0, 0, '{}', $5,
                 '{}', NULL, 1, now(), now()
             FROM numbered RETURNING number, key",
        )
        .bind(self.organization)
        .bind(self.workspace)
        .bind(self.products[place % self.products.len()])
        .bind(ids.next())
        .bind(self.user)
        .execute(&mut *conn)
        .await?;
        sqlx::query(
            "INSERT INTO tasks.outbox (event_id, organization_id, type, aggregate, aggregate_id, create_time, audit_action, actor_kind,
                 actor_id, session_id, request_id, traceparent, causation_id, origin, redacted_paths, body)
             VALUES ($1, $2, 'muster.tasks.v1.WorkItemCreated', 'work_item', $3, now(), 'tasks.work_item.create', 'USER', $4, NULL, $5,
                 '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', NULL, $7, '{}', $6)",
        )
        .bind(ids.next())
        .bind(self.organization)
        .bind(ids.next().to_string())
        .bind(self.user.to_string())
        .bind(ids.next().to_string())
        .bind(&self.body)
        // As long as a sealed address and agent.
        .bind(vec![7_u8; 96])
        .execute(&mut *conn)
        .await?;
        sqlx::raw_sql("COMMIT").execute(&mut *conn).await?;
        Ok(())
    }

    /// Closes the pool.
    pub(super) async fn close(self) {
        self.pool.close().await;
    }
}
