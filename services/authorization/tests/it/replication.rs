use std::time::Duration;

use authorization::replication::{changes, snapshot};
use authz::{Delta, Snapshot};
use contract::BaseRole;
use contract::authorization::v1::GetSnapshotResponse;
use futures::TryStreamExt;
use runtime::{OrganizationId, UserId, WorkspaceId};

use crate::verbs::{fresh, member, member_created, member_deleted, workspace_created};
use crate::world::{PATIENCE, World};

/// Ten members, every third removed again, and four workspaces; taken in and in our log.
async fn populated(world: &World) -> (OrganizationId, Vec<UserId>, Vec<WorkspaceId>) {
    let home: OrganizationId = fresh();
    let users: Vec<UserId> = (0..10).map(|_| fresh()).collect();
    let workspaces: Vec<WorkspaceId> = (0..4).map(|_| fresh()).collect();
    for (n, user) in users.iter().enumerate() {
        let created = member(home, *user, authz::ROLES[n % 4], 1);
        world.tell(home, member_created(created.clone())).await;
        if n % 3 == 0 {
            world.tell(home, member_deleted(created)).await;
        }
    }
    for workspace in &workspaces {
        world.tell(home, workspace_created(home, *workspace)).await;
    }
    world.await_count("SELECT position FROM authz.event_head", 18).await;
    (home, users, workspaces)
}

async fn chunks(world: &World, chunk_size: usize) -> Vec<GetSnapshotResponse> {
    snapshot(world.db.clone(), chunk_size).try_collect().await.unwrap()
}

fn built(chunks: Vec<GetSnapshotResponse>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for chunk in chunks {
        snapshot.extend(chunk.position, &Delta::read(chunk.assignments, chunk.workspaces).unwrap());
    }
    snapshot
}

#[tokio::test]
async fn a_snapshot_comes_in_chunks_of_one_position_and_the_last_is_marked() {
    let world = World::new().await;
    populated(&world).await;
    let chunks = chunks(&world, 3).await;
    let sizes: Vec<usize> = chunks.iter().map(|chunk| chunk.assignments.len() + chunk.workspaces.len()).collect();
    assert_eq!(sizes, [3, 3, 3, 3, 2]);
    assert!(chunks.iter().all(|chunk| chunk.position == 18));
    assert_eq!(chunks.iter().map(|chunk| chunk.last).collect::<Vec<_>>(), [false, false, false, false, true]);
}

#[tokio::test]
async fn an_empty_service_sends_one_empty_chunk() {
    let world = World::without_service().await;
    assert_eq!(chunks(&world, 3).await, [GetSnapshotResponse { last: true, ..Default::default() }]);
}

#[tokio::test]
async fn a_snapshot_equals_the_log_told_from_its_beginning() {
    let world = World::new().await;
    let (home, users, workspaces) = populated(&world).await;
    let by_snapshot = built(chunks(&world, 1_000).await);
    let mut by_log = Snapshot::default();
    let mut news = changes(&world.log, 0).await.unwrap();
    while by_log.revision() < 18 {
        let told = tokio::time::timeout(PATIENCE, news.try_next()).await.unwrap().unwrap().unwrap();
        assert_eq!(told.previous_position, by_log.revision());
        by_log.extend(told.position, &Delta::read(told.assignments, told.workspaces).unwrap());
    }
    let last = workspaces[3];
    assert!(world.authorizer.wait_for_workspace(home, last, PATIENCE).await);
    for user in users {
        for workspace in workspaces.iter().map(|workspace| Some(*workspace)).chain([None]) {
            let answers = |snapshot: &Snapshot| (snapshot.permissions(user, home, workspace), snapshot.version(user, home, workspace));
            assert_eq!(answers(&by_snapshot), answers(&by_log));
            assert_eq!(answers(&by_snapshot), answers(&world.authorizer.snapshot()));
        }
    }
}

#[tokio::test]
async fn a_quiet_watch_sends_heartbeats() {
    let world = World::new().await;
    let mut news = changes(&world.log, 0).await.unwrap();
    for _ in 0..3 {
        let beat = tokio::time::timeout(PATIENCE, news.try_next()).await.unwrap().unwrap().unwrap();
        assert_eq!((beat.previous_position, beat.position, beat.assignments.len()), (0, 0, 0));
    }
}

#[tokio::test]
async fn a_position_that_the_log_does_not_have_is_expired() {
    let world = World::new().await;
    let home: OrganizationId = fresh();
    let expired = |result: Result<_, authorization::Error>| match result {
        Err(authorization::Error::Events(events::Error::ResumeTokenExpired)) => true,
        Err(other) => panic!("{other}"),
        Ok(_) => false,
    };
    assert!(expired(changes(&world.log, 1).await), "ahead of the log: it was restored");
    world.tell(home, member_created(member(home, fresh(), BaseRole::Owner, 1))).await;
    world.tell(home, workspace_created(home, fresh())).await;
    world.await_count("SELECT position FROM authz.event_head", 2).await;
    assert!(!expired(changes(&world.log, 1).await));
    sqlx::query("DELETE FROM authz.event WHERE position <= 2").execute(&world.sql).await.unwrap();
    assert!(expired(changes(&world.log, 1).await), "retention took what comes next");
}

#[tokio::test]
async fn a_reader_who_leaves_in_the_middle_leaves_no_transaction_open() {
    let world = World::new().await;
    populated(&world).await;
    let mut chunks = snapshot(world.db.clone(), 1);
    chunks.try_next().await.unwrap().unwrap();
    drop(chunks);
    let open = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'authz_worker' AND state <> 'idle'";
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.await_count(open, 0).await;
}
