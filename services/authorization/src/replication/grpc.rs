//! ReplicationService: decode, do, encode. It answers before the start-up gate opens: whoever waits at a gate waits for this.

use std::sync::Arc;
use std::time::Duration;

use contract::authorization::v1::replication_service_server::ReplicationService;
use contract::authorization::v1::{GetSnapshotRequest, GetSnapshotResponse, WatchRequest, WatchResponse};
use db::Db;
use events::{Freshness, Log};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

use super::{changes, snapshot};
use crate::Config;

/// When whoever found no place may ask again: a snapshot of 10^5 entries takes about as long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Feeds the authorizers of the other services.
#[derive(Clone)]
pub struct Grpc {
    db: Db,
    log: Log,
    freshness: Freshness,
    chunk_size: usize,
    /// A place for each snapshot that may be read at once.
    places: Arc<Semaphore>,
}

impl Grpc {
    /// Over our tables and our log, which are as old as `freshness` says.
    pub fn new(db: Db, log: Log, freshness: Freshness, config: &Config) -> Self {
        let places = Arc::new(Semaphore::new(config.snapshots_max));
        Self { db, log, freshness, chunk_size: config.snapshot_chunk_size, places }
    }
}

#[tonic::async_trait]
impl ReplicationService for Grpc {
    type GetSnapshotStream = BoxStream<'static, Result<GetSnapshotResponse, Status>>;
    type WatchStream = BoxStream<'static, Result<WatchResponse, Status>>;

    async fn get_snapshot(&self, req: Request<GetSnapshotRequest>) -> Result<Response<Self::GetSnapshotStream>, Status> {
        let (_caller, _) = rpc::open(req)?;
        let place = self.places.clone().try_acquire_owned().map_err(|_| rpc::Error::Overloaded { retry_after: RETRY_AFTER })?;
        let chunks = snapshot(self.db.clone(), &self.freshness, self.chunk_size);
        let held = move |chunk: Result<_, crate::Error>| {
            // For as long as the stream is.
            let _place = &place;
            chunk.map_err(Status::from)
        };
        Ok(Response::new(chunks.map(held).boxed()))
    }

    async fn watch(&self, req: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (_caller, req) = rpc::open(req)?;
        let changes = changes(&self.log, &self.freshness, req.from_position).await?;
        Ok(Response::new(changes.map_err(Status::from).boxed()))
    }
}
