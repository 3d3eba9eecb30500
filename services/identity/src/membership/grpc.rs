//! MembershipService: decode, do, encode. It answers before the start-up gate opens: authorization may need it to become current.

use std::time::Duration;

use contract::identity::v1 as pb;
use contract::identity::v1::membership_service_server::MembershipService;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tonic::{Request, Response, Status};

use super::Lists;

/// When whoever found another list being read may ask again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The transport of membership lists.
pub struct Grpc {
    /// The lists.
    pub lists: Lists,
}

#[tonic::async_trait]
impl MembershipService for Grpc {
    type ListMembershipsStream = BoxStream<'static, Result<pb::ListMembershipsResponse, Status>>;

    async fn list_memberships(&self, req: Request<pb::ListMembershipsRequest>) -> Result<Response<Self::ListMembershipsStream>, Status> {
        rpc::open(req)?;
        let place = self.lists.place().ok_or(rpc::Error::Overloaded { retry_after: RETRY_AFTER })?;
        Ok(Response::new(self.lists.pages(place).map_err(Status::from).boxed()))
    }
}
