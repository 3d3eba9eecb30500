//! What people do with invitations: admins who signed in, and whoever holds the token of a mail.

use contract::BaseRole;
use contract::identity::v1::invitation_service_client::InvitationServiceClient;
use contract::identity::v1::resolve_recipient_request::Subject;
use contract::identity::v1::*;
use testkit::{Actor, App};
use tonic::Status;

use super::{Door, PASSWORD, address};

/// The verbs of people who signed in.
pub(crate) trait Invites {
    /// Invites the person `name` into the organization of the actor.
    async fn invite(&self, name: &str, role: BaseRole) -> Result<Invitation, Status>;
    async fn create_invitation(&self, request: CreateInvitationRequest) -> Result<Invitation, Status>;
    async fn get_invitation(&self, id: &str) -> Result<Invitation, Status>;
    async fn list_invitations(&self, page_size: i32, page_token: &str) -> Result<ListInvitationsResponse, Status>;
    async fn revoke_invitation(&self, id: &str) -> Result<Invitation, Status>;
    async fn resend_invitation(&self, id: &str) -> Result<Invitation, Status>;
    async fn accept_invitation(&self, token: &str) -> Result<AcceptInvitationResponse, Status>;
}

impl Invites for Actor {
    async fn invite(&self, name: &str, role: BaseRole) -> Result<Invitation, Status> {
        let (organization_id, email) = (self.organization_id.to_string(), address(name));
        self.create_invitation(CreateInvitationRequest { organization_id, email, role: role.into(), ..Default::default() }).await
    }

    async fn create_invitation(&self, request: CreateInvitationRequest) -> Result<Invitation, Status> {
        Ok(InvitationServiceClient::new(self.channel()).create_invitation(request).await?.into_inner().invitation.unwrap())
    }

    async fn get_invitation(&self, id: &str) -> Result<Invitation, Status> {
        let request = GetInvitationRequest { organization_id: self.organization_id.to_string(), invitation_id: id.to_owned() };
        Ok(InvitationServiceClient::new(self.channel()).get_invitation(request).await?.into_inner().invitation.unwrap())
    }

    async fn list_invitations(&self, page_size: i32, page_token: &str) -> Result<ListInvitationsResponse, Status> {
        let (organization_id, page_token) = (self.organization_id.to_string(), page_token.to_owned());
        let request = ListInvitationsRequest { organization_id, page_size, page_token };
        Ok(InvitationServiceClient::new(self.channel()).list_invitations(request).await?.into_inner())
    }

    async fn revoke_invitation(&self, id: &str) -> Result<Invitation, Status> {
        let (organization_id, invitation_id) = (self.organization_id.to_string(), id.to_owned());
        let request = RevokeInvitationRequest { organization_id, invitation_id, ..Default::default() };
        Ok(InvitationServiceClient::new(self.channel()).revoke_invitation(request).await?.into_inner().invitation.unwrap())
    }

    async fn resend_invitation(&self, id: &str) -> Result<Invitation, Status> {
        let (organization_id, invitation_id) = (self.organization_id.to_string(), id.to_owned());
        let request = ResendInvitationRequest { organization_id, invitation_id, ..Default::default() };
        Ok(InvitationServiceClient::new(self.channel()).resend_invitation(request).await?.into_inner().invitation.unwrap())
    }

    async fn accept_invitation(&self, token: &str) -> Result<AcceptInvitationResponse, Status> {
        let request = AcceptInvitationRequest { invitation_token: token.to_owned() };
        Ok(InvitationServiceClient::new(self.channel()).accept_invitation(request).await?.into_inner())
    }
}

/// The verbs of whoever holds a token, and of the service that mails it.
pub(crate) trait Invited {
    /// What the mail of an invitation is made of.
    async fn mail_of(&self, invitation: &Invitation) -> Result<ResolveRecipientResponse, Status>;
    /// The token in the mail of an invitation that waits.
    async fn token_of(&self, invitation: &Invitation) -> String;
    async fn preview_invitation(&self, token: &str) -> Result<PreviewInvitationResponse, Status>;
    /// Accepts as the new person `name`, with the password of everybody.
    async fn accept_as_new_user(&self, token: &str, name: &str) -> Result<AcceptInvitationAsNewUserResponse, Status>;
    async fn decline_invitation(&self, token: &str) -> Result<DeclineInvitationResponse, Status>;
}

impl Invited for App {
    async fn mail_of(&self, invitation: &Invitation) -> Result<ResolveRecipientResponse, Status> {
        let subject = Some(Subject::InvitationId(invitation.invitation_id.clone()));
        let link = Link::AcceptInvitation.into();
        self.resolve_recipient(ResolveRecipientRequest { subject, link, ..Default::default() }).await
    }

    async fn token_of(&self, invitation: &Invitation) -> String {
        self.mail_of(invitation).await.unwrap().link_token
    }

    async fn preview_invitation(&self, token: &str) -> Result<PreviewInvitationResponse, Status> {
        let request = PreviewInvitationRequest { invitation_token: token.to_owned() };
        Ok(InvitationServiceClient::new(self.anonymous().channel()).preview_invitation(request).await?.into_inner())
    }

    async fn accept_as_new_user(&self, token: &str, name: &str) -> Result<AcceptInvitationAsNewUserResponse, Status> {
        let (invitation_token, password, display_name) = (token.to_owned(), PASSWORD.to_owned(), name.to_owned());
        let request = AcceptInvitationAsNewUserRequest { invitation_token, password, display_name };
        Ok(InvitationServiceClient::new(self.anonymous().channel()).accept_invitation_as_new_user(request).await?.into_inner())
    }

    async fn decline_invitation(&self, token: &str) -> Result<DeclineInvitationResponse, Status> {
        let request = DeclineInvitationRequest { invitation_token: token.to_owned() };
        Ok(InvitationServiceClient::new(self.anonymous().channel()).decline_invitation(request).await?.into_inner())
    }
}
