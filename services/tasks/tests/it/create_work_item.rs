use contract::tasks::v1::{WorkItemCreated, WorkItemState, WorkItemType};
use testkit::{BaseRole, assert_fault};

use crate::verbs::{NOTHING, Verbs, app};

const SUBTASK: i32 = WorkItemType::Subtask as i32;
const EPIC: i32 = WorkItemType::Epic as i32;

#[tokio::test]
async fn a_member_creates_a_task_and_the_world_is_told() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    let item = ana.create_work_item(&shed, "paint the shed").await.unwrap();
    assert_eq!(ana.get_work_item(&item.work_item_id).await.unwrap(), item);
    assert_eq!((&*item.key, item.r#type(), item.state()), ("SHED-1", WorkItemType::Task, WorkItemState::NotStarted));
    assert_eq!(item.reporter_id, ana.user_id.to_string());
    assert_eq!(app.emitted().await[1..], [format!("muster.tasks.v1.work_item.created.{}", ana.organization_id)]);
    assert_eq!(app.events::<WorkItemCreated>().await[0].after.as_ref(), Some(&item));
}

#[tokio::test]
async fn everything_that_is_said_of_an_item_is_kept() {
    let app = app().await;
    let (ana, ben) = (app.member("ana").await, app.workspace_member("ben", BaseRole::Viewer).await);
    let shed = ana.create_product("SHED").await.unwrap();
    let due_time = Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 123_456_000 });
    let item = ana.create_work_item_with(&shed, "paint", |request| {
        (request.r#type, request.priority, request.effort, request.due_time) = (EPIC, 4, 3, due_time);
        request.description = "# how\r\n\tslowly".to_owned();
        (request.assignee_ids, request.labels) = (vec![ben.user_id.to_string(), ana.user_id.to_string()], vec!["ü".to_owned()]);
    });
    let item = item.await.unwrap();
    assert_eq!(ana.get_work_item(&item.work_item_id).await.unwrap(), item);
    assert_eq!((item.r#type, item.priority, item.effort, item.due_time), (EPIC, 4, 3, due_time));
    assert_eq!((&*item.description, item.labels), ("# how\r\n\tslowly", vec!["ü".to_owned()]));
    assert_eq!(item.assignee_ids, [ben.user_id.to_string(), ana.user_id.to_string()]);
}

#[tokio::test]
async fn a_repeated_request_creates_one_item_and_another_body_is_refused() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    let create = async |title: &str| ana.create_work_item_with(&shed, title, |request| request.request_id = NOTHING.to_owned()).await;
    let item = create("paint").await.unwrap();
    assert_eq!(create("paint").await.unwrap(), item);
    assert_fault!(create("paint it").await, InvalidArgument, "REQUEST_ID_REUSED");
    assert_eq!(app.events::<WorkItemCreated>().await.len(), 1);
    assert_eq!(ana.create_work_item(&shed, "next").await.unwrap().key, "SHED-2");
}

#[tokio::test]
async fn numbers_have_no_gap_and_no_double_under_32_writers_some_of_whom_fail() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    let write = async |writer: usize| {
        for round in 0..4 {
            let title = format!("{writer} {round}");
            // A parent that is not there: found out after the number was taken.
            let failed =
                ana.create_work_item_with(&shed, &title, |request| (request.parent_id, request.r#type) = (NOTHING.to_owned(), SUBTASK));
            assert!(failed.await.is_err());
            while let Err(status) = ana.create_work_item(&shed, &title).await {
                assert!(matches!(status.code(), tonic::Code::Aborted | tonic::Code::Unavailable), "{status}");
            }
        }
    };
    futures::future::join_all((0..32).map(write)).await;
    let page = ana.list_work_items(|request| (request.page_size, request.order_by) = (1_000, "key".to_owned())).await.unwrap();
    let keys: Vec<String> = page.work_items.into_iter().map(|item| item.key).collect();
    assert_eq!(keys, (1..=128).map(|number| format!("SHED-{number}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_parent_stands_in_the_same_product_and_is_of_a_fitting_type() {
    let app = app().await;
    let ana = app.member("ana").await;
    let (shed, barn) = (ana.create_product("SHED").await.unwrap(), ana.create_product("BARN").await.unwrap());
    let task = ana.create_work_item(&shed, "task").await.unwrap();
    assert_eq!(ana.create_child(&task, SUBTASK, "part").await.unwrap().parent_id, task.work_item_id);
    assert_fault!(ana.create_child(&task, EPIC, "epic").await, FailedPrecondition, "PARENT_TYPE_NOT_ALLOWED");
    let top = ana.create_work_item_with(&shed, "part", |request| request.r#type = SUBTASK).await;
    assert_fault!(top, FailedPrecondition, "PARENT_TYPE_NOT_ALLOWED");
    let other = ana
        .create_work_item_with(&barn, "part", |request| (request.parent_id, request.r#type) = (task.work_item_id.clone(), SUBTASK))
        .await;
    assert_fault!(other, FailedPrecondition, "PARENT_NOT_FOUND");
    let gone = ana.delete_work_item(&task).await.unwrap();
    assert_fault!(ana.create_child(&gone, SUBTASK, "part").await, FailedPrecondition, "PARENT_NOT_FOUND");
}

#[tokio::test]
async fn items_nest_ten_deep_and_no_deeper() {
    let app = app().await;
    let ana = app.member("ana").await;
    let mut item = ana.create_work_item(&ana.create_product("SHED").await.unwrap(), "1").await.unwrap();
    for depth in 2..=10 {
        item = ana.create_child(&item, SUBTASK, &depth.to_string()).await.unwrap();
    }
    assert_fault!(ana.create_child(&item, SUBTASK, "11").await, FailedPrecondition, "HIERARCHY_TOO_DEEP");
}

#[tokio::test]
async fn whoever_may_not_see_the_workspace_is_no_assignee() {
    let app = app().await;
    let (ana, eve) = (app.member("ana").await, app.outsider("eve").await);
    let shed = ana.create_product("SHED").await.unwrap();
    let create = ana.create_work_item_with(&shed, "paint", |request| request.assignee_ids = vec![eve.user_id.to_string()]);
    assert_fault!(create.await, FailedPrecondition, "ASSIGNEE_NOT_FOUND");
}

#[tokio::test]
async fn nobody_creates_where_they_may_not() {
    let app = app().await;
    let shed = app.member("ana").await.create_product("SHED").await.unwrap();
    assert_fault!(app.viewer("vic").await.create_work_item(&shed, "x").await, PermissionDenied, "PERMISSION_DENIED");
    assert_fault!(app.outsider("eve").await.create_work_item(&shed, "x").await, NotFound, "PRODUCT_NOT_FOUND");
    assert_fault!(app.user("ned").create_work_item(&shed, "x").await, NotFound, "WORKSPACE_NOT_FOUND");
    assert_fault!(app.anonymous().create_work_item(&shed, "x").await, Unauthenticated, "CREDENTIALS_MISSING");
    let elsewhere = app.member("mia").await.in_workspace(app.add_workspace().await);
    assert_fault!(elsewhere.create_work_item(&shed, "x").await, NotFound, "PRODUCT_NOT_FOUND");
}

#[tokio::test]
async fn what_the_contract_cannot_say_is_a_violation_too() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    let status = assert_fault!(ana.create_work_item(&shed, "two\nlines").await, InvalidArgument, "FIELD_VIOLATION");
    assert_eq!(testkit::fault::violated_fields(&status), ["title"]);
    let long = ana.create_work_item_with(&shed, "x", |request| request.description = "é".repeat(40_000)).await;
    assert_fault!(long, InvalidArgument, "FIELD_VIOLATION");
}

#[tokio::test]
async fn the_largest_item_fits_into_its_events() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    let title = "𝄞".repeat(500);
    let item = ana.create_work_item_with(&shed, &title, |request| {
        request.description = "𝄞".repeat(16_384);
        request.labels = (0..50).map(|number| format!("{}{number:02}", "𝄞".repeat(58))).collect();
    });
    let item = item.await.unwrap();
    let other = contract::tasks::v1::WorkItem { description: "é".repeat(32_768), ..item };
    ana.update_work_item(&other, &["description"]).await.unwrap();
}
