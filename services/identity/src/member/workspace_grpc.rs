//! WorkspaceMemberService: decode, do, encode.

use contract::identity::v1 as pb;
use contract::identity::v1::create_workspace_member_request::Subject;
use contract::identity::v1::workspace_member_service_server::WorkspaceMemberService;
use tonic::{Request, Response, Status};

use super::Place;
use super::convert::{role, subject};
use super::ops::Ops;
use crate::decode;

/// The transport of a workspace's members.
pub struct Grpc {
    /// The use cases.
    pub ops: Ops,
}

fn workspace(id: &str) -> Result<Place, rpc::Error> {
    decode::id("workspace_id", id).map(Place::Workspace)
}

#[tonic::async_trait]
impl WorkspaceMemberService for Grpc {
    async fn create_workspace_member(
        &self,
        req: Request<pb::CreateWorkspaceMemberRequest>,
    ) -> Result<Response<pb::CreateWorkspaceMemberResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let (user_id, email) = match &req.subject {
            Some(Subject::UserId(id)) => (Some(id.as_str()), None),
            Some(Subject::Email(email)) => (None, Some(email.as_str())),
            None => (None, None),
        };
        let (place, subject, role) = (workspace(&req.workspace_id)?, subject(user_id, email)?, role(req.role())?);
        let (member, propagation) = self.ops.create(&caller, place, subject, role).await?;
        let propagation = pb::Propagation::from(propagation).into();
        Ok(Response::new(pb::CreateWorkspaceMemberResponse { workspace_member: Some(member.into()), propagation }))
    }

    async fn update_workspace_member(
        &self,
        req: Request<pb::UpdateWorkspaceMemberRequest>,
    ) -> Result<Response<pb::UpdateWorkspaceMemberResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let (place, user_id, role) = (workspace(&req.workspace_id)?, decode::id("user_id", &req.user_id)?, role(req.role())?);
        let (member, propagation) = self.ops.update(&caller, place, user_id, role, &req.etag).await?;
        let propagation = pb::Propagation::from(propagation).into();
        Ok(Response::new(pb::UpdateWorkspaceMemberResponse { workspace_member: Some(member.into()), propagation }))
    }

    async fn delete_workspace_member(
        &self,
        req: Request<pb::DeleteWorkspaceMemberRequest>,
    ) -> Result<Response<pb::DeleteWorkspaceMemberResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let (place, user_id) = (workspace(&req.workspace_id)?, decode::id("user_id", &req.user_id)?);
        let propagation = self.ops.delete(&caller, place, user_id).await?;
        Ok(Response::new(pb::DeleteWorkspaceMemberResponse { propagation: pb::Propagation::from(propagation).into() }))
    }

    async fn list_workspace_members(
        &self,
        req: Request<pb::ListWorkspaceMembersRequest>,
    ) -> Result<Response<pb::ListWorkspaceMembersResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let page = self.ops.list(&caller, workspace(&req.workspace_id)?, req.page_size, &req.page_token).await?.map(Into::into);
        Ok(Response::new(pb::ListWorkspaceMembersResponse { workspace_members: page.items, next_page_token: page.next_page_token }))
    }
}
