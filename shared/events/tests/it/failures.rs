use std::sync::atomic::Ordering;

use async_nats::jetstream;
use events::Filter;
use tokio::time::{Duration, sleep, timeout};

use crate::faults::await_acknowledged;
use crate::verbs::{Notes, acme, change};
use crate::world::World;

const BURIED: &str = "SELECT count(*) FROM audit.dead_letter WHERE consumer = 'audit'";

#[tokio::test]
async fn one_poisonous_event_in_a_hundred_is_parked_with_its_cause_and_holds_up_nobody() {
    let world = World::new().await;
    let (_log, _) = world.running("tasks").await;
    world.audit_takes_with(Notes { poison: vec!["thing-37".to_owned()], ..Notes::default() }).await;
    let db = world.db("tasks").await;
    for number in 0..200 {
        change(&db, &format!("thing-{}", number % 100)).await;
    }
    world.await_count("SELECT count(*) FROM audit.inbox", 198).await;
    world.await_count(BURIED, 2).await;
    assert_eq!(world.count("SELECT count(*) FROM audit.effect").await, 198);
    let causes: Vec<(String, i32)> = sqlx::query_as("SELECT cause, attempts FROM audit.dead_letter").fetch_all(&world.sql).await.unwrap();
    assert_eq!(causes, vec![("thing-37 is poison".to_owned(), 1); 2]);
}

#[tokio::test]
async fn garbage_on_the_bus_is_parked_and_stops_neither_consumer_nor_relay() {
    let world = World::new().await;
    let (_log, stop) = world.running("tasks").await;
    world.audit_takes().await;
    let db = world.db("tasks").await;
    change(&db, "thing").await;
    world.assert_conserved(1).await;
    let jetstream = jetstream::new(world.client().await);
    let subject = format!("muster.tasks.v1.work_item.updated.{}", acme());
    jetstream.publish(subject, "no event".into()).await.unwrap().await.unwrap();
    world.await_count(BURIED, 1).await;
    stop.request();
    let (_log, _) = world.running("tasks").await;
    change(&db, "thing").await;
    world.assert_conserved(2).await;
    let parked: (String, Vec<u8>, i64) =
        sqlx::query_as("SELECT cause, body, stream_sequence FROM audit.dead_letter").fetch_one(&world.sql).await.unwrap();
    assert_eq!(parked, ("the message has no headers".to_owned(), b"no event".to_vec(), 2));
}

#[tokio::test]
async fn an_origin_that_does_not_open_holds_back_no_event() {
    let world = World::new().await;
    let db = world.db("tasks").await;
    change(&db, "thing").await;
    sqlx::query("UPDATE tasks.outbox SET origin = 'sealed under another key'").execute(&world.sql).await.unwrap();
    change(&db, "thing").await;
    let (log, _) = world.running("tasks").await;
    world.audit_takes().await;
    world.assert_conserved(2).await;
    let mut tail = log.tail(Some(0), Filter::all()).await.unwrap();
    assert_eq!(tail.next().await.unwrap().event.unwrap().envelope.client_address, "");
}

#[tokio::test]
async fn an_event_that_names_another_service_than_its_stream_is_parked() {
    let world = World::new().await;
    let (_log, _) = world.running("tasks").await;
    world.audit_takes().await;
    change(&world.db("tasks").await, "thing").await;
    world.assert_conserved(1).await;
    let jetstream = jetstream::new(world.client().await);
    let message = jetstream.get_stream("MUSTER_TASKS").await.unwrap().get_raw_message(1).await.unwrap();
    let mut headers = message.headers.clone();
    headers.insert("ce-source", "/muster/identity");
    headers.insert("ce-id", runtime::Ids::system().next().to_string());
    headers.insert("Nats-Msg-Id", "forged");
    jetstream.publish_with_headers(message.subject, headers, message.payload).await.unwrap().await.unwrap();
    world.await_count(BURIED, 1).await;
    assert_eq!(world.count("SELECT count(*) FROM audit.effect").await, 1);
}

#[tokio::test]
async fn a_failing_event_is_tried_again_and_keeps_its_place_before_later_ones() {
    let world = World::new().await;
    let (_log, _) = world.running("tasks").await;
    let notes = Notes { fragile: vec!["thing-1".to_owned()], ..Notes::default() };
    notes.broken.store(true, Ordering::SeqCst);
    world.audit_takes_with(notes.clone()).await;
    let db = world.db("tasks").await;
    for number in 0..9 {
        change(&db, &format!("thing-{}", number % 3)).await;
    }
    world.await_count("SELECT count(*) FROM audit.effect WHERE thing_id <> 'thing-1'", 6).await;
    assert_eq!(world.count("SELECT count(*) FROM audit.effect WHERE thing_id = 'thing-1'").await, 0);
    notes.broken.store(false, Ordering::SeqCst);
    world.assert_conserved(9).await;
    world.assert_effects_in_order().await;
    assert_eq!(world.count("SELECT count(*) FROM audit.inbox_attempt").await, 0);
    assert_eq!(world.count(BURIED).await, 0);
}

#[tokio::test]
async fn an_event_that_fails_every_time_is_parked_after_its_last_try() {
    let world = World::new().await;
    let (_log, _) = world.running("tasks").await;
    let notes = Notes { fragile: vec!["thing-1".to_owned()], ..Notes::default() };
    notes.broken.store(true, Ordering::SeqCst);
    world.audit_takes_with(notes).await;
    let db = world.db("tasks").await;
    for number in 0..6 {
        change(&db, &format!("thing-{}", number % 3)).await;
    }
    world.await_count(BURIED, 2).await;
    let tries: Vec<(String, i32)> = sqlx::query_as("SELECT cause, attempts FROM audit.dead_letter").fetch_all(&world.sql).await.unwrap();
    assert_eq!(tries, vec![("thing-1 is broken".to_owned(), 4); 2]);
    assert_eq!(world.count("SELECT count(*) FROM audit.effect").await, 4);
    assert_eq!(world.count("SELECT count(*) FROM audit.inbox_attempt").await, 0);
}

#[tokio::test]
async fn a_panicking_handler_costs_one_try_and_not_the_process() {
    let world = World::new().await;
    let (_log, _) = world.running("tasks").await;
    let notes = Notes::default();
    notes.panics.store(true, Ordering::SeqCst);
    world.audit_takes_with(notes).await;
    let db = world.db("tasks").await;
    for _ in 0..3 {
        change(&db, "thing").await;
    }
    world.assert_conserved(3).await;
    world.assert_effects_in_order().await;
}

#[tokio::test]
async fn while_postgres_is_away_no_try_is_counted() {
    let world = World::new().await;
    let (_log, _) = world.running("tasks").await;
    world.audit_takes().await;
    let db = world.db("tasks").await;
    change(&db, "thing").await;
    world.assert_conserved(1).await;
    // The consumer's logins alone are shut out, so that the producer goes on.
    for role in ["audit_app", "audit_worker"] {
        set_login(&world, role, false).await;
    }
    for _ in 0..10 {
        change(&db, "thing").await;
    }
    world.await_count("SELECT published_position FROM tasks.event_head", 11).await;
    sleep(Duration::from_secs(3)).await;
    for role in ["audit_app", "audit_worker"] {
        set_login(&world, role, true).await;
    }
    world.assert_conserved(11).await;
    world.assert_effects_in_order().await;
    assert_eq!(world.count(BURIED).await, 0);
    let stream = jetstream::new(world.client().await).get_stream("MUSTER_TASKS").await.unwrap();
    await_acknowledged(&stream, 11).await;
}

/// Lets a role into this test's database, or ends its sessions and keeps it out.
async fn set_login(world: &World, role: &str, allowed: bool) {
    let database: String = sqlx::query_scalar("SELECT current_database()").fetch_one(&world.sql).await.unwrap();
    let verb = if allowed {
        format!("GRANT CONNECT ON DATABASE {database} TO {role}")
    } else {
        format!("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC, {role}")
    };
    sqlx::query(sqlx::AssertSqlSafe(verb)).execute(&world.sql).await.unwrap();
    if !allowed {
        let others = format!("GRANT CONNECT ON DATABASE {database} TO tasks_app, tasks_worker");
        sqlx::query(sqlx::AssertSqlSafe(others)).execute(&world.sql).await.unwrap();
        let end =
            format!("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '{role}' AND datname = '{database}'");
        world.count(&end).await;
    }
}

/// Five events on the bus, and a consumer of `audit` there that has acknowledged the first.
async fn world_with_a_consumer() -> (World, jetstream::stream::Stream) {
    let world = World::new().await;
    let (_log, _) = world.running("tasks").await;
    for _ in 0..5 {
        change(&world.db("tasks").await, "thing").await;
    }
    world.await_count("SELECT published_position FROM tasks.event_head", 5).await;
    let stream = jetstream::new(world.client().await).get_stream("MUSTER_TASKS").await.unwrap();
    let config = jetstream::consumer::pull::Config {
        durable_name: Some("audit".to_owned()),
        deliver_policy: jetstream::consumer::DeliverPolicy::ByStartSequence { start_sequence: 2 },
        ..Default::default()
    };
    stream.create_consumer(config).await.unwrap();
    (world, stream)
}

/// Lets the stream forget what it holds, as it does with what is old.
async fn forget(world: &World, stream: &mut jetstream::stream::Stream) {
    let bus = jetstream::new(world.client().await);
    let kept = stream.cached_info().config.clone();
    let short = Duration::from_secs(1);
    let forgetful = jetstream::stream::Config { max_age: short, duplicate_window: short, ..kept.clone() };
    bus.update_stream(forgetful).await.unwrap();
    while stream.info().await.unwrap().state.messages > 0 {
        sleep(Duration::from_millis(50)).await;
    }
    bus.update_stream(kept).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_forgot_what_was_not_taken_is_made_up_for_before_anything_is_taken() {
    let (world, mut stream) = world_with_a_consumer().await;
    forget(&world, &mut stream).await;
    for _ in 0..2 {
        change(&world.db("tasks").await, "thing").await;
    }
    let notes = Notes::default();
    notes.stuck.store(true, Ordering::SeqCst);
    world.audit_takes_with(notes.clone()).await;
    let asked = async {
        while notes.rebuilds.load(Ordering::SeqCst) < 3 {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), asked).await.expect("it is asked to rebuild, again and again");
    assert_eq!(world.count("SELECT count(*) FROM audit.inbox").await, 0, "nothing is taken before");
    assert_eq!(stream.consumer_info("audit").await.unwrap().ack_floor.stream_sequence, 1, "the next process would see it too");
    notes.stuck.store(false, Ordering::SeqCst);
    world.await_count("SELECT count(*) FROM audit.inbox", 2).await;
}

#[tokio::test]
async fn a_stream_that_holds_all_that_was_not_taken_needs_no_making_up() {
    let (world, _stream) = world_with_a_consumer().await;
    let notes = Notes::default();
    world.audit_takes_with(notes.clone()).await;
    world.await_count("SELECT count(*) FROM audit.inbox", 4).await;
    assert_eq!(notes.rebuilds.load(Ordering::SeqCst), 0);
}
