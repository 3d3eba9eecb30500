use contract::tasks::v1::{WorkItemDeleted, WorkItemState, WorkItemUndeleted};
use testkit::assert_fault;

use crate::verbs::{Verbs, app};

#[tokio::test]
async fn a_deleted_item_is_gone_and_comes_back_as_it_was() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    let item = ana.create_work_item(&shed, "paint").await.unwrap();
    let deleted = ana.delete_work_item(&item).await.unwrap();
    assert!(deleted.delete_time.is_some());
    assert_fault!(ana.get_work_item(&item.work_item_id).await, NotFound, "WORK_ITEM_NOT_FOUND");
    assert_fault!(ana.delete_work_item(&deleted).await, NotFound, "WORK_ITEM_NOT_FOUND");
    assert_fault!(ana.update_work_item(&deleted, &["title"]).await, NotFound, "WORK_ITEM_NOT_FOUND");
    assert_fault!(ana.transition_work_item(&deleted, WorkItemState::InProgress).await, NotFound, "WORK_ITEM_NOT_FOUND");
    let restored = ana.undelete_work_item(&item).await.unwrap();
    assert_eq!(restored, contract::tasks::v1::WorkItem { etag: "3".to_owned(), ..item });
    assert_eq!(ana.undelete_work_item(&restored).await.unwrap(), restored);
    assert_eq!((app.events::<WorkItemDeleted>().await.len(), app.events::<WorkItemUndeleted>().await.len()), (1, 1));
}

#[tokio::test]
async fn the_number_of_a_deleted_item_is_not_given_again() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    let item = ana.create_work_item(&shed, "paint").await.unwrap();
    ana.delete_work_item(&item).await.unwrap();
    assert_eq!(ana.create_work_item(&shed, "next").await.unwrap().key, "SHED-2");
}

#[tokio::test]
async fn members_delete_and_restore_their_own_and_admins_any() {
    let app = app().await;
    let (ana, ben, ada) = (app.member("ana").await, app.member("ben").await, app.admin("ada").await);
    let shed = ana.create_product("SHED").await.unwrap();
    let item = ana.create_work_item(&shed, "paint").await.unwrap();
    assert_fault!(ben.delete_work_item(&item).await, PermissionDenied, "PERMISSION_DENIED");
    let deleted = ada.delete_work_item(&item).await.unwrap();
    assert_fault!(ben.undelete_work_item(&deleted).await, PermissionDenied, "PERMISSION_DENIED");
    ana.undelete_work_item(&deleted).await.unwrap();
    assert_fault!(app.viewer("vic").await.delete_work_item(&item).await, PermissionDenied, "PERMISSION_DENIED");
    assert_fault!(app.outsider("eve").await.undelete_work_item(&item).await, NotFound, "WORK_ITEM_NOT_FOUND");
}

#[tokio::test]
async fn whoever_saw_an_older_version_deletes_nothing() {
    let app = app().await;
    let ana = app.member("ana").await;
    let old = ana.create_work_item(&ana.create_product("SHED").await.unwrap(), "paint").await.unwrap();
    ana.transition_work_item(&old, WorkItemState::InProgress).await.unwrap();
    assert_fault!(ana.delete_work_item(&old).await, Aborted, "ETAG_MISMATCH");
}
