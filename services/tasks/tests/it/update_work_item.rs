use contract::tasks::v1::{WorkItem, WorkItemType, WorkItemUpdated};
use testkit::assert_fault;

use crate::verbs::{NOTHING, Verbs, app};

const SUBTASK: i32 = WorkItemType::Subtask as i32;
const EPIC: i32 = WorkItemType::Epic as i32;

#[tokio::test]
async fn the_mask_says_what_changes_and_the_event_holds_both_sides() {
    let app = app().await;
    let ana = app.member("ana").await;
    let before = ana.create_work_item(&ana.create_product("SHED").await.unwrap(), "paint").await.unwrap();
    let wanted = WorkItem { title: "paint it red".to_owned(), description: "not in the mask".to_owned(), ..before.clone() };
    let after = ana.update_work_item(&wanted, &["title"]).await.unwrap();
    assert_eq!(after, WorkItem { title: "paint it red".to_owned(), etag: "2".to_owned(), ..before.clone() });
    assert_eq!(ana.get_work_item(&before.work_item_id).await.unwrap(), after);
    let events = app.events::<WorkItemUpdated>().await;
    assert_eq!((events[0].before.as_ref(), events[0].after.as_ref(), events.len()), (Some(&before), Some(&after), 1));
}

#[tokio::test]
async fn a_change_to_what_is_there_already_tells_nobody() {
    let app = app().await;
    let ana = app.member("ana").await;
    let item = ana.create_work_item(&ana.create_product("SHED").await.unwrap(), "paint").await.unwrap();
    assert_eq!(ana.update_work_item(&item, &["title", "labels", "due_time"]).await.unwrap(), item);
    assert_eq!(app.events::<WorkItemUpdated>().await.len(), 0);
}

#[tokio::test]
async fn whoever_saw_an_older_version_is_told_to_look_again() {
    let app = app().await;
    let ana = app.member("ana").await;
    let old = ana.create_work_item(&ana.create_product("SHED").await.unwrap(), "paint").await.unwrap();
    let newer = ana.update_work_item(&WorkItem { priority: 2, ..old.clone() }, &["priority"]).await.unwrap();
    assert_fault!(ana.update_work_item(&WorkItem { priority: 3, ..old.clone() }, &["priority"]).await, Aborted, "ETAG_MISMATCH");
    let unseen = WorkItem { priority: 3, etag: String::new(), ..old };
    assert_eq!(ana.update_work_item(&unseen, &["priority"]).await.unwrap(), WorkItem { priority: 3, etag: "3".to_owned(), ..newer });
}

#[tokio::test]
async fn a_mask_that_names_nothing_or_too_much_is_refused() {
    let app = app().await;
    let ana = app.member("ana").await;
    let item = ana.create_work_item(&ana.create_product("SHED").await.unwrap(), "paint").await.unwrap();
    assert_fault!(ana.update_work_item(&item, &[]).await, InvalidArgument, "UPDATE_MASK_EMPTY");
    assert_fault!(ana.update_work_item(&item, &["state"]).await, InvalidArgument, "FIELD_VIOLATION");
    let missing = WorkItem { work_item_id: NOTHING.to_owned(), ..item };
    assert_fault!(ana.update_work_item(&missing, &["title"]).await, NotFound, "WORK_ITEM_NOT_FOUND");
}

#[tokio::test]
async fn assignees_that_lost_their_role_may_stay_and_new_ones_need_one() {
    let app = app().await;
    let (ana, ben) = (app.member("ana").await, app.member("ben").await);
    let shed = ana.create_product("SHED").await.unwrap();
    let item = ana.create_work_item_with(&shed, "paint", |request| request.assignee_ids = vec![ben.user_id.to_string()]).await.unwrap();
    app.assign(ben.user_id, app.organization(), None, None).await;
    let both = WorkItem { assignee_ids: vec![ben.user_id.to_string(), ana.user_id.to_string()], ..item };
    let both = ana.update_work_item(&both, &["assignee_ids"]).await.unwrap();
    let stranger = WorkItem { assignee_ids: vec![NOTHING.to_owned()], ..both };
    assert_fault!(ana.update_work_item(&stranger, &["assignee_ids"]).await, FailedPrecondition, "ASSIGNEE_NOT_FOUND");
}

#[tokio::test]
async fn an_item_moves_with_its_tree_and_not_under_itself_nor_too_deep() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    let task = ana.create_work_item(&shed, "task").await.unwrap();
    let one = ana.create_child(&task, SUBTASK, "one").await.unwrap();
    let two = ana.create_child(&one, SUBTASK, "two").await.unwrap();
    let under = |item: &WorkItem, parent: &WorkItem| WorkItem { parent_id: parent.work_item_id.clone(), ..item.clone() };
    assert_fault!(ana.update_work_item(&under(&one, &two), &["parent_id"]).await, FailedPrecondition, "HIERARCHY_TOO_DEEP");
    assert_fault!(ana.update_work_item(&under(&one, &one), &["parent_id"]).await, FailedPrecondition, "HIERARCHY_TOO_DEEP");
    let mut deep = ana.create_work_item(&shed, "deep").await.unwrap();
    for _ in 2..=9 {
        deep = ana.create_child(&deep, SUBTASK, "deeper").await.unwrap();
    }
    assert_fault!(ana.update_work_item(&under(&one, &deep), &["parent_id"]).await, FailedPrecondition, "HIERARCHY_TOO_DEEP");
    assert_eq!(ana.update_work_item(&under(&two, &deep), &["parent_id"]).await.unwrap().parent_id, deep.work_item_id);
    let one = ana.update_work_item(&under(&one, &deep), &["parent_id"]).await.unwrap();
    let nowhere = WorkItem { parent_id: NOTHING.to_owned(), ..one };
    assert_fault!(ana.update_work_item(&nowhere, &["parent_id"]).await, FailedPrecondition, "PARENT_NOT_FOUND");
}

#[tokio::test]
async fn a_type_fits_both_what_is_above_and_what_is_below() {
    let app = app().await;
    let ana = app.member("ana").await;
    let task = ana.create_work_item(&ana.create_product("SHED").await.unwrap(), "task").await.unwrap();
    let part = ana.create_child(&task, SUBTASK, "part").await.unwrap();
    assert_fault!(
        ana.update_work_item(&WorkItem { r#type: EPIC, ..task.clone() }, &["type"]).await,
        FailedPrecondition,
        "PARENT_TYPE_NOT_ALLOWED"
    );
    let alone = WorkItem { parent_id: String::new(), r#type: EPIC, ..part };
    assert_fault!(ana.update_work_item(&alone, &["type"]).await, FailedPrecondition, "PARENT_TYPE_NOT_ALLOWED");
    ana.update_work_item(&alone, &["type", "parent_id"]).await.unwrap();
    ana.update_work_item(&WorkItem { r#type: EPIC, ..task }, &["type"]).await.unwrap();
}

#[tokio::test]
async fn two_moves_at_once_make_no_circle() {
    let app = app().await;
    let ana = app.member("ana").await;
    let root = ana.create_work_item(&ana.create_product("SHED").await.unwrap(), "root").await.unwrap();
    for round in 0..10 {
        let one = ana.create_child(&root, SUBTASK, &format!("one {round}")).await.unwrap();
        let two = ana.create_child(&root, SUBTASK, &format!("two {round}")).await.unwrap();
        let under = |item: &WorkItem, parent: &WorkItem| WorkItem { parent_id: parent.work_item_id.clone(), ..item.clone() };
        let (left, right) = (under(&one, &two), under(&two, &one));
        let (left, right) = futures::join!(ana.update_work_item(&left, &["parent_id"]), ana.update_work_item(&right, &["parent_id"]));
        assert!(left.is_ok() != right.is_ok(), "exactly one goes through");
    }
}

#[tokio::test]
async fn nobody_changes_what_they_may_not() {
    let app = app().await;
    let ana = app.member("ana").await;
    let item = ana.create_work_item(&ana.create_product("SHED").await.unwrap(), "paint").await.unwrap();
    let other = WorkItem { title: "x".to_owned(), ..item };
    assert_fault!(app.viewer("vic").await.update_work_item(&other, &["title"]).await, PermissionDenied, "PERMISSION_DENIED");
    assert_fault!(app.outsider("eve").await.update_work_item(&other, &["title"]).await, NotFound, "WORK_ITEM_NOT_FOUND");
    app.member("mia").await.update_work_item(&other, &["title"]).await.unwrap();
}
