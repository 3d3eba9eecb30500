use contract::common::v1::{Actor, ActorKind};
use contract::tasks::v1::{WorkItemCreated, WorkItemUpdated};

use crate::pad::{emit, pad};

#[tokio::test]
async fn what_the_service_emits_is_seen_in_its_order() {
    let app = pad().await;
    for key in ["a", "b", "c"] {
        emit(&app, key).await;
    }
    let subject = format!("muster.audit.v1.work_item.created.{}", app.organization());
    assert_eq!(app.emitted().await, [subject.clone(), subject.clone(), subject]);
    let keys: Vec<String> = app.events::<WorkItemCreated>().await.into_iter().map(|event| event.work_item_id).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    assert_eq!(app.events::<WorkItemUpdated>().await, []);
    assert_eq!(app.envelopes().await.iter().map(|envelope| envelope.position).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test]
async fn a_published_event_arrives_with_the_envelope_it_was_given() {
    let app = pad().await;
    let event = app.publish(WorkItemCreated { work_item_id: "a".to_owned(), after: None }, app.organization()).await;
    let mut odd = app.foreign(WorkItemCreated { work_item_id: "poison".to_owned(), after: None }, app.organization());
    odd.envelope.user_agent = "curl/8 (é) 100% \"quoted\"".to_owned();
    odd.envelope.client_address = "2001:db8::7".to_owned();
    odd.envelope.session_id = "s".to_owned();
    odd.envelope.actor = Some(Actor { kind: ActorKind::User.into(), actor_id: "u".to_owned() });
    odd.envelope.redacted_paths = vec!["after.title".to_owned(), "after.description".to_owned()];
    app.deliver(&odd).await;
    app.settled().await;
    assert_eq!((event.envelope.position, odd.envelope.position), (1, 2));

    // The poison was parked, as it was read from the wire.
    let letters = app.event_admin().list_dead_letters(contract::common::v1::ListDeadLettersRequest::default()).await.unwrap().into_inner();
    assert_eq!(letters.dead_letters[0].event.clone().unwrap().envelope.unwrap(), odd.envelope);
    let mut app = app;
    app.expect_dead_letters();
}

#[tokio::test]
async fn a_second_delivery_is_a_second_message_and_one_effect() {
    let app = pad().await;
    let event = app.publish(WorkItemCreated { work_item_id: "a".to_owned(), after: None }, app.organization()).await;
    app.deliver(&event).await;
    app.settled().await;
    let taken: i64 = sqlx::query_scalar("SELECT count(*) FROM audit.inbox").fetch_one(&mut app.sql().await).await.unwrap();
    assert_eq!(taken, 1);
    assert_eq!(app.event_status().await.consumers[0].pending, Some(0));
}

#[tokio::test]
async fn after_a_restart_actors_and_events_go_on_where_they_were() {
    let mut app = pad().await;
    let ana = app.owner("ana").await;
    let channel = ana.channel();
    crate::pad::who(channel.clone()).await.unwrap();
    emit(&app, "before").await;
    app.restart().await;
    emit(&app, "after").await;
    crate::pad::who(channel).await.unwrap();
    let keys: Vec<String> = app.events::<WorkItemCreated>().await.into_iter().map(|event| event.work_item_id).collect();
    assert_eq!(keys, ["before", "after"]);
}
