use contract::tasks::v1::{WorkItemState as State, WorkItemTransitioned};
use testkit::assert_fault;

use crate::verbs::{Verbs, app};

#[tokio::test]
async fn an_item_moves_along_its_states_and_each_move_is_told() {
    let app = app().await;
    let ana = app.member("ana").await;
    let mut item = ana.create_work_item(&ana.create_product("SHED").await.unwrap(), "paint").await.unwrap();
    for state in [State::InProgress, State::InReview, State::Completed, State::InProgress] {
        item = ana.transition_work_item(&item, state).await.unwrap();
        assert_eq!(item.state(), state);
    }
    let events = app.events::<WorkItemTransitioned>().await;
    let moves: Vec<_> =
        events.iter().map(|event| (event.before.as_ref().unwrap().state(), event.after.as_ref().unwrap().state())).collect();
    assert_eq!(moves[1..3], [(State::InProgress, State::InReview), (State::InReview, State::Completed)]);
    assert_eq!(moves.len(), 4);
}

#[tokio::test]
async fn a_move_that_the_state_does_not_lead_to_is_refused_with_both_names() {
    let app = app().await;
    let ana = app.member("ana").await;
    let item = ana.create_work_item(&ana.create_product("SHED").await.unwrap(), "paint").await.unwrap();
    let status = assert_fault!(ana.transition_work_item(&item, State::InReview).await, FailedPrecondition, "TRANSITION_NOT_ALLOWED");
    assert_eq!(status.message(), "a NOT_STARTED item can't become IN_REVIEW");
    assert_eq!(ana.get_work_item(&item.work_item_id).await.unwrap(), item);
}

#[tokio::test]
async fn a_viewer_moves_what_is_assigned_to_them_alone() {
    let app = app().await;
    let (ana, vic) = (app.member("ana").await, app.viewer("vic").await);
    let shed = ana.create_product("SHED").await.unwrap();
    let mine = ana.create_work_item_with(&shed, "mine", |request| request.assignee_ids = vec![vic.user_id.to_string()]).await.unwrap();
    let other = ana.create_work_item(&shed, "other").await.unwrap();
    vic.transition_work_item(&mine, State::InProgress).await.unwrap();
    assert_fault!(vic.transition_work_item(&other, State::InProgress).await, PermissionDenied, "PERMISSION_DENIED");
    assert_fault!(app.outsider("eve").await.transition_work_item(&other, State::InProgress).await, NotFound, "WORK_ITEM_NOT_FOUND");
}

#[tokio::test]
async fn of_two_moves_from_one_version_one_is_told_to_look_again() {
    let app = app().await;
    let ana = app.member("ana").await;
    let item = ana.create_work_item(&ana.create_product("SHED").await.unwrap(), "paint").await.unwrap();
    let (one, two) = futures::join!(ana.transition_work_item(&item, State::InProgress), ana.transition_work_item(&item, State::Blocked));
    let failed = if one.is_ok() { two } else { one };
    assert_fault!(failed, Aborted, "ETAG_MISMATCH");
    assert_eq!(app.events::<WorkItemTransitioned>().await.len(), 1);
}
