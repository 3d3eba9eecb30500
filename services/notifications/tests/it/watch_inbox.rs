use std::time::Duration;

use contract::notifications::v1::{InboxChangeKind as Kind, WatchInboxResponse};
use notifications::Config;
use runtime::OrganizationId;
use testkit::assert_fault;
use tonic::{Status, Streaming};

use crate::verbs::{Reads, Tells, app, app_with};

type Watch = Streaming<WatchInboxResponse>;

/// The next change, what it is about, and the token after it; bookmarks are passed over.
async fn change(watch: &mut Watch) -> Result<(Kind, String, String), Status> {
    let next = async {
        loop {
            let message = watch.message().await?.expect("no end without a reason");
            if let Some(change) = message.change {
                let title = change.inbox_item.as_ref().map(|item| item.title.clone()).unwrap_or_default();
                return Ok((change.kind(), title, message.resume_token));
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), next).await.expect("a change")
}

/// What the next change says was read as a whole.
async fn all_read(watch: &mut Watch) -> String {
    let next = async {
        loop {
            if let Some(change) = watch.message().await.unwrap().unwrap().change {
                assert_eq!((change.kind(), change.inbox_item), (Kind::AllRead, None));
                return change.organization_id;
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

#[tokio::test]
async fn a_watcher_is_told_each_change_in_order() {
    let app = app().await;
    let (ana, ben) = (app.member("ana").await, app.member("ben").await);
    let mut watch = ben.watch("").await.unwrap();
    bookmark(&mut watch).await;
    app.assign_items(&ana, &ben, &["A-1", "A-2"]).await;
    let items = ben.items("").await;
    ben.mark_read(&items[0].inbox_item_id).await.unwrap();
    ben.archive(&items[0].inbox_item_id).await.unwrap();
    ben.mark_all_read().await;
    let mut told = Vec::new();
    for _ in 0..5 {
        let (kind, title, _) = change(&mut watch).await.unwrap();
        told.push((kind, title.get(..3).unwrap_or_default().to_owned()));
    }
    let expected = [(Kind::Created, "A-1"), (Kind::Created, "A-2"), (Kind::Read, "A-2"), (Kind::Archived, "A-2"), (Kind::AllRead, "")];
    assert_eq!(told, expected.map(|(kind, title)| (kind, title.to_owned())));
}

#[tokio::test]
async fn a_watch_resumed_by_any_token_misses_nothing_and_repeats_nothing() {
    let mut app = app().await;
    let (ana, ben) = (app.member("ana").await, app.member("ben").await);
    let mut token = bookmark(&mut ben.watch("").await.unwrap()).await;
    app.assign_items(&ana, &ben, &["A-1", "A-2", "A-3", "A-4"]).await;
    app.restart().await;
    let mut heard = Vec::new();
    while heard.len() < 4 {
        let mut watch = ben.watch(&token).await.unwrap();
        let (_, title, next) = change(&mut watch).await.unwrap();
        heard.push(title[..3].to_owned());
        token = next;
    }
    assert_eq!(heard, ["A-1", "A-2", "A-3", "A-4"]);
}

#[tokio::test]
async fn another_s_inbox_and_another_organization_s_items_are_not_told_of() {
    let app = app().await;
    let (ana, ben, eve) = (app.member("ana").await, app.member("ben").await, app.outsider("eve").await);
    let elsewhere = ben.in_organization(eve.organization_id);
    let (mut here, mut there) = (ben.watch("").await.unwrap(), elsewhere.watch("").await.unwrap());
    bookmark(&mut here).await;
    bookmark(&mut there).await;
    app.assign_items(&ben, &ana, &["ana's"]).await;
    app.assign_items(&ana, &ben, &["here"]).await;
    elsewhere.mark_all_read().await;
    app.sign_in(&ben).await;
    assert_eq!(change(&mut here).await.unwrap().1, "here was assigned to you");
    assert_eq!(change(&mut here).await.unwrap().1, "New sign-in to your account");
    assert_eq!(change(&mut there).await.unwrap().1, "New sign-in to your account");
}

#[tokio::test]
async fn all_is_read_in_every_organization_as_far_as_it_is_shown_there() {
    let app = app().await;
    let (ana, ben, eve) = (app.member("ana").await, app.member("ben").await, app.outsider("eve").await);
    let elsewhere = ben.in_organization(eve.organization_id);
    app.assign_items(&ana, &ben, &["A-1"]).await;
    app.sign_in(&ben).await;
    let (mut here, mut there) = (ben.watch("").await.unwrap(), elsewhere.watch("").await.unwrap());
    bookmark(&mut here).await;
    bookmark(&mut there).await;
    assert_eq!((elsewhere.mark_all_read().await, ben.unread().await), (1, 1), "the sign-in is of no organization");
    assert_eq!(all_read(&mut here).await, OrganizationId::SYSTEM.to_string());
    assert_eq!(all_read(&mut there).await, eve.organization_id.to_string());
    ben.mark_all_read().await;
    assert_eq!(all_read(&mut here).await, app.organization().to_string());
}

#[tokio::test]
async fn a_token_of_another_person_or_organization_or_none_at_all_is_refused() {
    let app = app().await;
    let (ana, ben) = (app.member("ana").await, app.member("ben").await);
    let token = bookmark(&mut ben.watch("").await.unwrap()).await;
    let elsewhere = ben.in_organization(app.outsider("eve").await.organization_id);
    for watch in [ana.watch(&token).await, elsewhere.watch(&token).await, ben.watch("nonsense").await] {
        assert_fault!(watch.map(drop), InvalidArgument, "RESUME_TOKEN_INVALID");
    }
    assert_fault!(app.anonymous().watch("").await.map(drop), Unauthenticated, "CREDENTIALS_MISSING");
}

#[tokio::test]
async fn a_quiet_watch_gets_bookmarks_that_lead_on() {
    let app = app_with(Config { watch_bookmark_ms: 100, ..Config::default() }).await;
    let (ana, ben) = (app.member("ana").await, app.member("ben").await);
    let mut watch = ben.watch("").await.unwrap();
    bookmark(&mut watch).await;
    app.assign_items(&ben, &ana, &["ana's"]).await;
    bookmark(&mut watch).await;
    let token = bookmark(&mut watch).await;
    app.assign_items(&ana, &ben, &["A-1"]).await;
    assert_eq!(change(&mut ben.watch(&token).await.unwrap()).await.unwrap().1, "A-1 was assigned to you");
}

#[tokio::test]
async fn a_watch_ends_when_its_session_is_revoked() {
    let app = app().await;
    let ben = app.member("ben").await;
    let mut watch = ben.watch("").await.unwrap();
    bookmark(&mut watch).await;
    app.authority().revoke_session(ben.session_id, app.deps().clock.now());
    let ended = tokio::time::timeout(Duration::from_secs(20), change(&mut watch)).await.expect("an end");
    assert_fault!(ended, Unauthenticated, "TOKEN_REVOKED");
}
