//! Hints between the processes of one service over core NATS, so that nobody waits for a poll: a commit in one process wakes the sequencer
//! in another, a new head wakes the tails of all.
//!
//! A hint carries nothing and may be lost; the poll is the truth. Why not NOTIFY: it takes an instance-wide lock at commit (reliability 2, 16).

use std::convert::Infallible;
use std::time::Duration;

use async_nats::Subscriber;
use futures::StreamExt;
use runtime::{Backoff, Shutdown};
use tokio::time::sleep;

use crate::sequencer::chain;
use crate::{Error, Log};

/// The shortest time between two hints from one process: 40 commits or 4,000 in a second cost the same.
const DEBOUNCE: Duration = Duration::from_millis(25);

/// Sends and hears hints until `shutdown`.
pub(crate) async fn run(log: &Log, shutdown: &Shutdown) {
    shutdown.or(async { tokio::join!(tell(log), listen(log)) }).await;
}

async fn tell(log: &Log) -> Infallible {
    loop {
        log.told().notified().await;
        if !log.is_leader() {
            log.bus().poke(log.service()).await;
        }
        sleep(DEBOUNCE).await;
    }
}

async fn listen(log: &Log) -> Infallible {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    let mut pokes = None;
    loop {
        if pokes.is_none() {
            pokes = log.bus().pokes(log.service()).await.ok();
        }
        tokio::select! {
            () = heard(&mut pokes) => {}
            () = sleep(log.config().poll_idle()) => {}
        }
        log.committed().notify_one();
        if log.is_leader() || !log.has_tails() {
            continue;
        }
        match look(log).await {
            Ok(()) => backoff.reset(),
            Err(error) => {
                tracing::debug!(service = log.service(), error = chain(&error), "the head of the log can't be read");
                backoff.wait().await;
            }
        }
    }
}

/// Returns with a hint, or never when there is no subscription; one that ended is given up.
async fn heard(pokes: &mut Option<Subscriber>) {
    let Some(subscriber) = pokes else { return std::future::pending().await };
    if subscriber.next().await.is_none() {
        *pokes = None;
    }
}

async fn look(log: &Log) -> Result<(), Error> {
    let (position, _) = log.positions().await?;
    log.reached(position);
    Ok(())
}
