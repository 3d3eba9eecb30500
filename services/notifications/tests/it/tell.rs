use contract::notifications::v1::{Category, InboxItemCreated};
use contract::tasks::v1::WorkItemUpdated;

use crate::verbs::{Reads, Tells, app, item};

#[tokio::test]
async fn whoever_is_assigned_is_told_and_the_world_too() {
    let app = app().await;
    let (ana, ben) = (app.member("ana").await, app.member("ben").await);
    app.assign_items(&ana, &ben, &["ACME-1"]).await;
    let told = ben.items("").await.remove(0);
    assert_eq!((&*told.title, &*told.text, told.category()), ("ACME-1 was assigned to you", "light the fuse", Category::Assignment));
    assert_eq!((&*told.resource_type, told.workspace_id.clone()), ("work_item", app.workspace().to_string()));
    assert_eq!((told.organization_id.clone(), told.read_time), (app.organization().to_string(), None));
    assert_eq!(ana.titles("").await, [""; 0], "she did it herself");
    assert_eq!(app.events::<InboxItemCreated>().await[0].after.as_ref(), Some(&told));
    assert_eq!(app.emitted().await, [format!("muster.notifications.v1.inbox_item.created.{}", app.organization())]);
}

#[tokio::test]
async fn an_added_assignee_is_told_and_the_others_are_not() {
    let app = app().await;
    let (ana, ben, cleo) = (app.member("ana").await, app.member("ben").await, app.member("cleo").await);
    let before = item(&app, "ACME-1", &[&ben], &ana);
    let after = contract::tasks::v1::WorkItem { assignee_ids: vec![ben.user_id.to_string(), cleo.user_id.to_string()], ..before.clone() };
    let event = WorkItemUpdated { work_item_id: before.work_item_id.clone(), before: Some(before), after: Some(after) };
    app.tell(&ana, app.organization(), event).await;
    assert_eq!((ben.items("").await.len(), cleo.titles("").await), (0, vec!["ACME-1 was assigned to you".to_owned()]));
}

#[tokio::test]
async fn a_move_is_told_to_who_does_it_and_who_reported_it() {
    let app = app().await;
    let (ana, ben, cleo) = (app.member("ana").await, app.member("ben").await, app.member("cleo").await);
    app.begin(&ben, item(&app, "ACME-1", &[&ben, &cleo], &ana)).await;
    for actor in [&ana, &cleo] {
        assert_eq!(actor.titles("category = STATUS").await, ["ACME-1 went from not started to in progress"], "{}", actor.name);
    }
    assert_eq!(ben.items("").await, []);
}

#[tokio::test]
async fn an_event_that_comes_twice_tells_once_also_when_its_inbox_row_is_forgotten() {
    let app = app().await;
    let ana = app.member("ana").await;
    let event = app.sign_in(&ana).await;
    app.deliver(&event).await;
    app.settled().await;
    sqlx::query("DELETE FROM notifications.inbox").execute(&mut app.sql().await).await.unwrap();
    app.deliver(&event).await;
    app.settled().await;
    assert_eq!(ana.titles("").await, ["New sign-in to your account"]);
    assert_eq!(app.count("SELECT count(*) FROM notifications.inbox").await, 1, "it was taken a second time");
    assert_eq!(app.events::<InboxItemCreated>().await.len(), 1);
}

#[tokio::test]
async fn a_restart_in_the_middle_tells_of_all_and_of_nothing_twice() {
    let mut app = app().await;
    let (ana, ben) = (app.member("ana").await, app.member("ben").await);
    for number in 0..40 {
        let after = item(&app, &format!("ACME-{number}"), &[&ben], &ana);
        app.publish(
            contract::tasks::v1::WorkItemCreated { work_item_id: after.work_item_id.clone(), after: Some(after) },
            app.organization(),
        )
        .await;
    }
    app.restart().await;
    app.settled().await;
    assert_eq!(ben.unread().await, 40);
    assert_eq!(app.count("SELECT count(DISTINCT title) FROM notifications.inbox_item").await, 40);
}

#[tokio::test]
async fn what_names_nobody_is_parked_and_holds_nothing_up() {
    let mut app = app().await;
    app.expect_dead_letters();
    let ana = app.member("ana").await;
    app.publish(contract::identity::v1::SessionCreated { session_id: "s".to_owned(), after: None }, app.organization()).await;
    app.sign_in(&ana).await;
    assert_eq!(ana.unread().await, 1);
}
