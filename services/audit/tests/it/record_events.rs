use contract::tasks::v1::WorkItemCreated;

use crate::verbs::{Reads, audit};

#[tokio::test]
async fn an_event_that_is_delivered_twice_is_one_record() {
    let app = audit().await;
    let ana = app.admin("ana").await;
    let event = app.publish(WorkItemCreated { work_item_id: "x".to_owned(), after: None }, app.organization()).await;
    app.deliver(&event).await;
    app.settled().await;
    let records = ana.list_events("").await.unwrap();
    assert_eq!(records.iter().map(|record| &record.audit_event_id).collect::<Vec<_>>(), [&event.envelope.event_id]);
}
