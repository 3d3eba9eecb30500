//! Which connection a transaction gets, and what becomes of those that nobody uses.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::pad::{Pad, backend, organization, user_of};

const OPEN: &str = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'pad_app' AND datname = current_database()";

/// Holds `count` connections at once, so that they are open.
async fn opened(pad: &Pad, count: usize) -> BTreeSet<i32> {
    let caller = user_of(organization());
    let meet = tokio::sync::Barrier::new(count);
    let held = (0..count).map(|_| {
        pad.db.read(&caller, async |tx| {
            let backend = backend(tx).await?;
            meet.wait().await;
            Ok::<_, db::Error>(backend)
        })
    });
    futures::future::join_all(held).await.into_iter().map(Result::unwrap).collect()
}

#[tokio::test]
async fn of_many_connections_the_one_that_came_back_last_is_used_next() {
    let pad = Pad::sized(4).await;
    let caller = user_of(organization());
    assert_eq!(opened(&pad, 4).await.len(), 4);
    let mut used = BTreeSet::new();
    for _ in 0..10 {
        used.insert(pad.db.read(&caller, backend).await.unwrap());
    }
    assert_eq!(used.len(), 1);
    assert_eq!(pad.db.connections(), (4, 4));
}

#[tokio::test]
async fn a_call_that_finds_all_connections_in_use_gets_the_next_that_comes_back() {
    let pad = Pad::sized(2).await;
    let backends = opened(&pad, 2).await;
    let caller = user_of(organization());
    let calls = (0..40).map(|_| pad.db.read(&caller, backend));
    for used in futures::future::join_all(calls).await {
        assert!(backends.contains(&used.unwrap()), "another connection was opened");
    }
}

#[tokio::test]
async fn nothing_is_left_open_at_the_end() {
    let pad = Pad::sized(4).await;
    opened(&pad, 4).await;
    assert_eq!(pad.count(OPEN).await, 4);
    tokio::time::timeout(Duration::from_secs(10), pad.db.close()).await.expect("closing waits for nobody");
    let ended = async {
        // The server ends a session some time after it was closed here.
        while pad.count(OPEN).await > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("no connection is left");
    let refused = pad.db.read(&user_of(organization()), backend).await.unwrap_err();
    assert!(matches!(refused, db::Error::Unavailable(_)), "{refused:?}");
}
