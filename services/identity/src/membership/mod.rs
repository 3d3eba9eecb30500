//! The whole of who belongs where, for the service that decides by it and can no longer learn it from events.
//!
//! Deliberately absent: changes. Whoever has the whole goes on with the events after its position.

pub mod grpc;
mod store;

use std::sync::Arc;

use contract::identity::v1::ListMembershipsResponse;
use db::{Db, WorkTx};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::error::Error;

/// Entries of one page: about 130 bytes each.
const PAGE: usize = 1_000;
/// Pages that wait for a slow reader.
const PAGES_WAITING: usize = 2;

/// Gives lists, one at a time: each holds a connection of the background's until it is read, 30 s at most.
#[derive(Clone)]
pub struct Lists {
    db: Db,
    place: Arc<Semaphore>,
}

impl Lists {
    /// Over our tables.
    pub fn new(db: Db) -> Self {
        Lists { db, place: Arc::new(Semaphore::new(1)) }
    }

    /// A place to read one; `None` while another is read.
    fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.place.clone().try_acquire_owned().ok()
    }

    /// Everything, read by one statement and so true at one position. The reader sets the pace.
    fn pages(&self, place: OwnedSemaphorePermit) -> BoxStream<'static, Result<ListMembershipsResponse, Error>> {
        let (sender, receiver) = mpsc::channel(PAGES_WAITING);
        let db = self.db.clone();
        let reading = async move {
            let _place = place;
            db.work(async |tx: &mut WorkTx| store::list(tx, PAGE, &sender).await).await
        };
        let failure = reading.into_stream().filter_map(async |done: Result<(), Error>| done.err().map(Err));
        stream::select(ReceiverStream::new(receiver).map(Ok), failure).boxed()
    }
}
