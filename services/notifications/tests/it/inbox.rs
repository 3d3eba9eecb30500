use contract::notifications::v1::{InboxItemArchived, InboxItemRead, InboxRead};
use runtime::OrganizationId;
use testkit::assert_fault;

use crate::verbs::{Reads, Tells, app};

#[tokio::test]
async fn the_newest_comes_first_and_pages_hold_still_while_items_arrive() {
    let app = app().await;
    let (ana, ben) = (app.member("ana").await, app.member("ben").await);
    app.assign_items(&ana, &ben, &["A-1", "A-2", "A-3"]).await;
    let first = ben.page(|request| request.page_size = 2).await.unwrap();
    app.assign_items(&ana, &ben, &["A-4"]).await;
    let second = ben.page(|request| (request.page_size, request.page_token) = (2, first.next_page_token.clone())).await.unwrap();
    let titles = |page: &contract::notifications::v1::ListInboxItemsResponse| {
        page.inbox_items.iter().map(|item| item.title[..3].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((titles(&first), titles(&second), &*second.next_page_token), (vec!["A-3".into(), "A-2".into()], vec!["A-1".into()], ""));
    let other = ben.page(|request| (request.page_token, request.show_archived) = (first.next_page_token.clone(), true)).await;
    assert_fault!(other, InvalidArgument, "PAGE_TOKEN_INVALID");
}

#[tokio::test]
async fn a_filter_finds_what_it_says_and_nonsense_is_refused() {
    let app = app().await;
    let (ana, ben) = (app.member("ana").await, app.member("ben").await);
    app.assign_items(&ana, &ben, &["A-1", "A-2"]).await;
    app.sign_in(&ben).await;
    let newest = ben.items("").await.remove(0);
    ben.mark_read(&newest.inbox_item_id).await.unwrap();
    for (filter, count) in [
        ("category = SECURITY", 1),
        ("category = CATEGORY_ASSIGNMENT", 2),
        ("NOT read_time:*", 2),
        ("read_time:*", 1),
        (&format!("organization_id = {}", app.organization()), 2),
        (&format!("resource_id = \"{}\"", newest.resource_id), 1),
    ] {
        assert_eq!(ben.items(filter).await.len(), count, "{filter}");
    }
    for filter in ["title = x", "category = OTHER", "') OR true --"] {
        assert_fault!(ben.page(|request| request.filter = filter.to_owned()).await, InvalidArgument, "FILTER_INVALID");
    }
}

#[tokio::test]
async fn an_item_is_read_once_and_the_second_time_nothing_is_told() {
    let app = app().await;
    let ben = app.member("ben").await;
    app.assign_items(&app.member("ana").await, &ben, &["A-1"]).await;
    let item = ben.items("").await.remove(0);
    assert_eq!(ben.unread().await, 1);
    let read = ben.mark_read(&item.inbox_item_id).await.unwrap();
    app.clock().advance(std::time::Duration::from_secs(1));
    assert_eq!(ben.mark_read(&item.inbox_item_id).await.unwrap(), read);
    assert_eq!((ben.unread().await, ben.items("").await), (0, vec![read.clone()]));
    let told = app.events::<InboxItemRead>().await;
    assert_eq!(told, [InboxItemRead { inbox_item_id: item.inbox_item_id.clone(), before: Some(item), after: Some(read) }]);
}

#[tokio::test]
async fn all_is_read_at_once_and_what_was_read_keeps_its_time() {
    let app = app().await;
    let ben = app.member("ben").await;
    app.assign_items(&app.member("ana").await, &ben, &["A-1", "A-2", "A-3"]).await;
    let first = ben.mark_read(&ben.items("").await[0].inbox_item_id).await.unwrap();
    app.clock().advance(std::time::Duration::from_secs(1));
    assert_eq!((ben.mark_all_read().await, ben.mark_all_read().await, ben.unread().await), (2, 0, 0));
    assert_eq!(ben.items("").await[0], first);
    let told = app.events::<InboxRead>().await;
    assert_eq!((told.len(), told[0].read_count, &told[0].user_id), (1, 2, &ben.user_id.to_string()));
}

#[tokio::test]
async fn what_is_put_away_is_listed_and_counted_no_more_unless_asked_for() {
    let app = app().await;
    let ben = app.member("ben").await;
    app.assign_items(&app.member("ana").await, &ben, &["A-1"]).await;
    let item = ben.items("").await.remove(0);
    let archived = ben.archive(&item.inbox_item_id).await.unwrap();
    assert_eq!(ben.archive(&item.inbox_item_id).await.unwrap(), archived);
    assert!(archived.archive_time.is_some() && archived.read_time.is_none());
    assert_eq!((ben.unread().await, ben.items("").await), (0, vec![]));
    assert_eq!(ben.page(|request| request.show_archived = true).await.unwrap().inbox_items, [archived]);
    assert_eq!(app.events::<InboxItemArchived>().await.len(), 1);
}

#[tokio::test]
async fn an_inbox_is_its_person_s_alone() {
    let app = app().await;
    let (ana, ben, eve) = (app.owner("ana").await, app.member("ben").await, app.outsider("eve").await);
    app.assign_items(&ana, &ben, &["A-1"]).await;
    let id = ben.items("").await.remove(0).inbox_item_id;
    for stranger in [&ana, &eve, &app.system_admin("root").await] {
        assert_fault!(stranger.mark_read(&id).await, NotFound, "INBOX_ITEM_NOT_FOUND");
        assert_fault!(stranger.archive(&id).await, NotFound, "INBOX_ITEM_NOT_FOUND");
        assert_eq!((stranger.items("").await, stranger.mark_all_read().await), (vec![], 0));
    }
    assert_fault!(app.anonymous().mark_read(&id).await, Unauthenticated, "CREDENTIALS_MISSING");
    ben.mark_read(&id).await.unwrap();
}

#[tokio::test]
async fn a_token_of_another_organization_shows_what_is_of_none_and_tells_nothing_of_it() {
    let app = app().await;
    let ben = app.member("ben").await;
    app.assign_items(&app.member("ana").await, &ben, &["A-1"]).await;
    app.sign_in(&ben).await;
    let elsewhere = ben.in_organization(app.outsider("eve").await.organization_id);
    assert_eq!(elsewhere.titles("").await, ["New sign-in to your account"]);
    let assigned = ben.items("category = ASSIGNMENT").await.remove(0);
    assert_fault!(elsewhere.mark_read(&assigned.inbox_item_id).await, NotFound, "INBOX_ITEM_NOT_FOUND");
    let read = elsewhere.mark_read(&elsewhere.items("").await[0].inbox_item_id).await.unwrap();
    assert_eq!(read.organization_id, OrganizationId::SYSTEM.to_string());
    let told = app.events::<InboxItemRead>().await.remove(0).after.unwrap();
    assert_eq!((&*told.title, &*told.text, told.inbox_item_id), ("", "", read.inbox_item_id));
}

#[tokio::test]
async fn without_a_person_the_service_itself_reads_and_changes_no_item_of_another_organization() {
    use sqlx::Connection;
    let app = app().await;
    app.assign_items(&app.member("ana").await, &app.member("ben").await, &["A-1"]).await;
    let mut conn = sqlx::PgConnection::connect(&app.database_url("notifications_app")).await.unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM notifications.inbox_item").fetch_one(&mut conn).await.unwrap();
    assert_eq!((seen, app.count("SELECT count(*) FROM notifications.inbox_item").await), (0, 1));
}
