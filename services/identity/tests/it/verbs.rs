//! What people do at the identity service, and what services ask it.
//!
//! Identity verifies tokens against its own key set, so everybody here signs in; the fixture authority says only what they may.

use std::ops::Deref;
use std::time::Duration;

use contract::BaseRole;
use contract::identity::v1::account_service_client::AccountServiceClient;
use contract::identity::v1::create_organization_member_request::Subject as OrganizationSubject;
use contract::identity::v1::create_workspace_member_request::Subject as WorkspaceSubject;
use contract::identity::v1::key_service_client::KeyServiceClient;
use contract::identity::v1::organization_member_service_client::OrganizationMemberServiceClient;
use contract::identity::v1::organization_service_client::OrganizationServiceClient;
use contract::identity::v1::revocation_service_client::RevocationServiceClient;
use contract::identity::v1::session_service_client::SessionServiceClient;
use contract::identity::v1::user_service_client::UserServiceClient;
use contract::identity::v1::workspace_member_service_client::WorkspaceMemberServiceClient;
use contract::identity::v1::workspace_service_client::WorkspaceServiceClient;
use contract::identity::v1::*;
use identity::Config;
use identity::config::{FirstAdminConfig, HashingConfig};
use runtime::{OrganizationId, UserId, WorkspaceId};
use testkit::{Actor, App, Channel, Setup};
use tonic::{Status, Streaming};

/// Everybody's password, unless a test says otherwise.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// The address of the system admin of [`with_root`].
pub(crate) const ROOT: &str = "root@example.com";
/// How long the service may take to hear of something from the authority.
const HEARD: Duration = Duration::from_secs(10);

/// Settings under which a hash costs next to nothing and a change of roles is not waited for.
pub(crate) fn quick() -> Config {
    let hashing = HashingConfig { memory_kib: 64, passes: 1, ..HashingConfig::default() };
    Config { hashing, propagation_wait_ms: 10, key_poll_seconds: 1, ..Config::default() }
}

/// As [`quick`], with a system admin from the first start.
pub(crate) fn with_root() -> Config {
    let first_admin = FirstAdminConfig { email: ROOT.to_owned(), password: PASSWORD.into(), ..FirstAdminConfig::default() };
    Config { first_admin, ..quick() }
}

/// The service under test; nobody has an account.
pub(crate) async fn identity() -> App {
    identity_with(quick()).await
}

/// The service under test with other settings.
pub(crate) async fn identity_with(config: Config) -> App {
    build_with(async move |deps| identity::build(deps, &config).await).await
}

/// The service under test, built in a way of the test's own.
pub(crate) async fn build_with<F>(build: F) -> App
where
    F: AsyncFn(&host::Deps) -> anyhow::Result<host::Service> + Send + 'static,
{
    App::with(Setup::default(), identity::NAME, identity::SCHEMA, &identity::MIGRATIONS, build).await
}

/// The address of the person `name`.
pub(crate) fn address(name: &str) -> String {
    format!("{name}@example.com")
}

/// Somebody with a session that the service opened.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    actor: Actor,
    pub(crate) session: Session,
    pub(crate) tokens: TokenPair,
}

impl Deref for Person {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.actor
    }
}

/// The verbs of people who have no session, and shortcuts to get one.
pub(crate) trait Door {
    async fn register_user(&self, email: &str, password: &str, display_name: &str) -> Result<RegisterUserResponse, Status>;
    async fn issue_verification_token(&self, user: &str) -> Result<String, Status>;
    async fn verify_email(&self, token: &str) -> Result<String, Status>;
    async fn create_session(&self, email: &str, password: &str) -> Result<CreateSessionResponse, Status>;
    async fn refresh_session(&self, refresh_token: &str) -> Result<TokenPair, Status>;
    async fn key_set(&self) -> serde_json::Value;

    /// Registers `name`, whose address stays unproved.
    async fn pending(&self, name: &str) -> UserId;
    /// Registers `name` and proves the address.
    async fn verified(&self, name: &str) -> UserId;
    /// A new session of somebody who can sign in.
    async fn sign_in(&self, email: &str) -> Person;
    /// Registers `name`, proves the address and signs in.
    async fn person(&self, name: &str) -> Person;
    /// The system admin of [`with_root`], signed in and known as one to the authority.
    async fn root(&self) -> Person;
    /// `who` creates an organization, is known as its owner to the authority, and enters it.
    async fn founded(&self, who: &Person, slug: &str) -> Actor;
    /// `owner` adds a new person to their organization, who is known to the authority and enters it.
    async fn joined(&self, owner: &Actor, name: &str, role: BaseRole) -> Actor;
    /// Says to the authority which role `who` holds in the organization they are in.
    async fn known_as(&self, who: &Actor, role: BaseRole);
    /// `owner` creates a workspace that is known to the authority.
    async fn with_workspace(&self, owner: &Actor, slug: &str) -> WorkspaceId;
    /// A client of the revocation service, as the service `tasks`.
    fn revocations(&self) -> RevocationServiceClient<Channel>;
}

impl Door for App {
    async fn register_user(&self, email: &str, password: &str, display_name: &str) -> Result<RegisterUserResponse, Status> {
        let (email, password, display_name) = (email.to_owned(), password.to_owned(), display_name.to_owned());
        let request = RegisterUserRequest { email, password, display_name };
        Ok(AccountServiceClient::new(self.anonymous().channel()).register_user(request).await?.into_inner())
    }

    async fn issue_verification_token(&self, user: &str) -> Result<String, Status> {
        let request = IssueVerificationTokenRequest { user_id: user.to_owned() };
        let mut client = AccountServiceClient::new(self.service("tasks").channel());
        Ok(client.issue_verification_token(request).await?.into_inner().verification_token)
    }

    async fn verify_email(&self, token: &str) -> Result<String, Status> {
        let request = VerifyEmailRequest { verification_token: token.to_owned() };
        Ok(AccountServiceClient::new(self.anonymous().channel()).verify_email(request).await?.into_inner().user_id)
    }

    async fn create_session(&self, email: &str, password: &str) -> Result<CreateSessionResponse, Status> {
        let request = CreateSessionRequest { email: email.to_owned(), password: password.to_owned() };
        Ok(SessionServiceClient::new(self.anonymous().channel()).create_session(request).await?.into_inner())
    }

    async fn refresh_session(&self, refresh_token: &str) -> Result<TokenPair, Status> {
        let request = RefreshSessionRequest { refresh_token: refresh_token.to_owned() };
        Ok(SessionServiceClient::new(self.anonymous().channel()).refresh_session(request).await?.into_inner().tokens.unwrap())
    }

    async fn key_set(&self) -> serde_json::Value {
        let answer = KeyServiceClient::new(self.anonymous().channel()).get_json_web_key_set(GetJsonWebKeySetRequest {}).await.unwrap();
        serde_json::from_str(&answer.into_inner().json_web_key_set).unwrap()
    }

    async fn pending(&self, name: &str) -> UserId {
        self.register_user(&address(name), PASSWORD, name).await.unwrap();
        // As quick as it can be had: waiting for the event takes longer, and most tests register somebody.
        let newest = "SELECT user_id FROM identity.user_account ORDER BY user_id DESC LIMIT 1";
        sqlx::query_scalar(newest).fetch_one(&mut self.sql().await).await.unwrap()
    }

    async fn verified(&self, name: &str) -> UserId {
        let user = self.pending(name).await;
        let token = self.issue_verification_token(&user.to_string()).await.unwrap();
        assert_eq!(self.verify_email(&token).await.unwrap(), user.to_string());
        user
    }

    async fn sign_in(&self, email: &str) -> Person {
        let answer = self.create_session(email, PASSWORD).await.unwrap();
        let (session, tokens) = (answer.session.unwrap(), answer.tokens.unwrap());
        let mut actor = self.bearer(email, session.user_id.parse().unwrap(), OrganizationId::SYSTEM, &tokens.access_token);
        actor.session_id = session.session_id.parse().unwrap();
        Person { actor, session, tokens }
    }

    async fn person(&self, name: &str) -> Person {
        self.verified(name).await;
        self.sign_in(&address(name)).await
    }

    async fn root(&self) -> Person {
        let root = self.sign_in(ROOT).await;
        self.authority().make_system_admin(root.user_id);
        let knows = async || self.deps().authorizer.is_system_admin(root.user_id);
        until("the system admin is known", knows).await;
        root
    }

    async fn founded(&self, who: &Person, slug: &str) -> Actor {
        let organization: OrganizationId = who.create_organization(slug, "").await.unwrap().organization_id.parse().unwrap();
        let owner = who.entering(organization).await;
        self.known_as(&owner, BaseRole::Owner).await;
        owner
    }

    async fn joined(&self, owner: &Actor, name: &str, role: BaseRole) -> Actor {
        let person = self.person(name).await;
        owner.add_member(person.user_id, role).await.unwrap();
        let actor = person.entering(owner.organization_id).await;
        self.known_as(&actor, role).await;
        actor
    }

    async fn known_as(&self, who: &Actor, role: BaseRole) {
        self.assign(who.user_id, who.organization_id, None, Some(role)).await;
    }

    async fn with_workspace(&self, owner: &Actor, slug: &str) -> WorkspaceId {
        let id: WorkspaceId = owner.create_workspace(slug, "").await.unwrap().workspace_id.parse().unwrap();
        self.authority().add_workspace(owner.organization_id, id);
        assert!(self.deps().authorizer.wait_for_workspace(owner.organization_id, id, HEARD).await, "the workspace is never heard of");
        id
    }

    fn revocations(&self) -> RevocationServiceClient<Channel> {
        RevocationServiceClient::new(self.service("tasks").channel())
    }
}

/// The verbs of people who signed in.
pub(crate) trait Acts {
    async fn switch_context(&self, organization: OrganizationId, workspace: Option<WorkspaceId>) -> Result<SwitchContextResponse, Status>;
    /// The same person in `organization`, with the token for it.
    async fn entering(&self, organization: OrganizationId) -> Actor;
    async fn list_sessions(&self) -> Result<Vec<Session>, Status>;
    /// Ends a session; empty is the one of the call.
    async fn revoke_session(&self, session: &str) -> Result<Session, Status>;
    /// Reads an account; empty is the caller's.
    async fn get_user(&self, user: &str) -> Result<User, Status>;
    async fn list_users(&self, filter: &str, page_size: i32, page_token: &str) -> Result<ListUsersResponse, Status>;
    async fn create_organization(&self, slug: &str, request_id: &str) -> Result<Organization, Status>;
    async fn get_organization(&self, organization: OrganizationId) -> Result<Organization, Status>;
    async fn list_organizations(&self) -> Result<Vec<Organization>, Status>;
    async fn create_workspace(&self, slug: &str, request_id: &str) -> Result<Workspace, Status>;
    async fn get_workspace(&self, workspace: WorkspaceId) -> Result<Workspace, Status>;
    async fn list_workspaces(&self) -> Result<Vec<Workspace>, Status>;
    async fn create_member(&self, subject: OrganizationSubject, role: BaseRole) -> Result<CreateOrganizationMemberResponse, Status>;
    async fn add_member(&self, user: UserId, role: BaseRole) -> Result<OrganizationMember, Status>;
    async fn update_member(&self, user: UserId, role: BaseRole, etag: &str) -> Result<OrganizationMember, Status>;
    async fn remove_member(&self, user: UserId) -> Result<Propagation, Status>;
    async fn list_members(&self) -> Result<Vec<OrganizationMember>, Status>;
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

    async fn get_user(&self, user: &str) -> Result<User, Status> {
        let request = GetUserRequest { user_id: user.to_owned() };
        Ok(UserServiceClient::new(self.channel()).get_user(request).await?.into_inner().user.unwrap())
    }

    async fn list_users(&self, filter: &str, page_size: i32, page_token: &str) -> Result<ListUsersResponse, Status> {
        let request = ListUsersRequest { page_size, page_token: page_token.to_owned(), filter: filter.to_owned() };
        Ok(UserServiceClient::new(self.channel()).list_users(request).await?.into_inner())
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

    async fn add_to_workspace(&self, workspace: WorkspaceId, user: UserId, role: BaseRole) -> Result<WorkspaceMember, Status> {
        let subject = Some(WorkspaceSubject::UserId(user.to_string()));
        let (workspace_id, request_id) = (workspace.to_string(), String::new());
        let request = CreateWorkspaceMemberRequest { workspace_id, subject, role: role.into(), request_id };
        let answer = WorkspaceMemberServiceClient::new(self.channel()).create_workspace_member(request).await?;
        Ok(answer.into_inner().workspace_member.unwrap())
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
        let request = RotateSigningKeyRequest { request_id: request_id.to_owned() };
        Ok(KeyServiceClient::new(self.channel()).rotate_signing_key(request).await?.into_inner().active_key.unwrap())
    }

    async fn list_signing_keys(&self) -> Result<Vec<SigningKey>, Status> {
        Ok(KeyServiceClient::new(self.channel()).list_signing_keys(ListSigningKeysRequest {}).await?.into_inner().signing_keys)
    }
}

/// What a service that verifies tokens asks.
pub(crate) trait Watches {
    async fn list(&mut self) -> Result<ListRevocationsResponse, Status>;
    async fn watch(&mut self, from_position: i64) -> Result<Streaming<WatchRevocationsResponse>, Status>;
}

impl Watches for RevocationServiceClient<Channel> {
    async fn list(&mut self) -> Result<ListRevocationsResponse, Status> {
        Ok(self.list_revocations(ListRevocationsRequest {}).await?.into_inner())
    }

    async fn watch(&mut self, from_position: i64) -> Result<Streaming<WatchRevocationsResponse>, Status> {
        Ok(self.watch_revocations(WatchRevocationsRequest { from_position }).await?.into_inner())
    }
}

/// Waits until `holds`; gives up after a while far beyond what it may take.
pub(crate) async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(HEARD, waited).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// A UUID for `request_id`, the same for the same number.
pub(crate) fn request_id(number: u128) -> String {
    uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 | number).to_string()
}
