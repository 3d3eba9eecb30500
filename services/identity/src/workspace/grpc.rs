//! WorkspaceService: decode, do, encode.

use contract::identity::v1 as pb;
use contract::identity::v1::workspace_service_server::WorkspaceService;
use tonic::{Request, Response, Status};

use super::ops::Ops;

/// The transport of workspaces.
pub struct Grpc {
    /// The use cases.
    pub ops: Ops,
}

#[tonic::async_trait]
impl WorkspaceService for Grpc {
    async fn create_workspace(&self, req: Request<pb::CreateWorkspaceRequest>) -> Result<Response<pb::CreateWorkspaceResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let workspace = self.ops.create(&caller, req.slug, req.display_name).await?;
        Ok(Response::new(pb::CreateWorkspaceResponse { workspace: Some(workspace.into()) }))
    }

    async fn get_workspace(&self, req: Request<pb::GetWorkspaceRequest>) -> Result<Response<pb::GetWorkspaceResponse>, Status> {
        let (caller, _) = rpc::open(req)?;
        let workspace = self.ops.get(&caller).await?;
        Ok(Response::new(pb::GetWorkspaceResponse { workspace: Some(workspace.into()) }))
    }

    async fn list_workspaces(&self, req: Request<pb::ListWorkspacesRequest>) -> Result<Response<pb::ListWorkspacesResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let page = self.ops.list(&caller, req.page_size, &req.page_token).await?.map(Into::into);
        Ok(Response::new(pb::ListWorkspacesResponse { workspaces: page.items, next_page_token: page.next_page_token }))
    }
}
