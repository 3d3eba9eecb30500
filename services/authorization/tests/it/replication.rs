//! Streams of the service read in the test's own runtime: a multi-threaded one, since a connection that is let go there finds its way back to the
//! service's pool on a task, while the test's thread waits for the service to end.

use std::time::{Duration, Instant};

use authorization::replication::{changes, snapshot};
use authz::{Authorizer, Delta, Snapshot};
use contract::BaseRole;
use contract::authorization::v1::replication_service_client::ReplicationServiceClient;
use contract::authorization::v1::{GetSnapshotRequest, GetSnapshotResponse, WatchRequest};
use events::Freshness;
use futures::TryStreamExt;
use runtime::feed::{Feed, Options};
use runtime::{OrganizationId, Shutdown, UserId, WorkspaceId};
use testkit::{App, assert_fault};
use tonic_types::StatusExt;

use crate::verbs::{PATIENCE, Sees, authorization, fresh, member, member_created, member_deleted, workspace_created};

/// Ten members, every third removed again, and four workspaces; taken in and in our log.
async fn populated(app: &App) -> (OrganizationId, Vec<UserId>, Vec<WorkspaceId>) {
    let home: OrganizationId = fresh();
    let users: Vec<UserId> = (0..10).map(|_| fresh()).collect();
    let workspaces: Vec<WorkspaceId> = (0..4).map(|_| fresh()).collect();
    for (n, user) in users.iter().enumerate() {
        let created = member(home, *user, authz::ROLES[n % 4], 1);
        app.publish(member_created(created.clone()), home).await;
        if n % 3 == 0 {
            app.publish(member_deleted(created), home).await;
        }
    }
    for workspace in &workspaces {
        app.publish(workspace_created(home, *workspace), home).await;
    }
    app.settled().await;
    (home, users, workspaces)
}

async fn chunks(app: &App, chunk_size: usize) -> Vec<GetSnapshotResponse> {
    snapshot(app.deps().db.clone(), &Freshness::default(), chunk_size).try_collect().await.unwrap()
}

fn built(chunks: Vec<GetSnapshotResponse>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for chunk in chunks {
        snapshot.extend(chunk.position, &Delta::read(chunk.assignments, chunk.workspaces).unwrap());
    }
    snapshot
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_comes_in_chunks_of_one_position_and_the_last_is_marked() {
    let app = authorization().await;
    populated(&app).await;
    let chunks = chunks(&app, 3).await;
    let sizes: Vec<usize> = chunks.iter().map(|chunk| chunk.assignments.len() + chunk.workspaces.len()).collect();
    assert_eq!(sizes, [3, 3, 3, 3, 2]);
    assert!(chunks.iter().all(|chunk| chunk.position == 18));
    assert_eq!(chunks.iter().map(|chunk| chunk.last).collect::<Vec<_>>(), [false, false, false, false, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_service_sends_one_empty_chunk() {
    let app = authorization().await;
    assert_eq!(chunks(&app, 3).await, [GetSnapshotResponse { last: true, ..Default::default() }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_equals_the_log_told_from_its_beginning() {
    let app = authorization().await;
    let (home, users, workspaces) = populated(&app).await;
    let by_snapshot = built(chunks(&app, 1_000).await);
    let mut by_log = Snapshot::default();
    let mut news = changes(&app.deps().log, &Freshness::default(), 0).await.unwrap();
    while by_log.revision() < 18 {
        let told = tokio::time::timeout(PATIENCE, news.try_next()).await.unwrap().unwrap().unwrap();
        assert_eq!(told.previous_position, by_log.revision());
        by_log.extend(told.position, &Delta::read(told.assignments, told.workspaces).unwrap());
    }
    let last = workspaces[3];
    assert!(app.deps().authorizer.wait_for_workspace(home, last, PATIENCE).await);
    for user in users {
        for workspace in workspaces.iter().map(|workspace| Some(*workspace)).chain([None]) {
            let answers = |snapshot: &Snapshot| (snapshot.permissions(user, home, workspace), snapshot.version(user, home, workspace));
            assert_eq!(answers(&by_snapshot), answers(&by_log));
            assert_eq!(answers(&by_snapshot), answers(&app.deps().authorizer.snapshot()));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_watch_sends_heartbeats() {
    let app = authorization().await;
    let mut news = changes(&app.deps().log, &Freshness::default(), 0).await.unwrap();
    for _ in 0..3 {
        let beat = tokio::time::timeout(PATIENCE, news.try_next()).await.unwrap().unwrap().unwrap();
        assert_eq!((beat.previous_position, beat.position, beat.assignments.len()), (0, 0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_the_log_does_not_have_is_expired() {
    let app = authorization().await;
    let home: OrganizationId = fresh();
    let expired = |result: Result<_, authorization::Error>| match result {
        Err(authorization::Error::Events(events::Error::ResumeTokenExpired)) => true,
        Err(other) => panic!("{other}"),
        Ok(_) => false,
    };
    assert!(expired(changes(&app.deps().log, &Freshness::default(), 1).await), "ahead of the log: it was restored");
    app.publish(member_created(member(home, fresh(), BaseRole::Owner, 1)), home).await;
    app.publish(workspace_created(home, fresh()), home).await;
    app.settled().await;
    assert!(!expired(changes(&app.deps().log, &Freshness::default(), 1).await));
    sqlx::query("DELETE FROM authz.event WHERE position <= 2").execute(&mut app.sql().await).await.unwrap();
    assert!(expired(changes(&app.deps().log, &Freshness::default(), 1).await), "retention took what comes next");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_leaves_in_the_middle_leaves_no_transaction_open() {
    let app = authorization().await;
    populated(&app).await;
    let mut chunks = snapshot(app.deps().db.clone(), &Freshness::default(), 1);
    chunks.try_next().await.unwrap().unwrap();
    drop(chunks);
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'authz_worker' AND state <> 'idle'";
    let started = Instant::now();
    while app.count(busy).await > 0 {
        assert!(started.elapsed() < PATIENCE, "a transaction stays open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_service_follows_over_the_wire() {
    let app = authorization().await;
    let (home, users, _) = populated(&app).await;
    let (theirs, shutdown) = (Authorizer::new(), Shutdown::new());
    let client = ReplicationServiceClient::new(app.service("tasks").channel());
    let feed = Feed::new("tasks", "authorization", Options::default());
    let following = authz::replicate(feed, theirs.clone(), client, shutdown.clone());
    let watching = async {
        assert!(theirs.wait_for(users[0], home, None, 2, PATIENCE).await);
        assert_eq!(theirs.organization_role(users[0], home), None, "by the snapshot: removed");
        app.publish(member_created(member(home, users[0], BaseRole::Viewer, 3)), home).await;
        assert!(theirs.wait_for(users[0], home, None, 3, PATIENCE).await);
        assert_eq!(theirs.organization_role(users[0], home), Some(BaseRole::Viewer), "by the watch: back");
        shutdown.request();
    };
    tokio::join!(following, watching);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_place_for_a_snapshot_is_told_when_to_come_back() {
    let app = authorization().await;
    // More than a connection takes unread.
    let many = "INSERT INTO authz.assignment SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, 1, 1, now() FROM generate_series(1, 60000)";
    sqlx::query(many).execute(&mut app.sql().await).await.unwrap();
    let ask = async || ReplicationServiceClient::new(app.service("tasks").channel()).get_snapshot(GetSnapshotRequest {}).await;
    let (first, _second) = (ask().await.unwrap(), ask().await.unwrap());
    let refused = assert_fault!(ask().await, ResourceExhausted, "OVERLOADED");
    assert!(refused.get_error_details().retry_info().is_some());
    drop(first);
    let started = Instant::now();
    while ask().await.is_err() {
        assert!(started.elapsed() < PATIENCE, "the place of one who left stays taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_services_are_fed() {
    let app = authorization().await;
    let owner = app.joined("ana", BaseRole::Owner).await;
    for channel in [owner.channel(), app.anonymous().channel()] {
        let mut client = ReplicationServiceClient::new(channel);
        assert_fault!(client.get_snapshot(GetSnapshotRequest {}).await, Unauthenticated, "PEER_TOKEN_INVALID");
        assert_fault!(client.watch(WatchRequest { from_position: 0 }).await, Unauthenticated, "PEER_TOKEN_INVALID");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_position_is_told_by_its_reason() {
    let app = authorization().await;
    let mut client = ReplicationServiceClient::new(app.service("tasks").channel());
    assert_fault!(client.watch(WatchRequest { from_position: 99 }).await, OutOfRange, "RESUME_TOKEN_EXPIRED");
}
