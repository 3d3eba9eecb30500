use tokio::time::{Duration, sleep};

use crate::child::Process;
use crate::verbs::change;
use crate::world::World;

/// How often each point kills: `make chaos` asks for more.
fn kills() -> u32 {
    if std::env::var_os("MUSTER_SOAK").is_some() { 50 } else { 2 }
}

/// Kills the process of `role` at `point` again and again while things change, then lets everything run to its end.
async fn survives(role: &str, point: &str) {
    let world = World::new().await;
    let db = world.db("tasks").await;
    let other = Process::run(&world, if role == "tasks" { "audit" } else { "tasks" });
    let mut written = 0;
    for kill in 1..=kills() {
        let mut victim = Process::crashing(&world, role, point, kill);
        while victim.lives() {
            change(&db, &format!("thing-{}", written % 2)).await;
            written += 1;
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(victim.crash_point(), point);
    }
    let healthy = Process::run(&world, role);
    world.assert_conserved(written).await;
    world.assert_effects_in_order().await;
    drop((other, healthy));
}

#[tokio::test]
async fn killed_between_publishing_and_its_confirmation() {
    survives("tasks", "relay_after_publish_before_ack").await;
}

#[tokio::test]
async fn killed_between_the_confirmation_and_the_cursor() {
    survives("tasks", "relay_after_ack_before_cursor").await;
}

#[tokio::test]
async fn killed_between_the_effect_and_its_commit() {
    survives("audit", "consumer_after_effect_before_commit").await;
}

#[tokio::test]
async fn killed_between_the_commit_and_the_acknowledgement() {
    survives("audit", "consumer_after_commit_before_ack").await;
}

/// Kills one who changes things at `point` again and again: what was committed is told, what was not never happened.
async fn writer_survives(point: &str) {
    let world = World::new().await;
    let (_log, _) = world.running("tasks").await;
    world.audit_takes().await;
    for kill in 1..=kills() {
        let mut victim = Process::crashing(&world, "writer", point, 5 * kill);
        while victim.lives() {
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(victim.crash_point(), point);
    }
    world.await_count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'", 0).await;
    let written = world.count("SELECT count(*) FROM tasks.change").await;
    assert!(written > 0);
    world.assert_conserved(written).await;
    world.assert_effects_in_order().await;
}

#[tokio::test]
async fn a_writer_killed_after_begin() {
    writer_survives("after_begin").await;
}

#[tokio::test]
async fn a_writer_killed_after_its_change() {
    writer_survives("after_domain_write").await;
}

#[tokio::test]
async fn a_writer_killed_between_outbox_and_commit() {
    writer_survives("after_outbox_insert").await;
}

#[tokio::test]
async fn a_writer_killed_between_commit_and_reply() {
    writer_survives("after_commit_before_reply").await;
}
