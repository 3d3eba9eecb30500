use std::time::Duration;

use contract::tasks::v1::{ListWorkItemsRequest, WorkItemState};
use testkit::{Actor, App, assert_fault};

use crate::verbs::{Verbs, app};

/// Five items, a second apart; what orders them differs for every order.
async fn five(app: &App, ana: &Actor) {
    let (shed, barn) = (ana.create_product("SHED").await.unwrap(), ana.create_product("BARN").await.unwrap());
    let due = |day: i64| Some(prost_types::Timestamp { seconds: 1_800_000_000 + day * 86_400, nanos: 0 });
    for (title, product, priority, due_time) in
        [("a", &shed, 3, None), ("b", &barn, 0, due(2)), ("c", &shed, 4, due(1)), ("d", &shed, 3, None), ("e", &barn, 1, due(3))]
    {
        app.clock().advance(Duration::from_secs(1));
        let item = ana.create_work_item_with(product, title, |request| {
            (request.priority, request.due_time, request.labels) = (priority, due_time, vec![format!("label {title}"), "all".to_owned()]);
        });
        item.await.unwrap();
    }
    let a = &ana.list_work_items(|_| ()).await.unwrap().work_items[0];
    ana.transition_work_item(a, WorkItemState::InProgress).await.unwrap();
}

fn by(order: &str) -> impl Fn(&mut ListWorkItemsRequest) {
    let order = order.to_owned();
    move |request| request.order_by.clone_from(&order)
}

#[tokio::test]
async fn every_order_goes_both_ways_whatever_the_size_of_its_pages() {
    let app = app().await;
    let ana = app.member("ana").await;
    five(&app, &ana).await;
    for (order, titles) in [
        ("", "abcde"),
        ("create_time", "abcde"),
        // The move of the first one was at the time of the last one's creation: equal times go by id.
        ("update_time", "bcdae"),
        ("due_time", "cbead"),
        ("priority", "beadc"),
        ("key", "beacd"),
    ] {
        for page_size in [1, 2, 5, 50] {
            assert_eq!(ana.titles(page_size, by(order)).await.concat(), titles, "{order} by {page_size}");
            let backwards: String = titles.chars().rev().collect();
            let order = if order.is_empty() { "create_time desc".to_owned() } else { format!("{order} desc") };
            assert_eq!(ana.titles(page_size, by(&order)).await.concat(), backwards, "{order} by {page_size}");
        }
    }
}

#[tokio::test]
async fn a_filter_finds_what_it_says() {
    let app = app().await;
    let ana = app.member("ana").await;
    five(&app, &ana).await;
    let me = ana.user_id;
    for (filter, titles) in [
        ("state = IN_PROGRESS", "a"),
        ("state = WORK_ITEM_STATE_NOT_STARTED AND priority = HIGH", "d"),
        ("type = TASK", "abcde"),
        ("effort = LARGE", ""),
        ("NOT due_time:*", "ad"),
        ("due_time < 2027-01-17T00:00:00Z", "c"),
        (r#"labels:"label c" OR labels:"label e""#, "ce"),
        ("labels:all", "abcde"),
        ("key = SHED-2", "c"),
        (r#"title:"B""#, "b"),
        (&format!("reporter_id = {me}"), "abcde"),
        (&format!("assignee_ids:{me}"), ""),
        ("parent_id:*", ""),
    ] {
        assert_eq!(ana.titles(2, |request| request.filter = filter.to_owned()).await.concat(), titles, "{filter}");
    }
}

#[tokio::test]
async fn deleted_items_are_listed_and_counted_only_when_asked_for() {
    let app = app().await;
    let ana = app.member("ana").await;
    five(&app, &ana).await;
    let first = ana.list_work_items(|request| request.count_total = true).await.unwrap();
    assert_eq!(first.total_size, 5);
    ana.delete_work_item(&first.work_items[1]).await.unwrap();
    let count = async |show_deleted| {
        let list = ana.list_work_items(|request| (request.count_total, request.show_deleted, request.page_size) = (true, show_deleted, 1));
        list.await.unwrap().total_size
    };
    assert_eq!((count(false).await, count(true).await), (4, 5));
    assert_eq!(ana.titles(2, |_| ()).await.concat(), "acde");
    assert_eq!(ana.titles(2, |request| request.show_deleted = true).await.concat(), "abcde");
}

#[tokio::test]
async fn what_is_no_filter_order_or_token_of_this_list_is_refused() {
    let app = app().await;
    let ana = app.member("ana").await;
    five(&app, &ana).await;
    let list = async |with: fn(&mut ListWorkItemsRequest)| ana.list_work_items(with).await;
    assert_fault!(list(|request| request.filter = "owner = 1".to_owned()).await, InvalidArgument, "FILTER_INVALID");
    assert_fault!(list(|request| request.order_by = "title".to_owned()).await, InvalidArgument, "ORDER_INVALID");
    let token = ana.list_work_items(|request| request.page_size = 1).await.unwrap().next_page_token;
    let other = ana.list_work_items(|request| (request.page_token, request.order_by) = (token.clone(), "key".to_owned()));
    assert_fault!(other.await, InvalidArgument, "PAGE_TOKEN_INVALID");
    let other = ana.list_work_items(|request| (request.page_token, request.show_deleted) = (token, true));
    assert_fault!(other.await, InvalidArgument, "PAGE_TOKEN_INVALID");
}

#[tokio::test]
async fn a_page_of_long_texts_ends_early_and_none_is_left_out() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    for number in 0..40 {
        ana.create_work_item_with(&shed, &format!("{number:02} "), |request| request.description = "x".repeat(65_536)).await.unwrap();
    }
    let page = ana.list_work_items(|request| request.page_size = 1_000).await.unwrap();
    assert!((20..40).contains(&page.work_items.len()) && !page.next_page_token.is_empty());
    assert_eq!(ana.titles(1_000, |_| ()).await, (0..40).map(|number| format!("{number:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_list_ends_at_its_workspace() {
    let app = app().await;
    let ana = app.member("ana").await;
    five(&app, &ana).await;
    let elsewhere = ana.in_workspace(app.add_workspace().await);
    assert_eq!(elsewhere.titles(50, |_| ()).await, Vec::<String>::new());
    let eve = app.outsider("eve").await;
    assert_eq!(eve.titles(50, |_| ()).await, Vec::<String>::new());
    assert_eq!(app.workspace_member("wes", testkit::BaseRole::Viewer).await.titles(50, |_| ()).await.len(), 5);
    let strange = eve.in_workspace(ana.workspace_id);
    assert_fault!(strange.list_work_items(|_| ()).await, NotFound, "WORKSPACE_NOT_FOUND");
}

/// Rows of items that calls have made the server look at, by index or one after the other. A connection tells its counts for certain as it ends.
async fn rows_read(app: &App) -> i64 {
    let mut sql = app.sql().await;
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'tasks_app' AND datname = current_database()";
    while sqlx::query_scalar::<_, i64>(end).fetch_one(&mut sql).await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let query = "SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'work_item'";
    sqlx::query_scalar(query).fetch_one(&mut sql).await.unwrap()
}

#[tokio::test]
async fn a_page_deep_in_a_list_costs_as_much_as_the_first_in_every_order() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = ana.create_product("SHED").await.unwrap();
    ana.create_work_item(&shed, "one").await.unwrap();
    let copy = "INSERT INTO tasks.work_item (organization_id, workspace_id, product_id, work_item_id, number, key, type, title, description, state,
                  priority, effort, assignee_ids, reporter_id, labels, due_time, version, create_time, update_time)
                SELECT organization_id, workspace_id, product_id, gen_random_uuid(), n, 'SHED-' || n, type, title, description, state, n % 5, effort,
                  assignee_ids, reporter_id, labels, create_time + n * interval '1 day', version, create_time + n * interval '1 s',
                  update_time + n * interval '1 s' FROM tasks.work_item, generate_series(2, 5000) AS n";
    let mut sql = app.sql().await;
    sqlx::query(copy).execute(&mut sql).await.unwrap();
    sqlx::query("ANALYZE tasks.work_item").execute(&mut sql).await.unwrap();
    for order in ["create_time", "update_time desc", "due_time", "priority", "key", "key desc"] {
        let mut page_token = String::new();
        for _ in 0..4 {
            let page = ana.list_work_items(|request| {
                (request.order_by, request.page_size, request.page_token) = (order.to_owned(), 1_000, page_token);
            });
            page_token = page.await.unwrap().next_page_token;
        }
        let before = rows_read(&app).await;
        let deep = ana.list_work_items(|request| {
            (request.order_by, request.page_size, request.page_token) = (order.to_owned(), 10, page_token);
        });
        assert_eq!(deep.await.unwrap().work_items.len(), 10);
        let read = rows_read(&app).await - before;
        assert!(read <= 100, "{order}: {read} rows for 10");
    }
}
