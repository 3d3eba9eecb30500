use events::{Error, Filter, Item, Log};
use rand::Rng;
use tokio::time::{Duration, sleep, timeout};

use crate::verbs::{acme, change, change_slowly};
use crate::world::World;

/// Reads positions after `from` until `until` is reached, opening a new tail after each with a probability of one in `patience`.
async fn read(log: &Log, mut from: i64, until: i64, patience: u32) -> (Vec<i64>, u32) {
    let (mut seen, mut opened) = (Vec::new(), 0);
    while from < until {
        let mut tail = log.tail(Some(from), Filter::all()).await.unwrap();
        opened += 1;
        while from < until {
            let Ok(item) = timeout(Duration::from_millis(200), tail.next()).await else { break };
            let item = item.unwrap();
            assert_eq!(item.previous_position, from);
            from = item.position;
            seen.extend(item.event.map(|event| event.position()));
            if rand::rng().random_ratio(1, patience) {
                break;
            }
        }
    }
    (seen, opened)
}

#[tokio::test]
async fn a_tail_with_a_hundred_reconnects_sees_the_log_exactly_beside_a_slow_writer() {
    let world = World::new().await;
    let (log, _) = world.running("tasks").await;
    let db = world.db("tasks").await;
    let slow = change_slowly(&db, acme(), "slow", Duration::from_secs(3));
    let quick = async {
        for number in 0..299 {
            change(&db, &format!("thing-{}", number % 5)).await;
            sleep(Duration::from_millis(8)).await;
        }
    };
    let (slow, (), (seen, opened)) = tokio::join!(slow, quick, read(&log, 0, 300, 2));
    slow.unwrap();
    assert_eq!(seen, (1..=300).collect::<Vec<i64>>());
    assert!(opened >= 100, "only {opened} tails were opened");
    world.assert_log_is_whole(300).await;
}

#[tokio::test]
async fn a_tail_in_a_process_that_does_not_lead_hears_of_events_too() {
    let world = World::new().await;
    let (leader, _) = world.running("tasks").await;
    while !leader.is_leader() {
        sleep(Duration::from_millis(20)).await;
    }
    let (follower, _) = world.running("tasks").await;
    let mut tail = follower.tail(None, Filter::all()).await.unwrap();
    change(&world.db("tasks").await, "thing").await;
    assert_eq!(read_event(&mut tail).await, 1);
    assert!(!follower.is_leader());
}

async fn read_event(tail: &mut events::Tail) -> i64 {
    loop {
        if let Some(event) = timeout(Duration::from_secs(10), tail.next()).await.unwrap().unwrap().event {
            return event.position();
        }
    }
}

#[tokio::test]
async fn a_filter_yields_its_organization_and_bookmarks_over_the_rest() {
    let world = World::new().await;
    let (log, _) = world.running("tasks").await;
    let db = world.db("tasks").await;
    let other = uuid::Uuid::from_u128(0xb0b).into();
    for organization in [acme(), other, acme(), other] {
        change_slowly(&db, organization, "thing", Duration::ZERO).await.unwrap();
    }
    world.await_count("SELECT position FROM tasks.event_head", 4).await;
    let mut tail = log.tail(Some(0), Filter::all().of_organization(acme())).await.unwrap();
    let (mut steps, mut at) = (Vec::new(), 0);
    while at < 4 {
        let Item { previous_position, position, event } = tail.next().await.unwrap();
        steps.push((previous_position, position, event.is_some()));
        at = position;
    }
    assert_eq!(steps, [(0, 1, true), (1, 3, true), (3, 4, false)]);
    let beat = tail.next().await.unwrap();
    assert_eq!((beat.previous_position, beat.position, beat.event), (4, 4, None));
}

/// How often the log was read by position, as the server counts it once the connections have told it.
const READS: &str = "SELECT idx_scan FROM pg_stat_user_tables WHERE schemaname = 'tasks' AND relname = 'event'";

#[tokio::test]
async fn a_hundred_tails_read_the_log_as_often_as_one() {
    let world = World::new().await;
    let (log, _) = world.running("tasks").await;
    let db = world.db("tasks").await;
    let mut tails = Vec::new();
    for n in 0..100 {
        let filter = if n % 2 == 0 { Filter::all() } else { Filter::all().of_organization(acme()) };
        tails.push(log.tail(Some(0), filter).await.unwrap());
    }
    sleep(Duration::from_secs(2)).await;
    let before = world.count(READS).await;
    let write = async {
        for number in 0..100 {
            change(&db, &format!("thing-{}", number % 5)).await;
        }
    };
    let read = async |tail: &mut events::Tail| {
        for position in 1..=100 {
            assert_eq!(read_event(tail).await, position);
        }
    };
    tokio::join!(write, futures::future::join_all(tails.iter_mut().map(read)));
    sleep(Duration::from_secs(2)).await;
    let reads = world.count(READS).await - before;
    // Each of 100 tails on its own reads each of the events that did not come together.
    assert!((1..1_000).contains(&reads), "{reads} reads");
}

#[tokio::test]
async fn a_tail_far_behind_catches_up_beside_those_at_the_end_and_sees_the_log_exactly() {
    let world = World::new().await;
    let (log, _) = world.running("tasks").await;
    let db = world.db("tasks").await;
    let caller = rpc::Caller::background("tasks", acme(), None);
    for _ in 0..3 {
        let many = async |tx: &mut db::Tx| {
            for n in 0..2_000 {
                tx.emit(contract::tasks::v1::WorkItemDeleted { work_item_id: n.to_string(), ..Default::default() });
            }
            Ok::<_, db::Error>(())
        };
        db.write_unrecorded(&caller, many).await.unwrap();
    }
    world.await_count("SELECT position FROM tasks.event_head", 6_000).await;
    let (mut near, mut middle) = (log.tail(None, Filter::all()).await.unwrap(), log.tail(Some(3_000), Filter::all()).await.unwrap());
    change(&db, "thing").await;
    assert_eq!(read_event(&mut near).await, 6_001);
    assert_eq!(read_event(&mut middle).await, 3_001);
    drop(middle);
    let (seen, _) = read(&log, 0, 6_001, 500).await;
    assert_eq!(seen, (1..=6_001).collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_process_holds_as_many_tails_as_it_is_told_to() {
    let mut world = World::new().await;
    world.config.tails_max = 2;
    let (log, _) = world.running("tasks").await;
    let (first, _second) = (log.tail(None, Filter::all()).await.unwrap(), log.tail(None, Filter::all()).await.unwrap());
    let refused = log.tail(None, Filter::all()).await.map(drop).unwrap_err();
    assert!(matches!(&refused, Error::Rpc(rpc::Error::Overloaded { .. })), "{refused:?}");
    drop(first);
    log.tail(None, Filter::all()).await.unwrap();
}

#[tokio::test]
async fn a_filter_by_type_leaves_out_the_others() {
    let world = World::new().await;
    let (log, _) = world.running("tasks").await;
    change(&world.db("tasks").await, "thing").await;
    world.await_count("SELECT position FROM tasks.event_head", 1).await;
    let mut other = log.tail(Some(0), Filter::all().of_type::<contract::tasks::v1::ProductCreated>()).await.unwrap();
    assert_eq!(other.next().await.unwrap().event, None);
    let mut mine = log.tail(Some(0), Filter::all().of_type::<contract::tasks::v1::WorkItemUpdated>()).await.unwrap();
    assert!(mine.next().await.unwrap().event.is_some());
}

#[tokio::test]
async fn a_position_that_the_log_forgot_or_never_had_is_refused() {
    let world = World::new().await;
    let (log, _) = world.running("tasks").await;
    let db = world.db("tasks").await;
    for _ in 0..5 {
        change(&db, "thing").await;
    }
    world.await_count("SELECT published_position FROM tasks.event_head", 5).await;
    world.count("WITH gone AS (DELETE FROM tasks.event WHERE position <= 3 RETURNING 1) SELECT count(*) FROM gone").await;
    assert!(matches!(log.tail(Some(2), Filter::all()).await, Err(Error::ResumeTokenExpired)));
    assert!(matches!(log.tail(Some(6), Filter::all()).await, Err(Error::ResumeTokenExpired)));
    let mut tail = log.tail(Some(3), Filter::all()).await.unwrap();
    assert_eq!(tail.next().await.unwrap().position, 4);
}

#[tokio::test]
async fn a_tail_that_retention_overtakes_says_so_instead_of_skipping() {
    let world = World::new().await;
    let (log, _) = world.running("tasks").await;
    let db = world.db("tasks").await;
    for _ in 0..3 {
        change(&db, "thing").await;
    }
    world.await_count("SELECT published_position FROM tasks.event_head", 3).await;
    let mut tail = log.tail(Some(0), Filter::all()).await.unwrap();
    world.count("WITH gone AS (DELETE FROM tasks.event WHERE position <= 2 RETURNING 1) SELECT count(*) FROM gone").await;
    assert!(matches!(tail.next().await, Err(Error::ResumeTokenExpired)));
}
