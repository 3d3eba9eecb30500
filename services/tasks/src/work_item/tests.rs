use time::macros::datetime;
use uuid::Uuid;

use super::*;

const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);
const LATER: OffsetDateTime = datetime!(2026-03-02 12:00 UTC);

fn item() -> WorkItem {
    let new = NewWorkItem {
        workspace_id: Uuid::from_u128(2).into(),
        product_id: Uuid::from_u128(3).into(),
        parent_id: None,
        r#type: Kind::Task,
        title: "paint the shed".to_owned(),
        description: String::new(),
        priority: Priority::default(),
        effort: Effort::default(),
        assignee_ids: vec![Uuid::from_u128(9).into()],
        labels: vec![],
        due_time: Some(LATER),
    };
    WorkItem::new(Uuid::from_u128(4).into(), Uuid::from_u128(1).into(), Uuid::from_u128(8).into(), new, NOW)
}

fn under(r#type: Kind, depth: usize) -> Option<Parent> {
    Some(Parent { r#type, depth })
}

#[test]
fn a_new_item_has_not_started_and_is_its_reporters() {
    let item = item();
    assert_eq!((item.state, item.version, item.update_time), (State::NotStarted, 1, NOW));
    let resource = item.resource();
    assert_eq!((resource.owner, resource.assignees), (Some(item.reporter_id), &item.assignee_ids[..]));
}

#[test]
fn a_change_names_its_fields_and_counts_once() {
    let before = item();
    let change = Change { title: Some("paint it red".to_owned()), due_time: Some(None), ..Change::default() };
    let after = before.changed(change, LATER);
    let expected = WorkItem { title: "paint it red".to_owned(), due_time: None, version: 2, update_time: LATER, ..before };
    assert_eq!(after, expected);
}

#[test]
fn a_change_to_what_is_there_already_is_none() {
    let before = item();
    let change = Change { title: Some(before.title.clone()), priority: Some(Priority::Unspecified), ..Change::default() };
    assert_eq!(before.changed(change, LATER), before);
}

#[test]
fn an_update_time_never_goes_back() {
    let before = WorkItem { update_time: LATER, ..item() };
    assert_eq!(before.deleted(NOW).update_time, LATER);
}

#[test]
fn a_move_that_the_state_does_not_lead_to_is_refused() {
    let done = item().moved(State::Completed, LATER).unwrap();
    assert_eq!((done.state, done.version), (State::Completed, 2));
    assert!(matches!(done.moved(State::Blocked, LATER), Err(Error::WrongState { from: State::Completed, to: State::Blocked })));
    assert!(matches!(done.moved(State::Completed, LATER), Err(Error::WrongState { .. })));
}

#[test]
fn an_etag_of_another_version_is_refused_and_none_is_any() {
    let item = item();
    assert!(item.check_etag("").is_ok() && item.check_etag(&item.etag()).is_ok());
    let after = item.deleted(LATER);
    assert!(matches!(after.check_etag(&item.etag()), Err(Error::Rpc(rpc::Error::EtagMismatch))));
}

#[test]
fn a_restored_item_is_as_it_was_but_for_its_version_and_time() {
    let before = item();
    let after = before.deleted(LATER).undeleted(LATER);
    assert_eq!(after, WorkItem { version: 3, update_time: LATER, ..before });
}

#[test]
fn a_place_is_refused_for_its_kind_or_its_depth() {
    assert!(check_place(Kind::Epic, None, 1).is_ok());
    assert!(check_place(Kind::Subtask, under(Kind::Subtask, 9), 1).is_ok());
    assert!(check_place(Kind::Subtask, under(Kind::Subtask, 5), 5).is_ok());
    assert!(matches!(check_place(Kind::Subtask, None, 1), Err(Error::ParentType { child: Kind::Subtask, parent: None })));
    assert!(matches!(check_place(Kind::Epic, under(Kind::Epic, 1), 1), Err(Error::ParentType { .. })));
    assert!(matches!(check_place(Kind::Subtask, under(Kind::Subtask, 10), 1), Err(Error::TooDeep)));
    assert!(matches!(check_place(Kind::Subtask, under(Kind::Task, 5), 6), Err(Error::TooDeep)));
    assert!(matches!(check_place(Kind::Task, None, 11), Err(Error::TooDeep)));
}

#[test]
fn only_place_and_kind_are_structure() {
    assert!(Change { parent_id: Some(None), ..Change::default() }.is_structural());
    assert!(Change { r#type: Some(Kind::Epic), ..Change::default() }.is_structural());
    assert!(!Change { title: Some("x".to_owned()), ..Change::default() }.is_structural());
}
