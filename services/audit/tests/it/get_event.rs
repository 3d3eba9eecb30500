use contract::common::v1::{Actor, ActorKind};
use contract::tasks::v1::{WorkItem, WorkItemState};
use prost::Message;
use testkit::assert_fault;
use uuid::Uuid;

use crate::verbs::{Reads, Tells, audit, created, item};

#[tokio::test]
async fn a_record_says_who_did_what_from_where() {
    let app = audit().await;
    let ana = app.admin("ana").await;
    let moved = app.tell_of_move("a", &ana, "2001:db8::7", "Firefox/140 (é)").await.envelope;
    let record = ana.get_event(&moved.event_id).await.unwrap();
    assert_eq!((record.service.as_str(), record.action.as_str(), record.source_position), ("tasks", "tasks.work_item.transition", 1));
    assert_eq!((record.resource_type.as_str(), record.resource_id.as_str()), ("work_item", "a"));
    assert_eq!(record.r#type, "muster.tasks.v1.WorkItemTransitioned");
    assert_eq!(record.actor, Some(Actor { kind: ActorKind::User.into(), actor_id: ana.user_id.to_string() }));
    assert_eq!((record.session_id, record.request_id), (moved.session_id, moved.request_id));
    assert_eq!(record.trace_id, "0af7651916cd43dd8448eb211c80319c");
    assert_eq!((record.client_address.as_str(), record.user_agent.as_str()), ("2001:db8::7", "Firefox/140 (é)"));
    assert_eq!((record.create_time, record.organization_id), (moved.create_time, app.organization().to_string()));
}

#[tokio::test]
async fn a_change_is_shown_typed_with_the_fields_that_differ() {
    let app = audit().await;
    let ana = app.admin("ana").await;
    let moved = app.tell_of_move("a", &ana, "", "").await;
    let record = ana.get_event(&moved.envelope.event_id).await.unwrap();
    for (side, state) in [(record.before, WorkItemState::NotStarted), (record.after, WorkItemState::InProgress)] {
        let side = side.unwrap();
        assert_eq!(side.type_url, "type.googleapis.com/muster.tasks.v1.WorkItem");
        assert_eq!(WorkItem::decode(side.value.as_slice()).unwrap(), item("a", state));
    }
    assert_eq!(record.changed_paths, ["state"]);
    assert_eq!((record.client_address.as_str(), record.user_agent.as_str()), ("", ""));
}

#[tokio::test]
async fn a_creation_has_an_after_alone_and_lists_leave_both_out() {
    let app = audit().await;
    let ana = app.admin("ana").await;
    let event = app.publish(created("a"), app.organization()).await;
    app.settled().await;
    let record = ana.get_event(&event.envelope.event_id).await.unwrap();
    assert!(record.before.is_none() && record.after.is_some() && record.changed_paths.is_empty());
    let listed = ana.list_events("").await.unwrap().remove(0);
    assert_eq!((listed.before, listed.after, listed.audit_event_id), (None, None, record.audit_event_id));
}

#[tokio::test]
async fn a_foreign_tenants_record_is_not_found_while_its_owner_gets_it() {
    let app = audit().await;
    let (ana, eve) = (app.admin("ana").await, app.outsider("eve").await);
    let event = app.publish(created("a"), app.organization()).await;
    app.settled().await;
    let id = &event.envelope.event_id;
    assert_eq!(ana.get_event(id).await.unwrap().resource_id, "a");
    assert_fault!(eve.get_event(id).await, NotFound, "AUDIT_EVENT_NOT_FOUND");
    assert_fault!(ana.get_event(&Uuid::from_u128(7).to_string()).await, NotFound, "AUDIT_EVENT_NOT_FOUND");
}

#[tokio::test]
async fn members_and_viewers_are_refused_whatever_they_ask_for() {
    let app = audit().await;
    let event = app.publish(created("a"), app.organization()).await;
    app.settled().await;
    for actor in [app.member("ben").await, app.viewer("vic").await] {
        for id in [event.envelope.event_id.as_str(), "00000000-0000-0000-0000-000000000007"] {
            assert_fault!(actor.get_event(id).await, PermissionDenied, "PERMISSION_DENIED");
        }
    }
    assert_fault!(app.anonymous().get_event(&event.envelope.event_id).await, Unauthenticated, "CREDENTIALS_MISSING");
}

#[tokio::test]
async fn an_id_that_is_none_is_a_violation_of_its_field() {
    let app = audit().await;
    let status = assert_fault!(app.admin("ana").await.get_event("7").await, InvalidArgument, "FIELD_VIOLATION");
    assert_eq!(testkit::fault::violated_fields(&status), ["audit_event_id"]);
}
