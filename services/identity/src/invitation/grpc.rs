//! InvitationService: decode, do, encode.

use contract::annotations::v1::BaseRole;
use contract::identity::v1 as pb;
use contract::identity::v1::invitation_service_server::InvitationService;
use contract::time::timestamp;
use tonic::{Request, Response, Status};

use super::Invitation;
use super::accept::NewPerson;
use super::convert::{new_invitation, told};
use super::ops::Ops;
use crate::decode;

/// The transport of invitations.
pub struct Grpc {
    /// The use cases.
    pub ops: Ops,
}

impl Grpc {
    fn told(&self, invitation: Invitation) -> pb::Invitation {
        told(invitation, self.ops.db.clock().now())
    }
}

#[tonic::async_trait]
impl InvitationService for Grpc {
    async fn create_invitation(&self, req: Request<pb::CreateInvitationRequest>) -> Result<Response<pb::CreateInvitationResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let invitation = self.ops.create(&caller, new_invitation(req)?).await?;
        Ok(Response::new(pb::CreateInvitationResponse { invitation: Some(self.told(invitation)) }))
    }

    async fn get_invitation(&self, req: Request<pb::GetInvitationRequest>) -> Result<Response<pb::GetInvitationResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let invitation = self.ops.get(&caller, decode::id("invitation_id", &req.invitation_id)?).await?;
        Ok(Response::new(pb::GetInvitationResponse { invitation: Some(self.told(invitation)) }))
    }

    async fn list_invitations(&self, req: Request<pb::ListInvitationsRequest>) -> Result<Response<pb::ListInvitationsResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let page = self.ops.list(&caller, req.page_size, &req.page_token).await?.map(|invitation| self.told(invitation));
        Ok(Response::new(pb::ListInvitationsResponse { invitations: page.items, next_page_token: page.next_page_token }))
    }

    async fn revoke_invitation(&self, req: Request<pb::RevokeInvitationRequest>) -> Result<Response<pb::RevokeInvitationResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let invitation = self.ops.revoke(&caller, decode::id("invitation_id", &req.invitation_id)?).await?;
        Ok(Response::new(pb::RevokeInvitationResponse { invitation: Some(self.told(invitation)) }))
    }

    async fn resend_invitation(&self, req: Request<pb::ResendInvitationRequest>) -> Result<Response<pb::ResendInvitationResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let invitation = self.ops.resend(&caller, decode::id("invitation_id", &req.invitation_id)?).await?;
        Ok(Response::new(pb::ResendInvitationResponse { invitation: Some(self.told(invitation)) }))
    }

    async fn preview_invitation(
        &self,
        req: Request<pb::PreviewInvitationRequest>,
    ) -> Result<Response<pb::PreviewInvitationResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let (invitation, organization) = self.ops.preview(&caller, &req.invitation_token).await?;
        Ok(Response::new(pb::PreviewInvitationResponse {
            organization_display_name: organization.display_name,
            email: invitation.email,
            role: BaseRole::from(invitation.role).into(),
            expire_time: Some(timestamp(invitation.expire_time)),
        }))
    }

    async fn accept_invitation(&self, req: Request<pb::AcceptInvitationRequest>) -> Result<Response<pb::AcceptInvitationResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let accepted = self.ops.accept(&caller, &req.invitation_token).await?;
        Ok(Response::new(pb::AcceptInvitationResponse {
            invitation: Some(self.told(accepted.invitation)),
            organization_member: Some(accepted.member.into()),
            propagation: pb::Propagation::from(accepted.propagation).into(),
        }))
    }

    async fn accept_invitation_as_new_user(
        &self,
        req: Request<pb::AcceptInvitationAsNewUserRequest>,
    ) -> Result<Response<pb::AcceptInvitationAsNewUserResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let person = NewPerson { password: req.password.into(), display_name: req.display_name };
        let accepted = self.ops.accept_as_new_user(&caller, &req.invitation_token, person).await?;
        Ok(Response::new(pb::AcceptInvitationAsNewUserResponse {
            invitation: Some(self.told(accepted.invitation)),
            organization_member: Some(accepted.member.into()),
            propagation: pb::Propagation::from(accepted.propagation).into(),
        }))
    }

    async fn decline_invitation(
        &self,
        req: Request<pb::DeclineInvitationRequest>,
    ) -> Result<Response<pb::DeclineInvitationResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        self.ops.decline(&caller, &req.invitation_token).await?;
        Ok(Response::new(pb::DeclineInvitationResponse {}))
    }
}
