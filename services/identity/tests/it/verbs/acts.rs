//! What people do who signed in.

use contract::BaseRole;
use contract::identity::v1::account_service_client::AccountServiceClient;
use contract::identity::v1::create_organization_member_request::Subject as OrganizationSubject;
use contract::identity::v1::create_workspace_member_request::Subject as WorkspaceSubject;
use contract::identity::v1::key_service_client::KeyServiceClient;
use contract::identity::v1::organization_member_service_client::OrganizationMemberServiceClient;
use contract::identity::v1::organization_service_client::OrganizationServiceClient;
use contract::identity::v1::session_service_client::SessionServiceClient;
use contract::identity::v1::user_service_client::UserServiceClient;
use contract::identity::v1::workspace_member_service_client::WorkspaceMemberServiceClient;
use contract::identity::v1::workspace_service_client::WorkspaceServiceClient;
use contract::identity::v1::*;
use runtime::{OrganizationId, UserId, WorkspaceId};
use testkit::Actor;
use tonic::Status;

use super::PASSWORD;

/// The verbs of people who signed in.
pub(crate) trait Acts {
    async fn switch_context(&self, organization: OrganizationId, workspace: Option<WorkspaceId>) -> Result<SwitchContextResponse, Status>;
    /// The same person in `organization`, with the token for it.
    async fn entering(&self, organization: OrganizationId) -> Actor;
    async fn list_sessions(&self) -> Result<Vec<Session>, Status>;
    /// Ends a session; empty is the one of the call.
    async fn revoke_session(&self, session: &str) -> Result<Session, Status>;
    /// Ends all sessions but the one of the call; gives how many.
    async fn revoke_other_sessions(&self) -> Result<i32, Status>;
    async fn revoke_user_sessions(&self, user: &str) -> Result<i32, Status>;
    /// Reads an account; empty is the caller's.
    async fn get_user(&self, user: &str) -> Result<User, Status>;
    /// Gives the caller another username; empty gives it up.
    async fn set_username(&self, username: &str) -> Result<User, Status>;
    async fn import_users(&self, users: Vec<ImportedUser>, request_id: &str) -> Result<Vec<ImportUserResult>, Status>;
    async fn change_password(&self, current: &str, new: &str) -> Result<ChangePasswordResponse, Status>;
    /// Asks for another address, with everybody's password.
    async fn request_email_change(&self, email: &str) -> Result<(), Status>;
    async fn confirm_email_change(&self, token: &str) -> Result<(), Status>;
    async fn list_users(&self, filter: &str, page_size: i32, page_token: &str) -> Result<ListUsersResponse, Status>;
    async fn unlock_sign_in(&self, user: &str) -> Result<(), Status>;
    async fn create_organization(&self, slug: &str, request_id: &str) -> Result<Organization, Status>;
    async fn get_organization(&self, organization: OrganizationId) -> Result<Organization, Status>;
    async fn organization_settings(&self) -> Result<OrganizationSettings, Status>;
    /// Asks for limits of sessions, in seconds, 0 for none.
    async fn limit_sessions(&self, idle: i32, longest: i32, etag: &str) -> Result<OrganizationSettings, Status>;
    async fn list_organizations(&self) -> Result<Vec<Organization>, Status>;
    async fn create_workspace(&self, slug: &str, request_id: &str) -> Result<Workspace, Status>;
    async fn get_workspace(&self, workspace: WorkspaceId) -> Result<Workspace, Status>;
    async fn list_workspaces(&self) -> Result<Vec<Workspace>, Status>;
    async fn create_member(&self, subject: OrganizationSubject, role: BaseRole) -> Result<CreateOrganizationMemberResponse, Status>;
    async fn add_member(&self, user: UserId, role: BaseRole) -> Result<OrganizationMember, Status>;
    async fn update_member(&self, user: UserId, role: BaseRole, etag: &str) -> Result<OrganizationMember, Status>;
    async fn remove_member(&self, user: UserId) -> Result<Propagation, Status>;
    async fn list_members(&self) -> Result<Vec<OrganizationMember>, Status>;
    /// Adds somebody, by id or address, as VIEWER.
    async fn invite_to_workspace(&self, workspace: WorkspaceId, subject: WorkspaceSubject) -> Result<WorkspaceMember, Status>;
    async fn add_to_workspace(&self, workspace: WorkspaceId, user: UserId, role: BaseRole) -> Result<WorkspaceMember, Status>;
    async fn update_in_workspace(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        role: BaseRole,
        etag: &str,
    ) -> Result<WorkspaceMember, Status>;
    async fn remove_from_workspace(&self, workspace: WorkspaceId, user: UserId) -> Result<Propagation, Status>;
    async fn list_in_workspace(&self, workspace: WorkspaceId) -> Result<Vec<WorkspaceMember>, Status>;
    async fn rotate_signing_key(&self, request_id: &str) -> Result<SigningKey, Status>;
    /// Rotates whether or not verifiers have the next key.
    async fn rotate_in_emergency(&self) -> Result<SigningKey, Status>;
    async fn list_signing_keys(&self) -> Result<Vec<SigningKey>, Status>;
}

impl Acts for Actor {
    async fn switch_context(&self, organization: OrganizationId, workspace: Option<WorkspaceId>) -> Result<SwitchContextResponse, Status> {
        let workspace_id = workspace.map(String::from).unwrap_or_default();
        let request = SwitchContextRequest { organization_id: organization.to_string(), workspace_id };
        Ok(SessionServiceClient::new(self.channel()).switch_context(request).await?.into_inner())
    }

    async fn entering(&self, organization: OrganizationId) -> Actor {
        let answer = self.switch_context(organization, None).await.unwrap();
        let mut actor = self.with_token(&answer.access_token);
        actor.organization_id = organization;
        actor
    }

    async fn list_sessions(&self) -> Result<Vec<Session>, Status> {
        let answer = SessionServiceClient::new(self.channel()).list_sessions(ListSessionsRequest::default()).await?;
        Ok(answer.into_inner().sessions)
    }

    async fn revoke_session(&self, session: &str) -> Result<Session, Status> {
        let request = RevokeSessionRequest { session_id: session.to_owned() };
        Ok(SessionServiceClient::new(self.channel()).revoke_session(request).await?.into_inner().session.unwrap())
    }

    async fn revoke_other_sessions(&self) -> Result<i32, Status> {
        let answer = SessionServiceClient::new(self.channel()).revoke_other_sessions(RevokeOtherSessionsRequest {}).await?;
        Ok(answer.into_inner().revoked_count)
    }

    async fn revoke_user_sessions(&self, user: &str) -> Result<i32, Status> {
        let request = RevokeUserSessionsRequest { user_id: user.to_owned() };
        Ok(SessionServiceClient::new(self.channel()).revoke_user_sessions(request).await?.into_inner().revoked_count)
    }

    async fn get_user(&self, user: &str) -> Result<User, Status> {
        let request = GetUserRequest { user_id: user.to_owned() };
        Ok(UserServiceClient::new(self.channel()).get_user(request).await?.into_inner().user.unwrap())
    }

    async fn set_username(&self, username: &str) -> Result<User, Status> {
        let request = SetUsernameRequest { username: username.to_owned() };
        Ok(AccountServiceClient::new(self.channel()).set_username(request).await?.into_inner().user.unwrap())
    }

    async fn import_users(&self, users: Vec<ImportedUser>, request_id: &str) -> Result<Vec<ImportUserResult>, Status> {
        let request = ImportUsersRequest { users, request_id: request_id.to_owned() };
        Ok(UserServiceClient::new(self.channel()).import_users(request).await?.into_inner().results)
    }

    async fn change_password(&self, current: &str, new: &str) -> Result<ChangePasswordResponse, Status> {
        let request = ChangePasswordRequest { current_password: current.to_owned(), password: new.to_owned() };
        Ok(AccountServiceClient::new(self.channel()).change_password(request).await?.into_inner())
    }

    async fn request_email_change(&self, email: &str) -> Result<(), Status> {
        let request = RequestEmailChangeRequest { email: email.to_owned(), current_password: PASSWORD.to_owned() };
        AccountServiceClient::new(self.channel()).request_email_change(request).await.map(drop)
    }

    async fn confirm_email_change(&self, token: &str) -> Result<(), Status> {
        let request = ConfirmEmailChangeRequest { email_change_token: token.to_owned() };
        AccountServiceClient::new(self.channel()).confirm_email_change(request).await.map(drop)
    }

    async fn list_users(&self, filter: &str, page_size: i32, page_token: &str) -> Result<ListUsersResponse, Status> {
        let request = ListUsersRequest { page_size, page_token: page_token.to_owned(), filter: filter.to_owned() };
        Ok(UserServiceClient::new(self.channel()).list_users(request).await?.into_inner())
    }

    async fn unlock_sign_in(&self, user: &str) -> Result<(), Status> {
        let request = UnlockSignInRequest { user_id: user.to_owned() };
        UserServiceClient::new(self.channel()).unlock_sign_in(request).await.map(|_| ())
    }

    async fn create_organization(&self, slug: &str, request_id: &str) -> Result<Organization, Status> {
        let (display_name, request_id) = (format!("The {slug}"), request_id.to_owned());
        let request = CreateOrganizationRequest { slug: slug.to_owned(), display_name, request_id };
        Ok(OrganizationServiceClient::new(self.channel()).create_organization(request).await?.into_inner().organization.unwrap())
    }

    async fn get_organization(&self, organization: OrganizationId) -> Result<Organization, Status> {
        let request = GetOrganizationRequest { organization_id: organization.to_string() };
        Ok(OrganizationServiceClient::new(self.channel()).get_organization(request).await?.into_inner().organization.unwrap())
    }

    async fn organization_settings(&self) -> Result<OrganizationSettings, Status> {
        let request = GetOrganizationSettingsRequest { organization_id: self.organization_id.to_string() };
        let answer = OrganizationServiceClient::new(self.channel()).get_organization_settings(request).await?;
        Ok(answer.into_inner().organization_settings.unwrap())
    }

    async fn limit_sessions(&self, idle: i32, longest: i32, etag: &str) -> Result<OrganizationSettings, Status> {
        let settings = OrganizationSettings { session_idle_seconds: idle, session_max_seconds: longest, ..OrganizationSettings::default() };
        let paths = vec!["session_idle_seconds".to_owned(), "session_max_seconds".to_owned()];
        let request = UpdateOrganizationSettingsRequest {
            organization_id: self.organization_id.to_string(),
            organization_settings: Some(settings),
            update_mask: Some(prost_types::FieldMask { paths }),
            etag: etag.to_owned(),
        };
        let answer = OrganizationServiceClient::new(self.channel()).update_organization_settings(request).await?;
        Ok(answer.into_inner().organization_settings.unwrap())
    }

    async fn list_organizations(&self) -> Result<Vec<Organization>, Status> {
        let answer = OrganizationServiceClient::new(self.channel()).list_organizations(ListOrganizationsRequest::default()).await?;
        Ok(answer.into_inner().organizations)
    }

    async fn create_workspace(&self, slug: &str, request_id: &str) -> Result<Workspace, Status> {
        let (display_name, request_id) = (format!("The {slug}"), request_id.to_owned());
        let request = CreateWorkspaceRequest { slug: slug.to_owned(), display_name, request_id };
        Ok(WorkspaceServiceClient::new(self.channel()).create_workspace(request).await?.into_inner().workspace.unwrap())
    }

    async fn get_workspace(&self, workspace: WorkspaceId) -> Result<Workspace, Status> {
        let request = GetWorkspaceRequest { workspace_id: workspace.to_string() };
        Ok(WorkspaceServiceClient::new(self.channel()).get_workspace(request).await?.into_inner().workspace.unwrap())
    }

    async fn list_workspaces(&self) -> Result<Vec<Workspace>, Status> {
        let answer = WorkspaceServiceClient::new(self.channel()).list_workspaces(ListWorkspacesRequest::default()).await?;
        Ok(answer.into_inner().workspaces)
    }

    async fn create_member(&self, subject: OrganizationSubject, role: BaseRole) -> Result<CreateOrganizationMemberResponse, Status> {
        let (organization_id, request_id) = (self.organization_id.to_string(), String::new());
        let request = CreateOrganizationMemberRequest { organization_id, subject: Some(subject), role: role.into(), request_id };
        Ok(OrganizationMemberServiceClient::new(self.channel()).create_organization_member(request).await?.into_inner())
    }

    async fn add_member(&self, user: UserId, role: BaseRole) -> Result<OrganizationMember, Status> {
        Ok(self.create_member(OrganizationSubject::UserId(user.to_string()), role).await?.organization_member.unwrap())
    }

    async fn update_member(&self, user: UserId, role: BaseRole, etag: &str) -> Result<OrganizationMember, Status> {
        let (organization_id, user_id) = (self.organization_id.to_string(), user.to_string());
        let (role, etag, request_id) = (role.into(), etag.to_owned(), String::new());
        let request = UpdateOrganizationMemberRequest { organization_id, user_id, role, etag, request_id };
        let answer = OrganizationMemberServiceClient::new(self.channel()).update_organization_member(request).await?;
        Ok(answer.into_inner().organization_member.unwrap())
    }

    async fn remove_member(&self, user: UserId) -> Result<Propagation, Status> {
        let (organization_id, user_id) = (self.organization_id.to_string(), user.to_string());
        let request = DeleteOrganizationMemberRequest { organization_id, user_id, request_id: String::new() };
        Ok(OrganizationMemberServiceClient::new(self.channel()).delete_organization_member(request).await?.into_inner().propagation())
    }

    async fn list_members(&self) -> Result<Vec<OrganizationMember>, Status> {
        let request = ListOrganizationMembersRequest { organization_id: self.organization_id.to_string(), ..Default::default() };
        let answer = OrganizationMemberServiceClient::new(self.channel()).list_organization_members(request).await?;
        Ok(answer.into_inner().organization_members)
    }

    async fn invite_to_workspace(&self, workspace: WorkspaceId, subject: WorkspaceSubject) -> Result<WorkspaceMember, Status> {
        create_workspace_member(self, workspace, subject, BaseRole::Viewer).await
    }

    async fn add_to_workspace(&self, workspace: WorkspaceId, user: UserId, role: BaseRole) -> Result<WorkspaceMember, Status> {
        create_workspace_member(self, workspace, WorkspaceSubject::UserId(user.to_string()), role).await
    }

    async fn update_in_workspace(
        &self,
        workspace: WorkspaceId,
        user: UserId,
        role: BaseRole,
        etag: &str,
    ) -> Result<WorkspaceMember, Status> {
        let (workspace_id, user_id) = (workspace.to_string(), user.to_string());
        let (role, etag, request_id) = (role.into(), etag.to_owned(), String::new());
        let request = UpdateWorkspaceMemberRequest { workspace_id, user_id, role, etag, request_id };
        let answer = WorkspaceMemberServiceClient::new(self.channel()).update_workspace_member(request).await?;
        Ok(answer.into_inner().workspace_member.unwrap())
    }

    async fn remove_from_workspace(&self, workspace: WorkspaceId, user: UserId) -> Result<Propagation, Status> {
        let (workspace_id, user_id) = (workspace.to_string(), user.to_string());
        let request = DeleteWorkspaceMemberRequest { workspace_id, user_id, request_id: String::new() };
        Ok(WorkspaceMemberServiceClient::new(self.channel()).delete_workspace_member(request).await?.into_inner().propagation())
    }

    async fn list_in_workspace(&self, workspace: WorkspaceId) -> Result<Vec<WorkspaceMember>, Status> {
        let request = ListWorkspaceMembersRequest { workspace_id: workspace.to_string(), ..Default::default() };
        let answer = WorkspaceMemberServiceClient::new(self.channel()).list_workspace_members(request).await?;
        Ok(answer.into_inner().workspace_members)
    }

    async fn rotate_signing_key(&self, request_id: &str) -> Result<SigningKey, Status> {
        let request = RotateSigningKeyRequest { request_id: request_id.to_owned(), emergency: false };
        Ok(KeyServiceClient::new(self.channel()).rotate_signing_key(request).await?.into_inner().active_key.unwrap())
    }

    async fn rotate_in_emergency(&self) -> Result<SigningKey, Status> {
        let request = RotateSigningKeyRequest { request_id: String::new(), emergency: true };
        Ok(KeyServiceClient::new(self.channel()).rotate_signing_key(request).await?.into_inner().active_key.unwrap())
    }

    async fn list_signing_keys(&self) -> Result<Vec<SigningKey>, Status> {
        Ok(KeyServiceClient::new(self.channel()).list_signing_keys(ListSigningKeysRequest {}).await?.into_inner().signing_keys)
    }
}

async fn create_workspace_member(
    who: &Actor,
    workspace: WorkspaceId,
    subject: WorkspaceSubject,
    role: BaseRole,
) -> Result<WorkspaceMember, Status> {
    let (workspace_id, request_id) = (workspace.to_string(), String::new());
    let request = CreateWorkspaceMemberRequest { workspace_id, subject: Some(subject), role: role.into(), request_id };
    let answer = WorkspaceMemberServiceClient::new(who.channel()).create_workspace_member(request).await?;
    Ok(answer.into_inner().workspace_member.unwrap())
}
