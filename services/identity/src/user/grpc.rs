//! UserService: decode, do, encode.

use contract::identity::v1 as pb;
use contract::identity::v1::user_service_server::UserService;
use tonic::{Request, Response, Status};

use super::import::ImportedUser;
use super::ops::{ListUsers, Ops};
use crate::decode;

/// The transport of reading accounts.
pub struct Grpc {
    /// The use cases.
    pub ops: Ops,
}

#[tonic::async_trait]
impl UserService for Grpc {
    async fn get_user(&self, req: Request<pb::GetUserRequest>) -> Result<Response<pb::GetUserResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let user = self.ops.get(&caller, decode::optional_id("user_id", &req.user_id)?).await?;
        Ok(Response::new(pb::GetUserResponse { user: Some(user.into()) }))
    }

    async fn list_users(&self, req: Request<pb::ListUsersRequest>) -> Result<Response<pb::ListUsersResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let list = ListUsers { page_size: req.page_size, page_token: req.page_token, filter: req.filter };
        let page = self.ops.list(&caller, list).await?.map(Into::into);
        Ok(Response::new(pb::ListUsersResponse { users: page.items, next_page_token: page.next_page_token }))
    }

    async fn unlock_sign_in(&self, req: Request<pb::UnlockSignInRequest>) -> Result<Response<pb::UnlockSignInResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        self.ops.unlock_sign_in(&caller, decode::id("user_id", &req.user_id)?).await?;
        Ok(Response::new(pb::UnlockSignInResponse {}))
    }

    async fn import_users(&self, req: Request<pb::ImportUsersRequest>) -> Result<Response<pb::ImportUsersResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let results = self.ops.import(&caller, req.users.into_iter().map(ImportedUser::from).collect()).await?;
        Ok(Response::new(pb::ImportUsersResponse { results: results.into_iter().map(Into::into).collect() }))
    }
}
