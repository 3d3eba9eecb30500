//! A call that is cancelled, or runs out of time, leaves nothing behind: no statement, no transaction, no place in the pool taken.

use std::time::Duration;

use db::Error as DbError;
use rand::Rng;

use crate::pad::{Error, Pad, backend, insert, of_time, organization, titles, until, user_of};

const NOBODY_SLEEPS: &str = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid())";
const SOMEBODY_SLEEPS: &str = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%pg_sleep(60)%' AND state = 'active' AND pid <> pg_backend_pid())";

async fn sleep(tx: &mut db::Tx) -> Result<(), DbError> {
    sqlx::query("SELECT pg_sleep(60)").execute(tx.conn()).await?;
    Ok(())
}

/// Drops `call` when its statement is seen to run. A handler's future must be `Send`.
async fn dropped_asleep(pad: &Pad, call: impl Future + Send) {
    tokio::select! {
        _ = call => panic!("it sleeps for a minute"),
        () = until(pad, SOMEBODY_SLEEPS) => {}
    }
}

/// How many connections can be had at the same time.
async fn whole(pad: &Pad, connections: usize) {
    let gate = tokio::sync::Barrier::new(connections);
    let calls = (0..connections).map(|_| async {
        let caller = user_of(organization());
        pad.db
            .read(&caller, async |tx| {
                sqlx::query("SELECT 1").execute(tx.conn()).await?;
                gate.wait().await;
                Ok::<_, DbError>(())
            })
            .await
            .unwrap();
    });
    futures::future::join_all(calls).await;
}

#[tokio::test]
async fn a_cancelled_call_closes_its_connection_and_its_statement_ends() {
    let pad = Pad::sized(1).await;
    dropped_asleep(&pad, pad.db.read(&user_of(organization()), sleep)).await;
    until(&pad, NOBODY_SLEEPS).await;
    whole(&pad, 1).await;
}

#[tokio::test]
async fn a_cancelled_write_leaves_no_row_and_the_next_call_sees_none() {
    let pad = Pad::sized(1).await;
    let caller = user_of(organization());
    let write = async |tx: &mut db::Tx| {
        insert(tx, "half done").await?;
        Ok::<_, Error>(sleep(tx).await?)
    };
    dropped_asleep(&pad, pad.db.write_unrecorded(&caller, write)).await;
    assert_eq!(pad.db.read(&caller, titles).await.unwrap(), Vec::<String>::new());
    assert_eq!(pad.count("SELECT count(*) FROM pad.note").await, 0);
}

#[tokio::test]
async fn a_call_whose_time_runs_out_in_a_statement_is_told_so_and_keeps_its_connection() {
    let pad = Pad::sized(1).await;
    let before = pad.db.read(&user_of(organization()), backend).await.unwrap();
    let error = pad.db.read(&of_time(organization(), Duration::from_millis(300)).await, sleep).await.unwrap_err();
    assert!(matches!(error, DbError::DeadlineExceeded), "{error:?}");
    until(&pad, NOBODY_SLEEPS).await;
    let after = pad.db.read(&user_of(organization()), backend).await.unwrap();
    assert_eq!(before, after, "the server gave the statement up before the caller did");
}

#[tokio::test]
async fn a_call_whose_time_runs_out_between_statements_is_told_so_too() {
    let pad = Pad::sized(1).await;
    let stuck = async |_: &mut db::Tx| std::future::pending::<Result<(), DbError>>().await;
    let error = pad.db.read(&of_time(organization(), Duration::from_millis(100)).await, stuck).await.unwrap_err();
    assert!(matches!(error, DbError::DeadlineExceeded));
    whole(&pad, 1).await;
}

#[tokio::test]
async fn a_call_without_time_does_not_begin() {
    let pad = Pad::sized(1).await;
    let error = pad.db.read(&of_time(organization(), Duration::ZERO).await, sleep).await.unwrap_err();
    assert!(matches!(error, DbError::DeadlineExceeded));
}

#[tokio::test]
async fn a_business_error_gives_the_connection_back() {
    let pad = Pad::sized(1).await;
    let caller = user_of(organization());
    let before = pad.db.read(&caller, backend).await.unwrap();
    let refused = pad
        .db
        .write_unrecorded(&caller, async |tx| {
            insert(tx, "refused").await?;
            Err::<(), _>(Error::Wanted)
        })
        .await;
    assert!(matches!(refused, Err(Error::Wanted)));
    assert_eq!(pad.db.read(&caller, backend).await.unwrap(), before);
    assert_eq!(pad.count("SELECT count(*) FROM pad.note").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_hundreds_of_lost_calls_the_pool_is_whole() {
    let calls = if std::env::var_os("MUSTER_SOAK").is_some() { 1_000 } else { 200 };
    let pad = Pad::sized(8).await;
    let callers = (0..8).map(|_| async {
        for _ in 0..calls / 8 {
            let time = Duration::from_millis(rand::rng().random_range(5..60));
            // Half run out of time by their own deadline, half are dropped by whoever waited.
            let caller = if rand::rng().random() { of_time(organization(), time).await } else { user_of(organization()) };
            let lost = tokio::time::timeout(time, pad.db.read(&caller, sleep)).await;
            assert!(matches!(lost, Err(_) | Ok(Err(DbError::DeadlineExceeded | DbError::Unavailable(_)))), "{lost:?}");
        }
    });
    futures::future::join_all(callers).await;
    until(&pad, NOBODY_SLEEPS).await;
    whole(&pad, 8).await;
    assert!(pad.db.connections().0 <= 8);
}

#[tokio::test]
async fn connections_that_died_in_the_pool_cost_no_call() {
    let pad = Pad::sized(4).await;
    whole(&pad, 4).await;
    until(&pad, "SELECT count(*) >= 4 FROM pg_stat_activity WHERE usename = 'pad_app' AND datname = current_database() AND state = 'idle'")
        .await;
    let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'pad_app' AND datname = current_database()";
    assert!(pad.count(ended).await >= 4);
    until(&pad, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'pad_app' AND datname = current_database())").await;
    pad.db.read(&user_of(organization()), titles).await.unwrap();
}

#[tokio::test]
async fn a_pool_that_is_used_up_answers_unavailable() {
    let pad = Pad::sized(1).await;
    let held = user_of(organization());
    let second = async {
        until(&pad, SOMEBODY_SLEEPS).await;
        pad.db.read(&user_of(organization()), titles).await.unwrap_err()
    };
    tokio::select! {
        error = second => assert!(matches!(error, DbError::Unavailable(sqlx::Error::PoolTimedOut)), "{error:?}"),
        ended = pad.db.read(&held, sleep) => panic!("{ended:?}"),
    }
}

/// Calls that find the server as it is: each ends, with an error that says to try again or that its time is over.
async fn calls_end(pad: &Pad) {
    let calls = (0..16).map(|_| async {
        let caller = of_time(organization(), Duration::from_millis(500)).await;
        let error = pad.db.read(&caller, titles).await.unwrap_err();
        assert!(matches!(error, DbError::DeadlineExceeded | DbError::Unavailable(_)), "{error:?}");
    });
    let all = tokio::time::timeout(Duration::from_secs(60), futures::future::join_all(calls));
    all.await.expect("no call waits for a server that is away");
}

#[tokio::test]
async fn a_frozen_server_costs_calls_their_time_and_the_pool_nothing() {
    let pad = Pad::alone(4).await;
    whole(&pad, 4).await;
    pad.stack.postgres().pause();
    calls_end(&pad).await;
    pad.stack.postgres().resume();
    until(&pad, "SELECT true").await;
    whole(&pad, 4).await;
}

#[tokio::test]
async fn a_server_that_was_killed_is_found_again() {
    let pad = Pad::alone(4).await;
    whole(&pad, 4).await;
    pad.stack.postgres().kill().await;
    calls_end(&pad).await;
    pad.stack.postgres().restart().await.unwrap();
    whole(&pad, 4).await;
}

#[tokio::test]
async fn no_place_of_the_pool_waits_for_a_server_that_was_away() {
    let (pad, network) = Pad::behind_a_network(2).await;
    whole(&pad, 2).await;
    network.swallow();
    // Alone, so that places are free for whoever would wait in them.
    let caller = of_time(organization(), Duration::from_millis(500)).await;
    let error = pad.db.read(&caller, titles).await.unwrap_err();
    assert!(matches!(error, DbError::DeadlineExceeded | DbError::Unavailable(_)), "{error:?}");
    network.is_back();
    whole(&pad, 2).await;
}

#[tokio::test]
async fn a_connection_that_opens_slower_than_anybody_waits_is_there_for_a_later_call() {
    let (pad, network) = Pad::behind_a_network(1).await;
    network.swallow();
    network.delay(Duration::from_millis(500));
    network.is_back();
    for _ in 0..40 {
        let caller = of_time(organization(), Duration::from_secs(2)).await;
        if pad.db.read(&caller, titles).await.is_ok() {
            return;
        }
    }
    panic!("what one call had opened was given up with it, each time");
}
