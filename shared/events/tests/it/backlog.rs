use tokio::time::{Duration, sleep};

use crate::verbs::change;
use crate::world::World;

const BACKLOG: i64 = 3_000;
const FILL: &str = "INSERT INTO tasks.outbox (event_id, organization_id, type, aggregate, aggregate_id, create_time, audit_action, actor_kind, actor_id,
                        request_id, traceparent, redacted_paths, body)
                    SELECT gen_random_uuid(), gen_random_uuid(), 'muster.tasks.v1.ProductCreated', 'product', n::text, now(), 'test', 'SERVICE', 'test',
                           'test', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00', '{}', '' FROM generate_series(1, 3000) n";

#[tokio::test]
async fn a_backlog_is_not_read_anew_for_each_row_though_its_plan_is_from_when_the_outbox_was_empty() {
    let world = World::new().await;
    let (_log, _) = world.running("tasks").await;
    change(&world.db("tasks").await, "thing").await;
    world.await_count("SELECT position FROM tasks.event_head", 1).await;
    sqlx::raw_sql("VACUUM ANALYZE tasks.outbox").execute(&world.sql).await.unwrap();
    assert_eq!(world.count("SELECT relpages::bigint FROM pg_class WHERE oid = 'tasks.outbox'::regclass").await, 0);
    // Looks at an empty outbox, after some of which PostgreSQL keeps a plan.
    sleep(Duration::from_secs(2)).await;
    sqlx::raw_sql(FILL).execute(&world.sql).await.unwrap();
    world.await_count("SELECT published_position FROM tasks.event_head", BACKLOG + 1).await;
    let told = |column: &str| format!("SELECT {column} FROM pg_stat_user_tables WHERE schemaname = 'tasks' AND relname = 'outbox'");
    world.await_count(&told("n_tup_del"), BACKLOG + 1).await;
    assert_eq!(world.count(&told("seq_tup_read")).await, 0, "rows were read one after the other");
    let read = world.count(&told("idx_tup_fetch")).await;
    assert!(read <= 4 * BACKLOG, "{read} rows were read");
    world.assert_log_is_whole(BACKLOG + 1).await;
}
