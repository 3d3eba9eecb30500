use contract::tasks::v1::{
    ImportAction as Action, ImportFindingKind as Kind, ImportPlanResponse, WorkItem, WorkItemCreated, WorkItemState as State,
    WorkItemTransitioned, WorkItemType, WorkItemUpdated,
};
use testkit::{Actor, assert_fault};

use crate::verbs::{NOTHING, Verbs, app};

const PLAN: &str = "# Shed\n\n- [ ] paint\n  - use red\n  - [x] buy paint\n  - [ ] find brush\n- [ ] rest\n";

fn counts(report: &ImportPlanResponse) -> (i32, i32, i32) {
    (report.created_count, report.updated_count, report.unchanged_count)
}

fn findings(report: &ImportPlanResponse) -> Vec<(i32, Kind, &str)> {
    report.findings.iter().map(|finding| (finding.line, finding.kind(), &*finding.text)).collect()
}

async fn find(actor: &Actor, title: &str) -> WorkItem {
    let mut found = actor.list_work_items(|request| request.filter = format!("title = {title:?}")).await.unwrap().work_items;
    assert_eq!(found.len(), 1, "{title}");
    found.remove(0)
}

#[tokio::test]
async fn a_plan_becomes_items_with_numbers_in_its_order() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    let report = ana.import_plan(&shed, PLAN).await.unwrap();
    assert_eq!(counts(&report), (4, 0, 0));
    assert_eq!(findings(&report), [(1, Kind::TextIgnored, "# Shed")]);
    let items: Vec<_> = report.items.iter().map(|item| (item.line, &*item.key, &*item.title, item.depth, item.action())).collect();
    let created = Action::Created;
    assert_eq!(
        items,
        [
            (3, "SHED-1", "paint", 1, created),
            (5, "SHED-2", "buy paint", 2, created),
            (6, "SHED-3", "find brush", 2, created),
            (7, "SHED-4", "rest", 1, created)
        ]
    );
    let (paint, buy) = (find(&ana, "paint").await, find(&ana, "buy paint").await);
    assert_eq!((paint.r#type(), &*paint.description, paint.state()), (WorkItemType::Task, "- use red", State::NotStarted));
    assert_eq!((buy.r#type(), &buy.parent_id, buy.state()), (WorkItemType::Subtask, &paint.work_item_id, State::Completed));
    assert_eq!(app.events::<WorkItemCreated>().await.len(), 4);
    assert_eq!(ana.create_work_item(&shed, "next").await.unwrap().key, "SHED-5");
}

#[tokio::test]
async fn the_same_plan_again_changes_nothing_also_not_what_was_changed_here() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    ana.import_plan(&shed, PLAN).await.unwrap();
    let mine = WorkItem { description: "use blue".to_owned(), ..find(&ana, "paint").await };
    let mine = ana.update_work_item(&mine, &["description"]).await.unwrap();
    let mine = ana.transition_work_item(&mine, State::Completed).await.unwrap();
    let report = ana.import_plan(&shed, PLAN).await.unwrap();
    assert_eq!(counts(&report), (0, 0, 4));
    assert_eq!(find(&ana, "paint").await, mine);
    assert_eq!(report.items[0].work_item_id, mine.work_item_id);
}

#[tokio::test]
async fn what_changed_in_the_plan_is_brought_over_and_told() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    ana.import_plan(&shed, PLAN).await.unwrap();
    let changed = PLAN
        .replace("use red", "use green")
        .replace("[ ] paint", "[x] paint")
        .replace("[x] buy", "[ ] buy")
        .replace("- [ ] rest", "- [ ] sleep\n  - [ ] dream");
    let report = ana.import_plan(&shed, &changed).await.unwrap();
    assert_eq!(counts(&report), (2, 2, 1));
    assert_eq!(findings(&report)[1..], [(0, Kind::MissingFromPlan, "SHED-4 rest")]);
    let (paint, buy) = (find(&ana, "paint").await, find(&ana, "buy paint").await);
    assert_eq!((paint.state(), &*paint.description, &*paint.etag), (State::Completed, "- use green", "3"));
    assert_eq!((buy.state(), &*buy.etag), (State::InProgress, "2"));
    assert_eq!((find(&ana, "sleep").await.key, find(&ana, "dream").await.key), ("SHED-5".to_owned(), "SHED-6".to_owned()));
    assert_eq!((app.events::<WorkItemUpdated>().await.len(), app.events::<WorkItemTransitioned>().await.len()), (1, 2));
    assert_eq!(counts(&ana.import_plan(&shed, &changed).await.unwrap()), (0, 0, 5));
}

#[tokio::test]
async fn a_box_whose_item_cannot_follow_is_told_until_it_can() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    ana.import_plan(&shed, "- [ ] paint").await.unwrap();
    let blocked = ana.transition_work_item(&find(&ana, "paint").await, State::Blocked).await.unwrap();
    for _ in 0..2 {
        let report = ana.import_plan(&shed, "- [x] paint").await.unwrap();
        assert_eq!((counts(&report), findings(&report)), ((0, 0, 1), vec![(1, Kind::StateKept, "paint")]));
    }
    ana.transition_work_item(&blocked, State::InProgress).await.unwrap();
    assert_eq!(counts(&ana.import_plan(&shed, "- [x] paint").await.unwrap()), (0, 1, 0));
    assert_eq!(find(&ana, "paint").await.state(), State::Completed);
}

#[tokio::test]
async fn validation_reports_the_same_and_changes_nothing() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    ana.import_plan(&shed, PLAN).await.unwrap();
    let events = app.logged().await.len();
    let changed = PLAN.replace("use red", "use green").replace("rest", "sleep").replace("[ ] find", "[x] find");
    let would = ana.import_plan_with(&shed, &changed, |request| request.validate_only = true).await.unwrap();
    assert_eq!(counts(&would), (1, 2, 1));
    assert_eq!((&*would.items[0].key, &*would.items[3].key, &*would.items[3].work_item_id), ("SHED-1", "", ""));
    assert_eq!(app.logged().await.len(), events);
    let did = ana.import_plan(&shed, &changed).await.unwrap();
    assert_eq!((counts(&did), did.findings), (counts(&would), would.findings));
}

#[tokio::test]
async fn a_deleted_item_that_stands_in_the_plan_is_created_anew_and_the_old_one_may_still_come_back() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    ana.import_plan(&shed, PLAN).await.unwrap();
    let rest = find(&ana, "rest").await;
    ana.delete_work_item(&rest).await.unwrap();
    assert_eq!(counts(&ana.import_plan(&shed, PLAN).await.unwrap()), (1, 0, 3));
    assert_eq!(find(&ana, "rest").await.key, "SHED-5");
    ana.undelete_work_item(&rest).await.unwrap();
    assert_eq!(counts(&ana.import_plan(&shed, PLAN).await.unwrap()), (0, 0, 4));
}

#[tokio::test]
async fn new_items_follow_their_parent_wherever_it_was_moved() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    ana.import_plan(&shed, "- [ ] a\n  - [ ] b\n").await.unwrap();
    let b = find(&ana, "b").await;
    let epic = WorkItem { r#type: WorkItemType::Epic.into(), parent_id: String::new(), ..b.clone() };
    ana.update_work_item(&epic, &["type", "parent_id"]).await.unwrap();
    ana.import_plan(&shed, "- [ ] a\n  - [ ] b\n    - [ ] c\n      - [ ] d\n").await.unwrap();
    let (c, d) = (find(&ana, "c").await, find(&ana, "d").await);
    assert_eq!((c.r#type(), &c.parent_id), (WorkItemType::Task, &b.work_item_id));
    assert_eq!((d.r#type(), d.parent_id), (WorkItemType::Subtask, c.work_item_id));
}

#[tokio::test]
async fn items_under_one_that_was_moved_too_deep_are_refused_and_nothing_is_written() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    ana.import_plan(&shed, "- [ ] a\n  - [ ] b\n").await.unwrap();
    let mut deep = find(&ana, "a").await;
    for _ in 2..=9 {
        deep = ana.create_child(&deep, WorkItemType::Subtask.into(), "deeper").await.unwrap();
    }
    let moved = WorkItem { parent_id: deep.work_item_id, ..find(&ana, "b").await };
    ana.update_work_item(&moved, &["parent_id"]).await.unwrap();
    let events = app.logged().await.len();
    let import = ana.import_plan(&shed, "- [ ] z\n- [ ] a\n  - [ ] b\n    - [ ] c\n").await;
    assert_fault!(import, FailedPrecondition, "HIERARCHY_TOO_DEEP");
    assert_eq!(app.logged().await.len(), events);
}

#[tokio::test]
async fn two_imports_of_one_plan_at_once_create_it_once() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    let (one, two) = futures::join!(ana.import_plan(&shed, PLAN), ana.import_plan(&shed, PLAN));
    let mut counted = [counts(&one.unwrap()), counts(&two.unwrap())];
    counted.sort_unstable();
    assert_eq!(counted, [(0, 0, 4), (4, 0, 0)]);
}

#[tokio::test]
async fn a_repeated_import_answers_what_the_first_one_did() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    let import = async |markdown: &str| ana.import_plan_with(&shed, markdown, |request| request.request_id = NOTHING.to_owned()).await;
    let report = import(PLAN).await.unwrap();
    assert_eq!(import(PLAN).await.unwrap(), report);
    assert_fault!(import("- [ ] other").await, InvalidArgument, "REQUEST_ID_REUSED");
}

#[tokio::test]
async fn the_largest_plan_goes_in_and_a_larger_one_does_not() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    let of =
        |count: usize, mark: &str| (0..count).map(|number| format!("- [{mark}] t{number}\n  {}\n", mark.repeat(150))).collect::<String>();
    assert_fault!(ana.import_plan(&shed, &of(5_001, " ")).await, InvalidArgument, "PLAN_TOO_LARGE");
    assert_eq!(counts(&ana.import_plan(&shed, &of(5_000, " ")).await.unwrap()), (5_000, 0, 0));
    assert_eq!(counts(&ana.import_plan(&shed, &of(5_000, "x")).await.unwrap()), (0, 5_000, 0));
    app.settled().await;
    assert_eq!(app.event_status().await.published_position, 1 + 5_000 + 10_000);
    let padded = format!("- [ ] a\n{}", " ".repeat((1 << 20) - 8));
    assert_eq!(counts(&ana.import_plan(&shed, &padded).await.unwrap()), (1, 0, 0));
    assert_fault!(ana.import_plan(&shed, &format!("{padded} ")).await, InvalidArgument, "FIELD_VIOLATION");
}

#[tokio::test]
async fn what_is_no_plan_or_not_theirs_to_plan_is_refused() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    assert_fault!(ana.import_plan(&shed, "# nothing to do").await, InvalidArgument, "PLAN_EMPTY");
    let nothing = contract::tasks::v1::Product { product_id: NOTHING.to_owned(), ..shed.clone() };
    assert_fault!(ana.import_plan(&nothing, PLAN).await, NotFound, "PRODUCT_NOT_FOUND");
    assert_fault!(ana.import_plan_with(&nothing, PLAN, |request| request.validate_only = true).await, NotFound, "PRODUCT_NOT_FOUND");
    assert_fault!(app.viewer("vic").await.import_plan(&shed, PLAN).await, PermissionDenied, "PERMISSION_DENIED");
    assert_fault!(app.outsider("eve").await.import_plan(&shed, PLAN).await, NotFound, "PRODUCT_NOT_FOUND");
}

#[tokio::test]
async fn a_plan_with_forbidden_characters_is_cleaned_and_stored() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    ana.import_plan(&shed, "- [ ] pa\0int\u{202E}\r\n  e\u{301}\u{7}\r\n").await.unwrap();
    assert_eq!(find(&ana, "paint").await.description, "\u{e9}");
}
