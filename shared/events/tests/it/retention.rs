use runtime::Clock;
use tokio::time::Duration;

use crate::verbs::change;
use crate::world::World;

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn old_events_and_what_was_taken_of_them_are_forgotten_and_young_ones_are_not() {
    let mut world = World::new().await;
    let (clock, hand) = Clock::fixed(time::macros::datetime!(2026-03-01 12:00 UTC));
    world.clock = clock;
    let (log, _) = world.running("tasks").await;
    let audit = world.audit_takes().await;
    let db = world.db("tasks").await;
    change(&db, "old").await;
    world.assert_conserved(1).await;
    hand.advance(DAY * 89);
    change(&db, "young").await;
    world.assert_conserved(2).await;
    assert_eq!((log.forget().await.unwrap(), audit.forget().await.unwrap()), (0, 1));
    hand.advance(DAY * 2);
    assert_eq!((log.forget().await.unwrap(), audit.forget().await.unwrap()), (1, 0));
    assert_eq!(world.count("SELECT min(position) FROM tasks.event").await, 2);
}

#[tokio::test]
async fn an_event_that_is_not_on_the_bus_yet_is_kept_however_old_it_is() {
    let mut world = World::new().await;
    let (clock, hand) = Clock::fixed(time::macros::datetime!(2026-03-01 12:00 UTC));
    world.clock = clock;
    world.nats.kill().await;
    let (log, _) = world.running("tasks").await;
    change(&world.db("tasks").await, "thing").await;
    world.await_count("SELECT position FROM tasks.event_head", 1).await;
    hand.advance(DAY * 400);
    assert_eq!(log.forget().await.unwrap(), 0);
    assert_eq!(world.count("SELECT count(*) FROM tasks.event").await, 1);
}
