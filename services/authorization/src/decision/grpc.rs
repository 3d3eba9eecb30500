//! AuthorizationService: decode, do, encode.

use contract::authorization::v1 as pb;
use contract::authorization::v1::authorization_service_server::AuthorizationService;
use tonic::{Request, Response, Status};

use super::ops::Ops;
use super::{convert, roles};

/// Serves decisions.
#[derive(Clone, Debug)]
pub struct Grpc {
    ops: Ops,
}

impl Grpc {
    /// Over `ops`.
    pub fn new(ops: Ops) -> Self {
        Self { ops }
    }
}

#[tonic::async_trait]
impl AuthorizationService for Grpc {
    async fn check(&self, req: Request<pb::CheckRequest>) -> Result<Response<pb::CheckResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let question = convert::question(req.question.unwrap_or_default(), "question")?;
        Ok(Response::new(convert::check(self.ops.check(&caller, &question)?)))
    }

    async fn batch_check(&self, req: Request<pb::BatchCheckRequest>) -> Result<Response<pb::BatchCheckResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let questions = convert::questions(req.questions)?;
        Ok(Response::new(convert::batch_check(self.ops.batch_check(&caller, &questions)?)))
    }

    async fn list_permissions(&self, req: Request<pb::ListPermissionsRequest>) -> Result<Response<pb::ListPermissionsResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let (user_id, workspace_id) = convert::whose(&req)?;
        Ok(Response::new(convert::permissions(self.ops.permissions(&caller, user_id, workspace_id)?)))
    }

    async fn list_roles(&self, req: Request<pb::ListRolesRequest>) -> Result<Response<pb::ListRolesResponse>, Status> {
        let (_caller, _) = rpc::open(req)?;
        Ok(Response::new(pb::ListRolesResponse { roles: roles().into_iter().map(convert::role).collect() }))
    }
}
