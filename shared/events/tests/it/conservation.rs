use contract::common::v1::ActorKind;
use events::{Filter, Item};
use tokio::time::Duration;

use crate::verbs::{acme, change, change_slowly};
use crate::world::World;

#[tokio::test]
async fn every_change_is_one_event_and_one_effect() {
    let world = World::new().await;
    let (log, _) = world.running("tasks").await;
    world.audit_takes().await;
    let writers = (0..4).map(|writer| {
        let log = &log;
        let world = &world;
        async move {
            let db = world.db("tasks").await;
            for round in 0..50 {
                change(&db, &format!("thing-{}", (writer + round) % 7)).await;
            }
            drop(log.clone());
        }
    });
    futures::future::join_all(writers).await;
    world.assert_conserved(200).await;
    world.assert_effects_in_order().await;
}

#[tokio::test]
async fn what_was_rolled_back_never_happened() {
    let world = World::new().await;
    let (_log, _) = world.running("tasks").await;
    world.audit_takes().await;
    let db = world.db("tasks").await;
    let caller = rpc::Caller::background("tasks", acme(), None);
    let refused: Result<(), db::Error> = db
        .write_unrecorded(&caller, async |tx: &mut db::Tx| {
            tx.emit(contract::tasks::v1::WorkItemUpdated { work_item_id: "ghost".to_owned(), ..Default::default() });
            Err(db::Error::OrderInvalid)
        })
        .await;
    assert!(refused.is_err());
    change(&db, "real").await;
    world.assert_conserved(1).await;
    assert_eq!(world.count("SELECT count(*) FROM tasks.event WHERE aggregate_id = 'ghost'").await, 0);
}

#[tokio::test]
async fn the_envelope_that_arrives_is_the_one_in_the_log() {
    let world = World::new().await;
    let (log, _) = world.running("tasks").await;
    change(&world.db("tasks").await, "thing").await;
    world.await_count("SELECT published_position FROM tasks.event_head", 1).await;
    let mut tail = log.tail(Some(0), Filter::all()).await.unwrap();
    let Item { event: Some(event), .. } = tail.next().await.unwrap() else { panic!("a bookmark came first") };
    assert_eq!(event.envelope.actor.clone().unwrap().kind(), ActorKind::Service);
    assert_eq!(event.envelope.actor.clone().unwrap().actor_id, "tasks");
    assert_eq!((event.position(), event.organization_id()), (1, acme()));
    let stream = async_nats::jetstream::new(world.client().await).get_stream("MUSTER_TASKS").await.unwrap();
    let message = stream.get_raw_message(1).await.unwrap();
    assert_eq!(message.subject.as_str(), format!("muster.tasks.v1.work_item.updated.{}", acme()));
    assert_eq!(message.headers.get("Nats-Msg-Id").unwrap().as_str(), event.envelope.event_id);
    assert_eq!(message.headers.get("ce-id").unwrap().as_str(), event.envelope.event_id);
    assert_eq!(message.payload, event.body);
}

#[tokio::test]
async fn two_organizations_take_their_own_effects() {
    let world = World::new().await;
    let (_log, _) = world.running("tasks").await;
    world.audit_takes().await;
    let db = world.db("tasks").await;
    let other = uuid::Uuid::from_u128(0xb0b).into();
    change_slowly(&db, acme(), "thing", Duration::ZERO).await.unwrap();
    change_slowly(&db, other, "thing", Duration::ZERO).await.unwrap();
    world.await_count("SELECT count(*) FROM audit.inbox", 2).await;
    assert_eq!(world.count("SELECT count(DISTINCT organization_id) FROM audit.effect").await, 2);
}
