use std::sync::Arc;
use std::sync::atomic::Ordering;

use contract::common::v1 as pb;
use contract::common::v1::event_admin_service_server::EventAdminService;
use events::EventAdmin;
use rpc::CallContext;
use tokio::time::Duration;
use tonic::{Code, Request};

use crate::verbs::{Notes, change};
use crate::world::World;

/// A request as the server stack hands it on.
fn request<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Arc::new(CallContext::background("muster", None, Duration::from_secs(10))));
    request
}

async fn letters(admin: &EventAdmin, page_size: i32, page_token: &str) -> pb::ListDeadLettersResponse {
    let message = pb::ListDeadLettersRequest { consumer: "audit".to_owned(), page_size, page_token: page_token.to_owned() };
    admin.list_dead_letters(request(message)).await.unwrap().into_inner()
}

/// Three dead letters of `audit`, and what makes its handler work again.
async fn world_with_letters() -> (World, EventAdmin, Notes) {
    let world = World::new().await;
    let (_log, _) = world.running("tasks").await;
    let notes = Notes { fragile: vec!["thing".to_owned()], ..Notes::default() };
    notes.broken.store(true, Ordering::SeqCst);
    let audit = world.audit_takes_with(notes.clone()).await;
    for _ in 0..3 {
        change(&world.db("tasks").await, "thing").await;
    }
    world.await_count("SELECT count(*) FROM audit.dead_letter", 3).await;
    (world, EventAdmin::new(audit), notes)
}

#[tokio::test]
async fn dead_letters_are_paged_oldest_first_with_their_event_and_cause() {
    let (_world, admin, _) = world_with_letters().await;
    let first = letters(&admin, 2, "").await;
    let second = letters(&admin, 2, &first.next_page_token).await;
    assert_eq!((first.dead_letters.len(), second.dead_letters.len(), second.next_page_token.as_str()), (2, 1, ""));
    let letter = &first.dead_letters[0];
    assert_eq!((letter.cause.as_str(), letter.attempts), ("thing is broken", 4));
    let envelope = letter.event.clone().unwrap().envelope.unwrap();
    assert_eq!((envelope.r#type.as_str(), envelope.position), ("muster.tasks.v1.WorkItemUpdated", 1));
}

#[tokio::test]
async fn a_dead_letter_tells_operators_where_the_call_came_from_and_nobody_who_reads_the_table() {
    let world = World::new().await;
    let (_log, _) = world.running("tasks").await;
    let audit = world.audit_takes_with(Notes { poison: vec!["thing".to_owned()], ..Notes::default() }).await;
    change(&world.db("tasks").await, "thing").await;
    world.await_count("SELECT count(*) FROM audit.dead_letter", 1).await;
    let jetstream = async_nats::jetstream::new(world.client().await);
    let message = jetstream.get_stream("MUSTER_TASKS").await.unwrap().get_raw_message(1).await.unwrap();
    let mut headers = message.headers.clone();
    let fresh = runtime::Ids::system().next().to_string();
    for (name, value) in
        [("ce-id", fresh.as_str()), ("Nats-Msg-Id", "again"), ("ce-clientaddress", "203.0.113.77"), ("ce-useragent", "Marmoset")]
    {
        headers.insert(name, value);
    }
    jetstream.publish_with_headers(message.subject, headers, message.payload).await.unwrap().await.unwrap();
    world.await_count("SELECT count(*) FROM audit.dead_letter", 2).await;
    let told = letters(&EventAdmin::new(audit), 0, "").await.dead_letters.remove(1).event.unwrap().envelope.unwrap();
    assert_eq!((told.client_address.as_str(), told.user_agent.as_str()), ("203.0.113.77", "Marmoset"));
    let stored: Vec<String> =
        sqlx::query_scalar("SELECT encode(convert_to(t::text, 'UTF8'), 'escape') || encode(envelope, 'escape') FROM audit.dead_letter t")
            .fetch_all(&world.sql)
            .await
            .unwrap();
    assert!(!stored.iter().any(|row| row.contains("203.0.113.77") || row.contains("Marmoset")), "{stored:?}");
}

#[tokio::test]
async fn a_replayed_dead_letter_has_its_effect_and_is_gone() {
    let (world, admin, notes) = world_with_letters().await;
    notes.broken.store(false, Ordering::SeqCst);
    for letter in letters(&admin, 0, "").await.dead_letters {
        admin.replay_dead_letter(request(pb::ReplayDeadLetterRequest { dead_letter_id: letter.dead_letter_id })).await.unwrap();
    }
    world.await_count("SELECT count(*) FROM audit.dead_letter", 0).await;
    world.assert_conserved(3).await;
}

#[tokio::test]
async fn a_replay_that_fails_keeps_the_letter_and_counts_the_try() {
    let (world, admin, _) = world_with_letters().await;
    let letter = letters(&admin, 1, "").await.dead_letters.remove(0);
    admin.replay_dead_letter(request(pb::ReplayDeadLetterRequest { dead_letter_id: letter.dead_letter_id })).await.unwrap();
    world.await_count("SELECT max(attempts)::bigint FROM audit.dead_letter", 5).await;
    assert_eq!(world.count("SELECT count(*) FROM audit.dead_letter WHERE replay_time IS NULL").await, 3);
}

#[tokio::test]
async fn a_dropped_dead_letter_is_gone_and_one_that_never_was_is_not_found() {
    let (world, admin, _) = world_with_letters().await;
    let letter = letters(&admin, 1, "").await.dead_letters.remove(0);
    let message = pb::DropDeadLetterRequest { dead_letter_id: letter.dead_letter_id };
    admin.drop_dead_letter(request(message.clone())).await.unwrap();
    assert_eq!(world.count("SELECT count(*) FROM audit.dead_letter").await, 2);
    assert_eq!(admin.drop_dead_letter(request(message)).await.unwrap_err().code(), Code::NotFound);
    let ghost = pb::ReplayDeadLetterRequest { dead_letter_id: runtime::Ids::system().next().to_string() };
    assert_eq!(admin.replay_dead_letter(request(ghost)).await.unwrap_err().code(), Code::NotFound);
}

/// What is told of dead letters: type, actor and letter.
async fn told(world: &World) -> Vec<(String, String, String)> {
    let query = "SELECT type, actor_kind || ' ' || actor_id, aggregate_id FROM audit.outbox ORDER BY seq";
    sqlx::query_as(query).fetch_all(&world.sql).await.unwrap()
}

#[tokio::test]
async fn what_an_operator_does_to_dead_letters_is_told_in_their_name() {
    let (world, admin, _) = world_with_letters().await;
    let ids: Vec<String> = letters(&admin, 0, "").await.dead_letters.into_iter().map(|letter| letter.dead_letter_id).collect();
    admin.replay_dead_letter(request(pb::ReplayDeadLetterRequest { dead_letter_id: ids[0].clone() })).await.unwrap();
    let dropped = pb::DropDeadLetterRequest { dead_letter_id: ids[1].clone() };
    admin.drop_dead_letter(request(dropped.clone())).await.unwrap();
    admin.drop_dead_letter(request(dropped)).await.unwrap_err();
    let event = |name: &str, id: &String| (format!("muster.common.v1.{name}"), "SERVICE muster".to_owned(), id.clone());
    assert_eq!(told(&world).await, [event("DeadLetterReplayed", &ids[0]), event("DeadLetterDropped", &ids[1])]);
}

#[tokio::test]
async fn a_dead_letter_that_can_not_be_told_of_is_neither_dropped_nor_replayed() {
    let (world, admin, _) = world_with_letters().await;
    sqlx::query("REVOKE INSERT ON audit.outbox FROM audit_app").execute(&world.sql).await.unwrap();
    let dead_letter_id = letters(&admin, 1, "").await.dead_letters.remove(0).dead_letter_id;
    admin.drop_dead_letter(request(pb::DropDeadLetterRequest { dead_letter_id: dead_letter_id.clone() })).await.unwrap_err();
    admin.replay_dead_letter(request(pb::ReplayDeadLetterRequest { dead_letter_id })).await.unwrap_err();
    assert_eq!(world.count("SELECT count(*) FROM audit.dead_letter WHERE replay_time IS NULL").await, 3);
}

#[tokio::test]
async fn what_the_bus_does_not_say_is_absent() {
    let (world, admin, _) = world_with_letters().await;
    world.nats.kill().await;
    let status = admin.get_event_status(request(pb::GetEventStatusRequest {})).await.unwrap().into_inner();
    assert_eq!(status.consumers[0].pending, None);
}

#[tokio::test]
async fn the_status_says_where_log_relay_and_consumers_stand() {
    let (_world, admin, _) = world_with_letters().await;
    let status = admin.get_event_status(request(pb::GetEventStatusRequest {})).await.unwrap().into_inner();
    assert_eq!(status.consumers, [pb::ConsumerStatus { consumer: "audit".to_owned(), pending: Some(0), dead_letters: 3 }]);
    assert_eq!((status.outbox_rows, status.head_position, status.leader), (0, 0, false));
}

#[tokio::test]
async fn the_log_is_paged_by_position() {
    let world = World::new().await;
    let (log, _) = world.running("tasks").await;
    for _ in 0..5 {
        change(&world.db("tasks").await, "thing").await;
    }
    world.await_count("SELECT position FROM tasks.event_head", 5).await;
    let admin = EventAdmin::new(log);
    let page = |from_position| request(pb::ListLoggedEventsRequest { from_position, page_size: 3 });
    let first = admin.list_logged_events(page(0)).await.unwrap().into_inner();
    let second = admin.list_logged_events(page(first.next_position)).await.unwrap().into_inner();
    let positions =
        |page: &pb::ListLoggedEventsResponse| page.events.iter().map(|event| event.envelope.clone().unwrap().position).collect::<Vec<_>>();
    assert_eq!((positions(&first), first.next_position), (vec![1, 2, 3], 4));
    assert_eq!((positions(&second), second.next_position), (vec![4, 5], 0));
}
