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
