use tokio::time::{Duration, sleep, timeout};

use crate::child::Process;
use crate::verbs::change;
use crate::world::World;

/// How long the leader is frozen: `make chaos` asks for longer than any timeout here.
fn freeze() -> Duration {
    Duration::from_secs(if std::env::var_os("MUSTER_SOAK").is_some() { 30 } else { 4 })
}

#[tokio::test]
async fn a_frozen_leader_is_replaced_and_can_break_nothing_when_it_thaws() {
    let world = World::new().await;
    world.audit_takes().await;
    let db = world.db("tasks").await;
    let leader = Process::run(&world, "tasks");
    for _ in 0..20 {
        change(&db, "thing").await;
    }
    world.await_count("SELECT position FROM tasks.event_head", 20).await;
    leader.freeze();
    let (standby, _) = world.running("tasks").await;
    let write = async {
        let mut written = 20;
        let until = tokio::time::Instant::now() + freeze();
        while tokio::time::Instant::now() < until {
            change(&db, &format!("thing-{}", written % 3)).await;
            written += 1;
            sleep(Duration::from_millis(10)).await;
        }
        written
    };
    let mut written = write.await;
    assert!(standby.is_leader(), "nobody took over");
    leader.thaw();
    for _ in 0..50 {
        change(&db, "thing").await;
        written += 1;
    }
    world.assert_conserved(written).await;
    world.assert_effects_in_order().await;
    assert!(standby.is_leader());
}

#[tokio::test]
async fn a_leader_frozen_amid_its_work_leaves_no_gap() {
    let world = World::new().await;
    world.audit_takes().await;
    let db = world.db("tasks").await;
    let processes = [Process::run(&world, "tasks"), Process::run(&world, "tasks")];
    let mut written = 0;
    for round in 0..6 {
        let frozen = &processes[round % 2];
        for number in 0..30 {
            if number == 10 {
                frozen.freeze();
            }
            change(&db, &format!("thing-{}", number % 3)).await;
            written += 1;
        }
        sleep(Duration::from_millis(1_300)).await;
        frozen.thaw();
    }
    world.assert_conserved(written).await;
    world.assert_effects_in_order().await;
}

#[tokio::test]
async fn a_standby_leads_when_the_leader_is_killed() {
    let world = World::new().await;
    let db = world.db("tasks").await;
    let leader = Process::run(&world, "tasks");
    change(&db, "thing").await;
    world.await_count("SELECT published_position FROM tasks.event_head", 1).await;
    let (standby, _) = world.running("tasks").await;
    sleep(Duration::from_millis(500)).await;
    assert!(!standby.is_leader());
    drop(leader);
    change(&db, "thing").await;
    world.await_count("SELECT published_position FROM tasks.event_head", 2).await;
    assert!(standby.is_leader());
}

#[tokio::test]
async fn of_three_sequencers_one_leads() {
    let world = World::new().await;
    world.audit_takes().await;
    let mut logs = Vec::new();
    for _ in 0..3 {
        logs.push(world.running("tasks").await.0);
    }
    let db = world.db("tasks").await;
    for number in 0..60 {
        change(&db, &format!("thing-{}", number % 3)).await;
        assert!(logs.iter().filter(|log| log.is_leader()).count() <= 1);
    }
    world.assert_conserved(60).await;
    world.assert_effects_in_order().await;
}

#[tokio::test]
async fn a_leader_that_is_asked_to_stop_hands_over() {
    let world = World::new().await;
    let db = world.db("tasks").await;
    let (first, stop) = world.running("tasks").await;
    change(&db, "thing").await;
    world.await_count("SELECT position FROM tasks.event_head", 1).await;
    let (second, _) = world.running("tasks").await;
    stop.request();
    let handed_over = timeout(Duration::from_secs(10), async {
        while !second.is_leader() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    handed_over.await.expect("the second never led");
    assert!(!first.is_leader());
}

#[tokio::test]
async fn a_leader_whose_session_is_ended_again_and_again_leaves_no_gap() {
    let world = World::new().await;
    world.audit_takes().await;
    let logs = [world.running("tasks").await, world.running("tasks").await];
    let db = world.db("tasks").await;
    for number in 0..200 {
        change(&db, &format!("thing-{}", number % 3)).await;
        if number % 20 == 0 {
            let held = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database \
                 WHERE locktype = 'advisory' AND datname = current_database()";
            world.count(held).await;
        }
    }
    world.assert_conserved(200).await;
    world.assert_effects_in_order().await;
    drop(logs);
}
