//! ReplicationService: decode, do, encode. It answers before the start-up gate opens: whoever waits at a gate waits for this.

use contract::authorization::v1::replication_service_server::ReplicationService;
use contract::authorization::v1::{GetSnapshotRequest, GetSnapshotResponse, WatchRequest, WatchResponse};
use db::Db;
use events::{Freshness, Log};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tonic::{Request, Response, Status};

use super::{changes, snapshot};

/// Feeds the authorizers of the other services.
#[derive(Clone)]
pub struct Grpc {
    db: Db,
    log: Log,
    freshness: Freshness,
    chunk_size: usize,
}

impl Grpc {
    /// Over our tables and our log, which are as old as `freshness` says; a snapshot goes in messages of `chunk_size` entries.
    pub fn new(db: Db, log: Log, freshness: Freshness, chunk_size: usize) -> Self {
        Self { db, log, freshness, chunk_size }
    }
}

#[tonic::async_trait]
impl ReplicationService for Grpc {
    type GetSnapshotStream = BoxStream<'static, Result<GetSnapshotResponse, Status>>;
    type WatchStream = BoxStream<'static, Result<WatchResponse, Status>>;

    async fn get_snapshot(&self, req: Request<GetSnapshotRequest>) -> Result<Response<Self::GetSnapshotStream>, Status> {
        let (_caller, _) = rpc::open(req)?;
        Ok(Response::new(snapshot(self.db.clone(), &self.freshness, self.chunk_size).map_err(Status::from).boxed()))
    }

    async fn watch(&self, req: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (_caller, req) = rpc::open(req)?;
        let changes = changes(&self.log, &self.freshness, req.from_position).await?;
        Ok(Response::new(changes.map_err(Status::from).boxed()))
    }
}
