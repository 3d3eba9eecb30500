//! SessionService: decode, do, encode.

use contract::identity::v1 as pb;
use contract::identity::v1::session_service_server::SessionService;
use contract::time::timestamp;
use tonic::{Request, Response, Status};

use super::convert::{answered, session_at};
use super::ops::Ops;
use super::step_up::Proof;
use super::{Context, Identifier, Session};
use crate::decode;

/// The transport of sessions.
pub struct Grpc {
    /// The use cases.
    pub ops: Ops,
}

impl Grpc {
    fn now(&self, session: Session) -> pb::Session {
        session_at(session, self.ops.db.clock().now())
    }
}

#[tonic::async_trait]
impl SessionService for Grpc {
    async fn create_session(&self, req: Request<pb::CreateSessionRequest>) -> Result<Response<pb::CreateSessionResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let identifier = Identifier::try_from(req.identifier)?;
        let opened = self.ops.create(&caller, &identifier, req.password.into(), &req.device_token).await?;
        Ok(Response::new(answered(opened, self.ops.db.clock().now())))
    }

    async fn continue_session(&self, req: Request<pb::ContinueSessionRequest>) -> Result<Response<pb::ContinueSessionResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let code = req.code.ok_or_else(|| rpc::Error::invalid_field("code", "required", "must be a code"))?;
        let (session, tokens) = self.ops.answer(&caller, &req.challenge_token, &code.into()).await?;
        Ok(Response::new(pb::ContinueSessionResponse { session: Some(self.now(session)), tokens: Some(tokens.into()) }))
    }

    async fn step_up_session(&self, req: Request<pb::StepUpSessionRequest>) -> Result<Response<pb::StepUpSessionResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let password = Some(req.password).filter(|password| !password.is_empty()).map(Into::into);
        let risen = self.ops.step_up(&caller, Proof { password, code: req.code.map(Into::into) }).await?;
        let access_token_expire_time = Some(timestamp(risen.expire_time));
        let session = Some(self.now(risen.session));
        Ok(Response::new(pb::StepUpSessionResponse { session, access_token: risen.access_token, access_token_expire_time }))
    }

    async fn refresh_session(&self, req: Request<pb::RefreshSessionRequest>) -> Result<Response<pb::RefreshSessionResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let (tokens, mfa_required_time) = self.ops.refresh(&caller, &req.refresh_token).await?;
        let mfa_required_time = mfa_required_time.map(timestamp);
        Ok(Response::new(pb::RefreshSessionResponse { tokens: Some(tokens.into()), mfa_required_time }))
    }

    async fn switch_context(&self, req: Request<pb::SwitchContextRequest>) -> Result<Response<pb::SwitchContextResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let entered = self.ops.switch(&caller, Context::try_from(&req)?).await?;
        let (access_token_expire_time, mfa_required_time) =
            (Some(timestamp(entered.expire_time)), entered.mfa_required_time.map(timestamp));
        let (session, access_token) = (Some(self.now(entered.session)), entered.access_token);
        Ok(Response::new(pb::SwitchContextResponse { session, access_token, access_token_expire_time, mfa_required_time }))
    }

    async fn list_sessions(&self, req: Request<pb::ListSessionsRequest>) -> Result<Response<pb::ListSessionsResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let page = self.ops.list(&caller, req.page_size, &req.page_token).await?.map(|session| self.now(session));
        Ok(Response::new(pb::ListSessionsResponse { sessions: page.items, next_page_token: page.next_page_token }))
    }

    async fn revoke_session(&self, req: Request<pb::RevokeSessionRequest>) -> Result<Response<pb::RevokeSessionResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let session = self.ops.revoke(&caller, decode::optional_id("session_id", &req.session_id)?).await?;
        Ok(Response::new(pb::RevokeSessionResponse { session: Some(self.now(session)) }))
    }

    async fn revoke_other_sessions(
        &self,
        req: Request<pb::RevokeOtherSessionsRequest>,
    ) -> Result<Response<pb::RevokeOtherSessionsResponse>, Status> {
        let (caller, _) = rpc::open(req)?;
        let revoked_count = count(self.ops.revoke_others(&caller).await?);
        Ok(Response::new(pb::RevokeOtherSessionsResponse { revoked_count }))
    }

    async fn revoke_user_sessions(
        &self,
        req: Request<pb::RevokeUserSessionsRequest>,
    ) -> Result<Response<pb::RevokeUserSessionsResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let revoked_count = count(self.ops.revoke_of_user(&caller, decode::id("user_id", &req.user_id)?).await?);
        Ok(Response::new(pb::RevokeUserSessionsResponse { revoked_count }))
    }
}

/// Nobody has more sessions than may be open, which are a thousand.
fn count(of: usize) -> i32 {
    i32::try_from(of).unwrap_or(i32::MAX)
}
