use contract::authorization::v1::WorkspaceAdded;
use contract::identity::v1::SessionCreated;
use runtime::OrganizationId;

use crate::verbs::{Reads, Tells, audit, created};

#[tokio::test]
async fn an_event_that_is_delivered_twice_is_one_record() {
    let app = audit().await;
    let ana = app.admin("ana").await;
    let event = app.publish(created("a"), app.organization()).await;
    app.deliver(&event).await;
    app.settled().await;
    app.deliver(&event).await;
    app.settled().await;
    let records = ana.list_events("").await.unwrap();
    assert_eq!(records.iter().map(|record| &record.audit_event_id).collect::<Vec<_>>(), [&event.envelope.event_id]);
}

#[tokio::test]
async fn an_event_whose_inbox_row_is_forgotten_is_still_one_record() {
    let app = audit().await;
    let event = app.publish(created("a"), app.organization()).await;
    app.settled().await;
    sqlx::query("DELETE FROM audit.inbox").execute(&mut app.sql().await).await.unwrap();
    app.deliver(&event).await;
    app.settled().await;
    assert_eq!(app.count("SELECT count(*) FROM audit.record").await, 1);
    assert_eq!(app.count("SELECT count(*) FROM audit.inbox").await, 1, "it was taken a second time");
}

#[tokio::test]
async fn every_event_of_every_service_is_a_record() {
    let app = audit().await;
    for n in 0..40 {
        app.publish(created(&format!("item {n}")), app.organization()).await;
        app.publish(WorkspaceAdded { workspace_id: format!("workspace {n}"), ..WorkspaceAdded::default() }, app.organization()).await;
        app.publish(SessionCreated { session_id: format!("session {n}"), ..SessionCreated::default() }, OrganizationId::SYSTEM).await;
    }
    app.settled().await;
    for query in [
        "SELECT count(*) FROM audit.record WHERE service = 'tasks'",
        "SELECT count(*) FROM audit.record WHERE service = 'authorization'",
        "SELECT count(*) FROM audit.record WHERE service = 'identity'",
    ] {
        assert_eq!(app.count(query).await, 40, "{query}");
    }
    let gaps = "SELECT count(*) FROM (SELECT source_position, row_number() OVER (PARTITION BY service ORDER BY source_position) AS n
                FROM audit.record) AS numbered WHERE source_position <> n";
    assert_eq!(app.count(gaps).await, 0);
}

#[tokio::test]
async fn a_restart_in_the_middle_loses_nothing_and_records_nothing_twice() {
    let mut app = audit().await;
    for n in 0..60 {
        app.publish(created(&format!("item {n}")), app.organization()).await;
    }
    app.restart().await;
    app.tell_of(&["after"]).await;
    assert_eq!(app.count("SELECT count(*) FROM audit.record").await, 61);
    assert_eq!(app.count("SELECT count(DISTINCT resource_id) FROM audit.record").await, 61);
}

#[tokio::test]
async fn what_is_no_event_is_parked_and_holds_nothing_up() {
    let mut app = audit().await;
    app.expect_dead_letters();
    app.deliver_garbage("tasks", &[("ce-specversion", "1.0"), ("ce-id", "not a uuid")], b"\xff\xff").await;
    app.tell_of(&["a"]).await;
    assert_eq!(app.count("SELECT count(*) FROM audit.record").await, 1);
    let letters = app.dead_letters().await;
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].consumer.as_str(), &letters[0].event.as_ref().unwrap().body[..]), ("audit", &b"\xff\xff"[..]));
}

#[tokio::test]
async fn another_event_at_a_recorded_position_is_parked_and_not_lost_in_silence() {
    let mut app = audit().await;
    app.expect_dead_letters();
    let first = app.publish(created("a"), app.organization()).await;
    let mut second = app.foreign(created("b"), app.organization());
    second.envelope.position = first.position();
    app.deliver(&second).await;
    app.settled().await;
    assert_eq!(app.count("SELECT count(*) FROM audit.record").await, 1);
    let letters = app.dead_letters().await;
    assert_eq!(letters[0].cause, "another event is recorded at this position");
    assert_eq!(letters[0].event.clone().unwrap().envelope.unwrap().event_id, second.envelope.event_id);
}
