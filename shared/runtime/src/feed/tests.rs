use std::sync::{Arc, Mutex};

use futures::stream;
use tokio::sync::watch;

use super::*;

/// A peer in memory: a sum as its state, a log of additions, and switches for what may go wrong.
#[derive(Clone, Default)]
struct Peer(Arc<State>);

#[derive(Default)]
struct State {
    log: watch::Sender<Vec<i64>>,
    kept_from: Mutex<i64>,
    refuses: Mutex<bool>,
    asked: Mutex<Vec<&'static str>>,
}

impl Peer {
    fn add(&self, amount: i64) {
        self.0.log.send_modify(|log| log.push(amount));
    }

    fn asked(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.asked.lock().unwrap())
    }

    fn ask(&self, what: &'static str) -> Result<(), &'static str> {
        self.0.asked.lock().unwrap().push(what);
        if *self.0.refuses.lock().unwrap() { Err("away") } else { Ok(()) }
    }

    fn head(&self) -> i64 {
        self.0.log.borrow().len() as i64
    }

    /// Messages after `position`, and a heartbeat for every second without one. It ends when the peer refuses.
    fn changes(&self, position: i64) -> BoxStream<'static, Result<Message<i64>, &'static str>> {
        let (peer, log) = (self.clone(), self.0.log.subscribe());
        stream::unfold((peer, log, position), |(peer, mut log, at)| async move {
            let grown = timeout(Duration::from_secs(1), log.wait_for(|log| log.len() as i64 > at)).await;
            let next = grown.ok().and_then(|log| log.ok().map(|log| log[at as usize]));
            if *peer.0.refuses.lock().unwrap() {
                return None;
            }
            let (position, body) = next.map_or((at, 0), |amount| (at + 1, amount));
            Some((Ok(Message { previous_position: at, position, body }), (peer, log, position)))
        })
        .boxed()
    }
}

#[derive(Clone)]
struct Copy {
    peer: Peer,
    sum: Arc<Mutex<i64>>,
}

impl Replica for Copy {
    type Snapshot = i64;
    type Body = i64;
    type Error = &'static str;

    async fn snapshot(&mut self) -> Result<(i64, i64), &'static str> {
        self.peer.ask("snapshot")?;
        Ok((self.peer.head(), self.peer.0.log.borrow().iter().sum()))
    }

    async fn watch(&mut self, position: i64) -> Result<Changes<Self>, &'static str> {
        self.peer.ask("watch")?;
        if position < *self.peer.0.kept_from.lock().unwrap() { Err("expired") } else { Ok(self.peer.changes(position)) }
    }

    fn needs_snapshot(&self, error: &&'static str) -> bool {
        *error == "expired"
    }

    fn install(&mut self, _: i64, snapshot: i64) {
        *self.sum.lock().unwrap() = snapshot;
    }

    fn apply(&mut self, _: i64, body: i64) {
        *self.sum.lock().unwrap() += body;
    }
}

struct Running {
    peer: Peer,
    sum: Arc<Mutex<i64>>,
    status: FeedStatus,
    faults: FeedFaults,
}

const LONG: Duration = Duration::from_secs(120);

/// A peer whose log says 1, 2, 3, and a feed that runs against it.
async fn running() -> Running {
    let peer = Peer::default();
    for amount in [1, 2, 3] {
        peer.add(amount);
    }
    let (sum, faults) = (Arc::<Mutex<i64>>::default(), FeedFaults::default());
    let backoff = Backoff::exact(Duration::from_millis(100), Duration::from_secs(5));
    let feed = Feed::new("test", "sum", Options { backoff, ..Options::default() }).with_faults(faults.clone());
    let status = feed.status();
    let tasks = crate::Tasks::new("test", Shutdown::new());
    tasks.spawn("feed", feed.run(Copy { peer: peer.clone(), sum: sum.clone() }, Shutdown::new()));
    status.ready().await;
    Running { peer, sum, status, faults }
}

impl Running {
    async fn sum_at(&self, position: i64) -> i64 {
        assert!(self.status.wait_for(position, LONG).await, "the copy stays at {:?}", self.status.position());
        *self.sum.lock().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_copy_starts_with_a_snapshot_and_follows() {
    let it = running().await;
    assert_eq!(it.sum_at(3).await, 6);
    it.peer.add(10);
    assert_eq!(it.sum_at(4).await, 16);
    tokio::time::sleep(LONG).await;
    assert_eq!(it.peer.asked(), ["snapshot", "watch"], "heartbeats keep one connection");
    assert!(it.status.staleness().unwrap() <= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_message_is_seen_at_the_next_and_healed_by_a_snapshot() {
    let it = running().await;
    it.faults.lose_message(2);
    for amount in [10, 20, 30] {
        it.peer.add(amount);
    }
    assert_eq!(it.sum_at(6).await, 66);
    assert_eq!(it.peer.asked(), ["snapshot", "watch", "snapshot", "watch"]);
}

#[tokio::test(start_paused = true)]
async fn the_last_message_lost_is_seen_at_the_next_heartbeat() {
    let it = running().await;
    it.faults.lose_message(1);
    it.peer.add(10);
    assert_eq!(it.sum_at(4).await, 16);
}

#[tokio::test(start_paused = true)]
async fn a_broken_stream_goes_on_where_it_was_without_a_snapshot() {
    let it = running().await;
    it.peer.asked();
    *it.peer.0.refuses.lock().unwrap() = true;
    tokio::time::sleep(Duration::from_secs(20)).await;
    it.peer.add(10);
    *it.peer.0.refuses.lock().unwrap() = false;
    assert_eq!(it.sum_at(4).await, 16);
    assert!(!it.peer.asked().contains(&"snapshot"));
}

#[tokio::test(start_paused = true)]
async fn a_position_too_old_is_replaced_by_a_snapshot() {
    let it = running().await;
    it.peer.asked();
    *it.peer.0.refuses.lock().unwrap() = true;
    tokio::time::sleep(Duration::from_secs(20)).await;
    it.peer.add(10);
    *it.peer.0.kept_from.lock().unwrap() = 4;
    *it.peer.0.refuses.lock().unwrap() = false;
    assert_eq!(it.sum_at(4).await, 16);
    assert_eq!(it.peer.asked().iter().filter(|what| **what == "snapshot").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn silence_is_noticed_and_the_copy_grows_stale_until_it_ends() {
    let it = running().await;
    it.peer.asked();
    it.faults.set_silent(true);
    it.peer.add(10);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(it.status.staleness().unwrap() >= Duration::from_secs(58));
    assert_eq!(it.status.position(), Some(3));
    it.faults.set_silent(false);
    assert_eq!(it.sum_at(4).await, 16);
    assert!(it.peer.asked().contains(&"watch"), "a silent connection is given up");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_away_is_asked_ever_more_seldom() {
    let it = running().await;
    *it.peer.0.refuses.lock().unwrap() = true;
    tokio::time::sleep(Duration::from_secs(10)).await;
    it.peer.asked();
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert_eq!(it.peer.asked().len(), 20, "once in five seconds");
}

#[tokio::test(start_paused = true)]
async fn a_feed_stops_at_shutdown() {
    let shutdown = Shutdown::new();
    let copy = Copy { peer: Peer::default(), sum: Arc::default() };
    let feed = Feed::new("test", "sum", Options::default());
    shutdown.request();
    assert!(timeout(LONG, feed.run(copy, shutdown)).await.is_ok());
}
