//! TokenService: decode, do, encode.

use contract::identity::v1 as pb;
use contract::identity::v1::token_service_server::TokenService;
use contract::time::timestamp;
use tonic::{Request, Response, Status};

use super::ops::{Introspected, Ops};
use crate::session::assurance::acr;

/// The transport of what is asked about tokens.
pub struct Grpc {
    /// The use cases.
    pub ops: Ops,
}

#[tonic::async_trait]
impl TokenService for Grpc {
    async fn introspect_token(&self, req: Request<pb::IntrospectTokenRequest>) -> Result<Response<pb::IntrospectTokenResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let good = self.ops.introspect(&caller, &req.token).await?;
        Ok(Response::new(good.map(Into::into).unwrap_or_default()))
    }

    async fn revoke_token(&self, req: Request<pb::RevokeTokenRequest>) -> Result<Response<pb::RevokeTokenResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        self.ops.revoke(&caller, &req.token).await?;
        Ok(Response::new(pb::RevokeTokenResponse {}))
    }
}

impl From<Introspected> for pb::IntrospectTokenResponse {
    fn from(good: Introspected) -> Self {
        match good {
            Introspected::Access(token) => pb::IntrospectTokenResponse {
                active: true,
                token_type: pb::TokenType::Access.into(),
                user_id: token.user_id.to_string(),
                session_id: token.session_id.to_string(),
                organization_id: token.organization_id.to_string(),
                workspace_id: token.workspace_id.map(String::from).unwrap_or_default(),
                issue_time: Some(timestamp(token.issue_time)),
                expire_time: Some(timestamp(token.expire_time)),
                acr: acr(token.aal).to_owned(),
                auth_time: token.auth_time.map(timestamp),
            },
            Introspected::Refresh(session) => pb::IntrospectTokenResponse {
                active: true,
                token_type: pb::TokenType::Refresh.into(),
                user_id: session.user_id.to_string(),
                session_id: session.id.to_string(),
                organization_id: session.organization_id.to_string(),
                workspace_id: session.workspace_id.map(String::from).unwrap_or_default(),
                issue_time: Some(timestamp(session.rotate_time)),
                expire_time: Some(timestamp(session.refresh_expire_time)),
                acr: session.methods.acr().to_owned(),
                auth_time: Some(timestamp(session.auth_time)),
            },
        }
    }
}
