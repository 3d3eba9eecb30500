//! The reasons that need an operator's hand: a lock that is held, a database that refuses, a log that forgot, a service that is not ready.

use std::time::Duration;

use muster::serve::Conditions;
use muster_tests::{Actor, world::World};
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{
    Seen,
    common::{ended, eventually_refused, resume_token},
};

pub(super) async fn provoke(world: &World, seen: &mut Seen) {
    world.suite.settle().await;
    let mut conn = world.suite.database().await;
    conflict(world, seen, &mut conn).await;
    expired_resume_token(world, seen, &mut conn).await;
    away_and_broken(world, seen, &mut conn).await;
    let over = world.ana_of_an_hour_ago().await;
    seen.note("muster/TOKEN_EXPIRED", over.call("identity.SessionService/ListSessions", json!({})).await);
    not_ready(world, seen).await;
}

async fn run(conn: &mut PgConnection, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(conn).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// Somebody else holds the row for longer than a call waits for it.
async fn conflict(world: &World, seen: &mut Seen, conn: &mut PgConnection) {
    let mut tx = conn.begin().await.unwrap();
    run(&mut tx, &format!("SELECT FROM tasks.work_item WHERE work_item_id = '{}' FOR UPDATE", world.work_item_id)).await;
    let change =
        json!({"workspaceId": world.workspace_id, "workItem": {"workItemId": world.work_item_id, "title": "mine"}, "updateMask": "title"});
    seen.note("muster/CONFLICT", world.ana.call("tasks.WorkItemService/UpdateWorkItem", change).await);
    tx.rollback().await.unwrap();
}

/// The log no longer reaches back to the token.
async fn expired_resume_token(world: &World, seen: &mut Seen, conn: &mut PgConnection) {
    let token = resume_token(world).await;
    for title in ["one", "two", "three"] {
        world.work_item(title).await;
    }
    world.suite.settle().await;
    run(conn, "DELETE FROM tasks.event WHERE position < (SELECT max(position) FROM tasks.event)").await;
    let resumed = json!({"workspaceId": world.workspace_id, "resumeToken": token});
    let watch = world.ana.stream_at("tasks", "tasks.WorkItemService/WatchWorkItems", resumed).await;
    seen.keep("muster/RESUME_TOKEN_EXPIRED", ended(watch).await);
}

/// The database lets nobody in, then lacks a table.
async fn away_and_broken(world: &World, seen: &mut Seen, conn: &mut PgConnection) {
    let list = async || world.ana.call("audit.AuditService/ListEvents", json!({})).await;
    run(conn, "ALTER ROLE audit_app CONNECTION LIMIT 0").await;
    run(conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'audit_app'").await;
    seen.note("muster/DEPENDENCY_UNAVAILABLE", eventually_refused(list).await);
    run(conn, "ALTER ROLE audit_app CONNECTION LIMIT -1").await;
    run(conn, "ALTER TABLE audit.record RENAME TO mislaid").await;
    let broken = loop {
        let answer = list().await;
        if answer.as_ref().err().is_none_or(|fault| fault.reason != "DEPENDENCY_UNAVAILABLE") {
            break answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    run(conn, "ALTER TABLE audit.mislaid RENAME TO record").await;
    seen.note("muster/INTERNAL", broken);
}

/// A replica of tasks that reaches neither identity nor authorization.
async fn not_ready(world: &World, seen: &mut Seen) {
    let (alone, places) = world
        .suite
        .replica("tasks", Conditions::default(), |config| {
            for peer in ["identity", "authorization"] {
                config.suite.peers.insert(peer.to_owned(), "http://127.0.0.1:9".to_owned());
            }
        })
        .await;
    let early = Actor::nobody(places).with_token(&world.ana.token);
    seen.note("muster/NOT_READY", early.call("tasks.ProductService/ListProducts", json!({"workspaceId": world.workspace_id})).await);
    alone.stop().await;
}
