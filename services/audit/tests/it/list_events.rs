use runtime::OrganizationId;
use testkit::{BaseRole, assert_fault};

use crate::verbs::{Reads, Tells, audit, created, things};

#[tokio::test]
async fn the_newest_record_comes_first() {
    let app = audit().await;
    app.tell_of(&["a", "b", "c"]).await;
    assert_eq!(app.admin("ana").await.things("").await, ["c", "b", "a"]);
}

#[tokio::test]
async fn pages_hold_still_while_records_arrive() {
    let app = audit().await;
    let early = app.foreign(created("late"), app.organization());
    app.tell_of(&["a", "b", "c", "d", "e"]).await;
    let ana = app.admin("ana").await;
    let first = ana.page("", 2, "").await.unwrap();
    assert_eq!(things(&first.audit_events), ["e", "d"]);

    app.tell_of(&["f", "g"]).await;
    app.deliver(&early).await;
    app.settled().await;
    let second = ana.page("", 2, &first.next_page_token).await.unwrap();
    let third = ana.page("", 2, &second.next_page_token).await.unwrap();
    assert_eq!(
        (things(&second.audit_events), things(&third.audit_events)),
        (vec!["c".into(), "b".into()], vec!["a".into(), "late".into()])
    );
    assert_eq!(third.next_page_token, "");
}

#[tokio::test]
async fn records_of_one_moment_are_each_on_one_page() {
    let app = audit().await;
    for thing in ["a", "b", "c", "d", "e"] {
        app.publish(created(thing), app.organization()).await;
    }
    app.settled().await;
    let (ana, mut seen, mut token) = (app.admin("ana").await, Vec::new(), String::new());
    loop {
        let page = ana.page("", 2, &token).await.unwrap();
        seen.extend(things(&page.audit_events));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["e", "d", "c", "b", "a"]);
}

#[tokio::test]
async fn a_filter_finds_what_who_and_when() {
    let app = audit().await;
    let ana = app.admin("ana").await;
    app.tell_of(&["a", "b"]).await;
    let moved = app.tell_of_move("a", &ana, "192.0.2.7", "curl/8").await;
    assert_eq!(ana.things(r#"action = "tasks.work_item.transition""#).await, ["a"]);
    assert_eq!(ana.things(&format!("actor_id = \"{}\"", ana.user_id)).await, ["a"]);
    assert_eq!(ana.things(&format!("actor_kind = USER AND session_id = \"{}\"", ana.session_id)).await, ["a"]);
    assert_eq!(ana.things(&format!("request_id = \"{}\"", moved.envelope.request_id)).await, ["a"]);
    assert_eq!(ana.things(r#"resource_type = "work_item" AND resource_id = "b""#).await, ["b"]);
    assert_eq!(ana.things(r#"create_time <= "2026-03-02T09:00:01Z""#).await, ["a"]);
    assert_eq!(ana.things(r#"service = "identity""#).await, Vec::<String>::new());
    assert_eq!(ana.things(r#"trace_id = "0af7651916cd43dd8448eb211c80319c" AND -type = "muster.tasks.v1.WorkItemCreated""#).await, ["a"]);
}

#[tokio::test]
async fn a_filter_that_can_not_be_read_is_refused() {
    let app = audit().await;
    let ana = app.admin("ana").await;
    for filter in ["action =", "body = \"x\"", "client_address = \"192.0.2.7\"", "create_time > yesterday", "') OR true --"] {
        assert_fault!(ana.list_events(filter).await, InvalidArgument, "FILTER_INVALID");
    }
}

#[tokio::test]
async fn a_page_token_is_good_for_its_own_list_alone() {
    let app = audit().await;
    app.tell_of(&["a", "b"]).await;
    let (ana, eve) = (app.admin("ana").await, app.outsider("eve").await);
    let token = ana.page("", 1, "").await.unwrap().next_page_token;
    ana.page("", 1, &token).await.unwrap();
    assert_fault!(ana.page(r#"service = "tasks""#, 1, &token).await, InvalidArgument, "PAGE_TOKEN_INVALID");
    assert_fault!(eve.page("", 1, &token).await, InvalidArgument, "PAGE_TOKEN_INVALID");
}

#[tokio::test]
async fn only_those_who_manage_an_organization_read_its_trail() {
    let app = audit().await;
    app.tell_of(&["a"]).await;
    for actor in [app.owner("oda").await, app.admin("ana").await, app.system_admin("root").await] {
        assert_eq!(actor.things("").await, ["a"], "{}", actor.name);
    }
    for actor in [app.member("ben").await, app.viewer("vic").await, app.workspace_member("wim", BaseRole::Owner).await, app.user("ulf")] {
        assert_fault!(actor.list_events("").await, PermissionDenied, "PERMISSION_DENIED");
    }
    assert_fault!(app.anonymous().list_events("").await, Unauthenticated, "CREDENTIALS_MISSING");
}

#[tokio::test]
async fn an_outsider_reads_the_trail_of_their_own_organization() {
    let app = audit().await;
    let eve = app.outsider("eve").await;
    app.tell_of(&["a"]).await;
    app.publish(created("eve's"), eve.organization_id).await;
    app.settled().await;
    assert_eq!(eve.things("").await, ["eve's"]);
    assert_eq!(app.admin("ana").await.things("").await, ["a"]);
}

#[tokio::test]
async fn events_of_the_platform_are_for_system_admins() {
    let app = audit().await;
    app.publish(created("of the platform"), OrganizationId::SYSTEM).await;
    app.settled().await;
    let root = app.system_admin("root").await;
    assert_eq!(root.in_organization(OrganizationId::SYSTEM).things("").await, ["of the platform"]);
    assert_eq!(root.things("").await, Vec::<String>::new());
    let ana = app.owner("ana").await.in_organization(OrganizationId::SYSTEM);
    assert_fault!(ana.list_events("").await, PermissionDenied, "PERMISSION_DENIED");
}
