use async_nats::jetstream;
use events::Filter;
use tokio::time::{Duration, sleep};

use crate::verbs::change;
use crate::world::World;

#[tokio::test]
async fn with_the_bus_away_changes_go_on_and_watchers_see_them() {
    let world = World::new().await;
    let (log, _) = world.running("tasks").await;
    world.audit_takes().await;
    let db = world.db("tasks").await;
    change(&db, "thing").await;
    world.assert_conserved(1).await;
    world.nats.kill().await;
    for _ in 0..20 {
        change(&db, "thing").await;
    }
    let mut tail = log.tail(Some(0), Filter::all()).await.unwrap();
    while tail.position() < 21 {
        tail.next().await.unwrap();
    }
    assert_eq!(world.count("SELECT published_position FROM tasks.event_head").await, 1);
    world.nats.restart().await.unwrap();
    world.assert_conserved(21).await;
    world.assert_effects_in_order().await;
}

#[tokio::test]
async fn a_service_starts_before_its_bus_does() {
    let world = World::new().await;
    world.nats.kill().await;
    let (_log, _) = world.running("tasks").await;
    world.audit_takes().await;
    change(&world.db("tasks").await, "thing").await;
    world.await_count("SELECT position FROM tasks.event_head", 1).await;
    world.nats.restart().await.unwrap();
    world.assert_conserved(1).await;
}

#[tokio::test]
async fn a_bus_that_was_frozen_loses_nothing() {
    let world = World::new().await;
    let (_log, _) = world.running("tasks").await;
    world.audit_takes().await;
    let db = world.db("tasks").await;
    change(&db, "thing").await;
    world.assert_conserved(1).await;
    world.nats.pause();
    for _ in 0..20 {
        change(&db, "thing").await;
    }
    sleep(Duration::from_secs(7)).await;
    world.nats.resume();
    world.assert_conserved(21).await;
    world.assert_effects_in_order().await;
}

#[tokio::test]
async fn a_bus_that_lost_its_store_is_filled_again_from_the_log() {
    let world = World::new().await;
    let (_log, _) = world.running("tasks").await;
    world.audit_takes().await;
    let db = world.db("tasks").await;
    for _ in 0..30 {
        change(&db, "thing").await;
    }
    world.assert_conserved(30).await;
    let jetstream = jetstream::new(world.client().await);
    jetstream.delete_stream("MUSTER_TASKS").await.unwrap();
    world.nats.kill().await;
    world.nats.restart().await.unwrap();
    for _ in 0..5 {
        change(&db, "thing").await;
    }
    world.assert_conserved(35).await;
    world.assert_effects_in_order().await;
    let stream = jetstream.get_stream("MUSTER_TASKS").await.unwrap();
    assert_eq!(stream.get_info().await.unwrap().state.messages, 35);
}

#[tokio::test]
async fn a_consumer_deleted_on_the_server_is_made_anew() {
    let world = World::new().await;
    let (_log, _) = world.running("tasks").await;
    world.audit_takes().await;
    let db = world.db("tasks").await;
    for _ in 0..10 {
        change(&db, "thing").await;
    }
    world.assert_conserved(10).await;
    let stream = jetstream::new(world.client().await).get_stream("MUSTER_TASKS").await.unwrap();
    stream.delete_consumer("audit").await.unwrap();
    for _ in 0..10 {
        change(&db, "thing").await;
    }
    world.assert_conserved(20).await;
    world.assert_effects_in_order().await;
}

#[tokio::test]
async fn everything_published_twice_has_its_effect_once() {
    let world = World::new().await;
    let (_log, _) = world.running("tasks").await;
    world.audit_takes().await;
    let db = world.db("tasks").await;
    for number in 0..40 {
        change(&db, &format!("thing-{}", number % 3)).await;
    }
    world.assert_conserved(40).await;
    let client = world.client().await;
    let jetstream = jetstream::new(client.clone());
    let stream = jetstream.get_stream("MUSTER_TASKS").await.unwrap();
    for sequence in 1..=40 {
        let message = stream.get_raw_message(sequence).await.unwrap();
        let mut headers = async_nats::HeaderMap::new();
        for (name, values) in message.headers.iter().filter(|(name, _)| AsRef::<str>::as_ref(*name).starts_with("ce-")) {
            headers.insert(name.clone(), values[0].clone());
        }
        jetstream.publish_with_headers(message.subject, headers, message.payload).await.unwrap().await.unwrap();
    }
    await_acknowledged(&stream, 80).await;
    world.assert_conserved(40).await;
    assert_eq!(stream.get_info().await.unwrap().state.messages, 80);
}

#[tokio::test]
async fn a_relay_that_forgot_its_cursor_stores_nothing_twice() {
    let world = World::new().await;
    let (_log, stop) = world.running("tasks").await;
    world.audit_takes().await;
    let db = world.db("tasks").await;
    for _ in 0..25 {
        change(&db, "thing").await;
    }
    world.assert_conserved(25).await;
    stop.request();
    sleep(Duration::from_millis(300)).await;
    world.count("WITH forgot AS (UPDATE tasks.event_head SET published_position = 0 RETURNING 1) SELECT count(*) FROM forgot").await;
    let (_log, _) = world.running("tasks").await;
    change(&db, "thing").await;
    world.assert_conserved(26).await;
    let stream = jetstream::new(world.client().await).get_stream("MUSTER_TASKS").await.unwrap();
    assert_eq!(stream.get_info().await.unwrap().state.messages, 26);
}

/// Waits until the consumer `audit` has acknowledged everything up to `sequence`.
pub(crate) async fn await_acknowledged(stream: &jetstream::stream::Stream, sequence: u64) {
    for _ in 0..800 {
        let info = stream.consumer_info("audit").await.unwrap();
        if info.ack_floor.stream_sequence == sequence {
            return;
        }
        sleep(Duration::from_millis(25)).await;
    }
    panic!("the consumer never acknowledged message {sequence}");
}
