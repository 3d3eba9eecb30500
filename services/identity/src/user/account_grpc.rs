//! AccountService: decode, do, encode.

use contract::identity::v1 as pb;
use contract::identity::v1::account_service_server::AccountService;
use contract::time::timestamp;
use tonic::{Request, Response, Status};

use super::ops::{NewUser, Ops};
use super::username;
use crate::decode;
use crate::password::Person;

/// The transport of registration and of what accounts are mailed.
pub struct Grpc {
    /// The use cases.
    pub ops: Ops,
}

#[tonic::async_trait]
impl AccountService for Grpc {
    async fn register_user(&self, req: Request<pb::RegisterUserRequest>) -> Result<Response<pb::RegisterUserResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let username = username::optional(&req.username)?;
        let new = NewUser { email: req.email, password: req.password.into(), display_name: req.display_name, username };
        let registration_id = self.ops.register(&caller, new).await?;
        Ok(Response::new(pb::RegisterUserResponse { registration_id: registration_id.to_string() }))
    }

    async fn issue_verification_token(
        &self,
        req: Request<pb::IssueVerificationTokenRequest>,
    ) -> Result<Response<pb::IssueVerificationTokenResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let user_id = decode::id("user_id", &req.user_id)?;
        let (verification_token, expire_time) = self.ops.issue_verification_token(&caller, user_id).await?;
        Ok(Response::new(pb::IssueVerificationTokenResponse { verification_token, expire_time: Some(timestamp(expire_time)) }))
    }

    async fn verify_email(&self, req: Request<pb::VerifyEmailRequest>) -> Result<Response<pb::VerifyEmailResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let user_id = self.ops.verify_email(&caller, &req.verification_token, req.password.into()).await?;
        Ok(Response::new(pb::VerifyEmailResponse { user_id: user_id.to_string() }))
    }

    async fn resend_verification(
        &self,
        req: Request<pb::ResendVerificationRequest>,
    ) -> Result<Response<pb::ResendVerificationResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let registration_id = decode::id("registration_id", &req.registration_id)?;
        self.ops.resend_verification(&caller, &req.email, registration_id).await?;
        Ok(Response::new(pb::ResendVerificationResponse {}))
    }

    async fn request_password_reset(
        &self,
        req: Request<pb::RequestPasswordResetRequest>,
    ) -> Result<Response<pb::RequestPasswordResetResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        self.ops.request_password_reset(&caller, &req.email).await?;
        Ok(Response::new(pb::RequestPasswordResetResponse {}))
    }

    async fn reset_password(&self, req: Request<pb::ResetPasswordRequest>) -> Result<Response<pb::ResetPasswordResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let device_token = self.ops.reset_password(&caller, &req.password_reset_token, req.password.into()).await?;
        Ok(Response::new(pb::ResetPasswordResponse { device_token }))
    }

    async fn set_username(&self, req: Request<pb::SetUsernameRequest>) -> Result<Response<pb::SetUsernameResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let user = self.ops.set_username(&caller, username::optional(&req.username)?).await?;
        Ok(Response::new(pb::SetUsernameResponse { user: Some(user.into()) }))
    }

    async fn change_password(&self, req: Request<pb::ChangePasswordRequest>) -> Result<Response<pb::ChangePasswordResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let device_token = self.ops.change_password(&caller, req.current_password.into(), req.password.into()).await?;
        Ok(Response::new(pb::ChangePasswordResponse { device_token }))
    }

    async fn request_email_change(
        &self,
        req: Request<pb::RequestEmailChangeRequest>,
    ) -> Result<Response<pb::RequestEmailChangeResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        self.ops.request_email_change(&caller, req.email, req.current_password.into()).await?;
        Ok(Response::new(pb::RequestEmailChangeResponse {}))
    }

    async fn confirm_email_change(
        &self,
        req: Request<pb::ConfirmEmailChangeRequest>,
    ) -> Result<Response<pb::ConfirmEmailChangeResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        self.ops.confirm_email_change(&caller, &req.email_change_token).await?;
        Ok(Response::new(pb::ConfirmEmailChangeResponse {}))
    }

    async fn check_password(&self, req: Request<pb::CheckPasswordRequest>) -> Result<Response<pb::CheckPasswordResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let person = Person { email: req.email, username: req.username, display_name: req.display_name };
        Ok(Response::new(self.ops.check_password(&caller, req.password.into(), person).await?.into()))
    }
}
