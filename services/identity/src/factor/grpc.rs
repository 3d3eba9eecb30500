//! FactorService: decode, do, encode.

use contract::identity::v1 as pb;
use contract::identity::v1::factor_service_server::FactorService;
use contract::time::timestamp;
use tonic::{Request, Response, Status};

use super::ops::{Enrolled, Ops};
use crate::decode;
use crate::session::convert::session_at;

/// The transport of second factors.
pub struct Grpc {
    /// The use cases.
    pub ops: Ops,
}

#[tonic::async_trait]
impl FactorService for Grpc {
    async fn enroll_totp(&self, req: Request<pb::EnrollTotpRequest>) -> Result<Response<pb::EnrollTotpResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let Enrolled { factor, uri, picture } = self.ops.enroll(&caller, req.display_name).await?;
        Ok(Response::new(pb::EnrollTotpResponse { factor: Some(factor.into()), otpauth_uri: uri.to_string(), qr_png: picture.into() }))
    }

    async fn confirm_totp(&self, req: Request<pb::ConfirmTotpRequest>) -> Result<Response<pb::ConfirmTotpResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let id = decode::id("factor_id", &req.factor_id)?;
        let (factor, recovery_codes, risen) = self.ops.confirm(&caller, id, &req.totp_code.into()).await?;
        Ok(Response::new(pb::ConfirmTotpResponse {
            factor: Some(factor.into()),
            recovery_codes,
            session: Some(session_at(risen.session, self.ops.now())),
            access_token: risen.access_token,
            access_token_expire_time: Some(timestamp(risen.expire_time)),
        }))
    }

    async fn list_factors(&self, req: Request<pb::ListFactorsRequest>) -> Result<Response<pb::ListFactorsResponse>, Status> {
        let (caller, _) = rpc::open(req)?;
        let (factors, left) = self.ops.list(&caller).await?;
        let factors = factors.into_iter().map(Into::into).collect();
        Ok(Response::new(pb::ListFactorsResponse { factors, recovery_codes_left: i32::try_from(left).unwrap_or(i32::MAX) }))
    }

    async fn delete_factor(&self, req: Request<pb::DeleteFactorRequest>) -> Result<Response<pb::DeleteFactorResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let session = self.ops.delete(&caller, decode::id("factor_id", &req.factor_id)?).await?;
        Ok(Response::new(pb::DeleteFactorResponse {
            session: Some(session_at(session.session, self.ops.now())),
            access_token: session.access_token,
            access_token_expire_time: Some(timestamp(session.expire_time)),
        }))
    }

    async fn reset_user_factors(
        &self,
        req: Request<pb::ResetUserFactorsRequest>,
    ) -> Result<Response<pb::ResetUserFactorsResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        self.ops.reset(&caller, decode::id("user_id", &req.user_id)?).await?;
        Ok(Response::new(pb::ResetUserFactorsResponse {}))
    }

    async fn regenerate_recovery_codes(
        &self,
        req: Request<pb::RegenerateRecoveryCodesRequest>,
    ) -> Result<Response<pb::RegenerateRecoveryCodesResponse>, Status> {
        let (caller, _) = rpc::open(req)?;
        let recovery_codes = self.ops.regenerate(&caller).await?;
        Ok(Response::new(pb::RegenerateRecoveryCodesResponse { recovery_codes }))
    }
}
