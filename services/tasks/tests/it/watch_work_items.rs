use std::time::Duration;

use contract::tasks::v1::{Product, WatchWorkItemsResponse, WorkItemChangeKind as Kind, WorkItemState};
use tasks::Config;
use testkit::{Actor, BaseRole, assert_fault};
use tonic::{Status, Streaming};

use crate::verbs::{Verbs, app, app_with};

type Watch = Streaming<WatchWorkItemsResponse>;

/// The next change and the token after it; bookmarks are passed over.
async fn change(watch: &mut Watch) -> Result<(Kind, String, String), Status> {
    let next = async {
        loop {
            let message = watch.message().await?.expect("no end without a reason");
            if let Some(change) = message.change {
                return Ok((change.kind(), change.work_item.unwrap().title, message.resume_token));
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), next).await.expect("a change")
}

async fn bookmark(watch: &mut Watch) -> String {
    let message = watch.message().await.unwrap().unwrap();
    assert_eq!(message.change, None);
    message.resume_token
}

async fn product(actor: &Actor) -> Product {
    actor.create_product("SHED").await.unwrap()
}

#[tokio::test]
async fn a_watcher_is_told_each_change_in_order() {
    let app = app().await;
    let (ana, vic) = (app.member("ana").await, app.viewer("vic").await);
    let shed = product(&ana).await;
    let mut watch = vic.watch("").await.unwrap();
    let item = ana.create_work_item(&shed, "paint").await.unwrap();
    let item = ana.update_work_item(&contract::tasks::v1::WorkItem { title: "paint it".to_owned(), ..item }, &["title"]).await.unwrap();
    let item = ana.transition_work_item(&item, WorkItemState::InProgress).await.unwrap();
    let item = ana.delete_work_item(&item).await.unwrap();
    ana.undelete_work_item(&item).await.unwrap();
    let mut told = Vec::new();
    for _ in 0..5 {
        let (kind, title, _) = change(&mut watch).await.unwrap();
        told.push((kind, title));
    }
    let kinds: Vec<Kind> = told.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [Kind::Created, Kind::Updated, Kind::Transitioned, Kind::Deleted, Kind::Undeleted]);
    assert_eq!((&*told[0].1, &*told[1].1), ("paint", "paint it"));
}

#[tokio::test]
async fn a_change_says_who_when_and_what_is_there_now() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = product(&ana).await;
    let mut watch = ana.watch("").await.unwrap();
    bookmark(&mut watch).await;
    let item = ana.create_work_item(&shed, "paint").await.unwrap();
    let message = watch.message().await.unwrap().unwrap();
    let told = message.change.unwrap();
    assert_eq!((told.work_item, told.actor_id), (Some(item.clone()), ana.user_id.to_string()));
    assert_eq!(told.create_time, item.create_time);
    assert_eq!(told.event_id, app.envelopes().await[1].event_id);
}

#[tokio::test]
async fn whoever_resumes_misses_nothing_and_hears_nothing_twice() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = product(&ana).await;
    let mut token = bookmark(&mut ana.watch("").await.unwrap()).await;
    for number in 0..20 {
        ana.create_work_item(&shed, &number.to_string()).await.unwrap();
    }
    // Two messages a connection: each goes on after the last token.
    let mut heard = Vec::new();
    while heard.len() < 20 {
        let mut watch = ana.watch(&token).await.unwrap();
        for _ in 0..2.min(20 - heard.len()) {
            let (_, title, next) = change(&mut watch).await.unwrap();
            heard.push(title);
            token = next;
        }
    }
    assert_eq!(heard, (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_watcher_resumes_after_a_restart_of_the_service() {
    let mut app = app().await;
    let ana = app.member("ana").await;
    let shed = product(&ana).await;
    let mut watch = ana.watch("").await.unwrap();
    let token = bookmark(&mut watch).await;
    ana.create_work_item(&shed, "before").await.unwrap();
    app.restart().await;
    let (_, title, _) = change(&mut ana.watch(&token).await.unwrap()).await.unwrap();
    assert_eq!(title, "before");
}

#[tokio::test]
async fn other_workspaces_and_tenants_are_not_told_of() {
    let app = app().await;
    let ana = app.member("ana").await;
    let shed = product(&ana).await;
    let mut watch = ana.watch("").await.unwrap();
    let elsewhere = ana.in_workspace(app.add_workspace().await);
    elsewhere.create_work_item(&product(&elsewhere).await, "elsewhere").await.unwrap();
    let eve = app.outsider("eve").await;
    eve.create_work_item(&product(&eve).await, "eve's").await.unwrap();
    ana.create_work_item(&shed, "here").await.unwrap();
    assert_eq!(change(&mut watch).await.unwrap().1, "here");
}

#[tokio::test]
async fn a_token_of_another_workspace_or_none_at_all_is_refused() {
    let app = app().await;
    let ana = app.member("ana").await;
    let token = bookmark(&mut ana.watch("").await.unwrap()).await;
    let elsewhere = ana.in_workspace(app.add_workspace().await);
    assert_fault!(elsewhere.watch(&token).await.map(drop), InvalidArgument, "RESUME_TOKEN_INVALID");
    assert_fault!(ana.watch("nonsense").await.map(drop), InvalidArgument, "RESUME_TOKEN_INVALID");
    assert_fault!(app.outsider("eve").await.watch(&token).await.map(drop), InvalidArgument, "RESUME_TOKEN_INVALID");
    assert_fault!(app.user("ned").watch("").await.map(drop), NotFound, "WORKSPACE_NOT_FOUND");
}

#[tokio::test]
async fn a_quiet_watch_gets_bookmarks_that_lead_on() {
    let app = app_with(Config { watch_bookmark_ms: 100, ..Config::default() }).await;
    let ana = app.member("ana").await;
    let shed = product(&ana).await;
    let mut watch = ana.watch("").await.unwrap();
    bookmark(&mut watch).await;
    let elsewhere = ana.in_workspace(app.add_workspace().await);
    elsewhere.create_work_item(&product(&elsewhere).await, "elsewhere").await.unwrap();
    app.settled().await;
    bookmark(&mut watch).await;
    let token = bookmark(&mut watch).await;
    ana.create_work_item(&shed, "here").await.unwrap();
    assert_eq!(change(&mut ana.watch(&token).await.unwrap()).await.unwrap().1, "here");
}

#[tokio::test]
async fn a_watch_ends_when_the_role_is_taken_away() {
    let app = app().await;
    let (ana, wes) = (app.member("ana").await, app.workspace_member("wes", BaseRole::Viewer).await);
    let shed = product(&ana).await;
    let mut watch = wes.watch("").await.unwrap();
    bookmark(&mut watch).await;
    app.assign(wes.user_id, app.organization(), Some(app.workspace()), None).await;
    ana.create_work_item(&shed, "secret").await.unwrap();
    assert_fault!(change(&mut watch).await, NotFound, "WORKSPACE_NOT_FOUND");
}

#[tokio::test]
async fn a_quiet_watch_ends_too_when_the_role_is_taken_away() {
    let app = app().await;
    let wes = app.workspace_member("wes", BaseRole::Viewer).await;
    let mut watch = wes.watch("").await.unwrap();
    bookmark(&mut watch).await;
    app.assign(wes.user_id, app.organization(), Some(app.workspace()), None).await;
    assert_fault!(change(&mut watch).await, NotFound, "WORKSPACE_NOT_FOUND");
}

#[tokio::test]
async fn a_watcher_who_does_not_read_is_cut_off_and_resumes_where_they_were() {
    let app = app_with(Config { watch_buffer: 2, watch_slow_ms: 100, ..Config::default() }).await;
    let ana = app.member("ana").await;
    let shed = product(&ana).await;
    let mut watch = ana.watch("").await.unwrap();
    let mut token = bookmark(&mut watch).await;
    for number in 0..120 {
        ana.create_work_item_with(&shed, &number.to_string(), |request| request.description = "x".repeat(60_000)).await.unwrap();
    }
    while app.deps().tasks.names().iter().any(|name| name.contains("watch")) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut heard = Vec::new();
    let end = loop {
        match change(&mut watch).await {
            Ok((_, title, next)) => {
                heard.push(title);
                token = next;
            }
            Err(status) => break status,
        }
    };
    assert_fault!(Err::<(), _>(end), ResourceExhausted, "SLOW_CONSUMER");
    assert!(heard.len() < 120);
    let mut watch = ana.watch(&token).await.unwrap();
    while heard.len() < 120 {
        heard.push(change(&mut watch).await.unwrap().1);
    }
    assert_eq!(heard, (0..120).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_watcher_who_leaves_leaves_nothing_behind() {
    let app = app().await;
    let ana = app.member("ana").await;
    let mut watch = ana.watch("").await.unwrap();
    bookmark(&mut watch).await;
    drop(watch);
    while app.deps().tasks.names().iter().any(|name| name.contains("watch")) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_watch_ends_when_its_session_is_revoked() {
    let app = app().await;
    let vic = app.viewer("vic").await;
    let mut watch = vic.watch("").await.unwrap();
    bookmark(&mut watch).await;
    app.authority().revoke_session(vic.session_id, app.deps().clock.now());
    let ended = tokio::time::timeout(Duration::from_secs(20), change(&mut watch)).await.expect("an end");
    assert_fault!(ended, Unauthenticated, "TOKEN_REVOKED");
}
