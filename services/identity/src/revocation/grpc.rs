//! RevocationService: decode, do, encode.

use std::pin::Pin;

use contract::identity::v1 as pb;
use contract::identity::v1::revocation_service_server::RevocationService;
use futures::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::ops::Ops;

/// The transport of revocations.
pub struct Grpc {
    /// The use cases.
    pub ops: Ops,
}

#[tonic::async_trait]
impl RevocationService for Grpc {
    async fn list_revocations(&self, req: Request<pb::ListRevocationsRequest>) -> Result<Response<pb::ListRevocationsResponse>, Status> {
        let (caller, _) = rpc::open(req)?;
        let (revocations, position) = self.ops.list(&caller).await?;
        Ok(Response::new(pb::ListRevocationsResponse { revocations, position }))
    }

    type WatchRevocationsStream = Pin<Box<dyn Stream<Item = Result<pb::WatchRevocationsResponse, Status>> + Send>>;

    async fn watch_revocations(&self, req: Request<pb::WatchRevocationsRequest>) -> Result<Response<Self::WatchRevocationsStream>, Status> {
        let (_, req) = rpc::open(req)?;
        let stream = self.ops.watch(req.from_position).await?;
        Ok(Response::new(Box::pin(stream.map(|item| item.map_err(Status::from)))))
    }
}
