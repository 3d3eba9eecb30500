//! Feeding authorizers: a snapshot of our tables at a position of our log, then the log's changes after it.
//!
//! Here: both as streams of the contract's messages. `grpc` hands them to the other services, `own` feeds the authorizer of this process.
//!
//! A snapshot may hold more than the log says up to its position: effects that are committed and not yet numbered. The log tells these again,
//! and an authorizer that has them already knows it by their versions.
//!
//! Deliberately absent: the client's loop, which is `runtime::feed`'s.

pub mod grpc;
pub mod own;
pub mod store;

use contract::authorization::v1::{self as pb, AssignmentChanged, GetSnapshotResponse, WatchResponse, WorkspaceAdded};
use db::Db;
use events::{Claim, Freshness, Item, Log, Outcome};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::assignment::convert;
use crate::{Error, events as own_events};

/// Chunks of a snapshot that wait for a slow reader.
const CHUNKS_WAITING: usize = 2;

/// Everything, in chunks of `chunk_size` entries, all read by one statement and so true at one position. The reader sets the pace; the
/// transaction ends with the stream.
///
/// The last chunk says how old it is, by `freshness`: asked before the tables are read, so that they hold at least what it says.
pub fn snapshot(db: Db, freshness: &Freshness, chunk_size: usize) -> BoxStream<'static, Result<GetSnapshotResponse, Error>> {
    let mut claim = freshness.at(i64::MAX);
    let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
    let reading = async move { db.work(async |tx: &mut db::WorkTx| store::snapshot(tx, chunk_size, &sender).await).await };
    let failure = reading.into_stream().filter_map(async |done: Result<(), Error>| done.err().map(Err));
    let chunks = ReceiverStream::new(receiver).map(move |mut chunk: GetSnapshotResponse| {
        chunk.freshness = claim.take_if(|_| chunk.last).map(wire);
        Ok(chunk)
    });
    stream::select(chunks, failure).boxed()
}

/// What happened after `position`, as it happens, with a heartbeat at least every second (`events.bookmark_ms`).
///
/// # Errors
/// `RESUME_TOKEN_EXPIRED` when the log doesn't reach back to `position`; take a snapshot, then watch.
pub async fn changes(log: &Log, freshness: &Freshness, position: i64) -> Result<BoxStream<'static, Result<WatchResponse, Error>>, Error> {
    let tail = log.tail(Some(position), own_events::replicated()).await?;
    let freshness = freshness.clone();
    Ok(tail.into_stream().map(move |item| news(item?).map(|news| dated(news, &freshness))).boxed())
}

fn dated(news: WatchResponse, freshness: &Freshness) -> WatchResponse {
    WatchResponse { freshness: freshness.at(news.position).map(wire), ..news }
}

fn wire(claim: Claim) -> pb::Freshness {
    let age_ms = i64::try_from(claim.until.elapsed().as_millis()).unwrap_or(i64::MAX);
    pb::Freshness { age_ms, blocked_organization_ids: claim.blocked.into_iter().map(Into::into).collect() }
}

fn news(item: Item) -> Result<WatchResponse, Error> {
    let mut news = WatchResponse { previous_position: item.previous_position, position: item.position, ..WatchResponse::default() };
    if let Some(event) = item.event {
        let changed = event.of::<AssignmentChanged>().map_err(Error::Undecodable)?;
        news.assignments.extend(changed.and_then(convert::delta));
        let added: Option<WorkspaceAdded> = event.of::<WorkspaceAdded>().map_err(Error::Undecodable)?;
        news.workspaces.extend(added.and_then(|added| added.after));
        if news.assignments.is_empty() && news.workspaces.is_empty() {
            return Err(Error::Undecodable(Outcome::Poison(format!("the event at {} says nothing", item.position))));
        }
    }
    Ok(news)
}
