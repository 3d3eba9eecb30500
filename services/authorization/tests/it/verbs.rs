//! What identity tells and what people ask, in words.

use std::time::Duration;

use contract::authorization::v1::authorization_service_client::AuthorizationServiceClient;
use contract::authorization::v1::{
    BatchCheckRequest, BatchCheckResponse, CheckRequest, Decision, HeldPermission, ListPermissionsRequest, ListRolesRequest, Question, Role,
};
use contract::identity::v1::{
    OrganizationMember, OrganizationMemberCreated, OrganizationMemberDeleted, OrganizationMemberUpdated, SystemRole, User, UserRegistered,
    UserSystemRoleChanged, Workspace, WorkspaceCreated, WorkspaceMember, WorkspaceMemberCreated,
};
use contract::{BaseRole, Permission};
use runtime::{Ids, OrganizationId, UserId, WorkspaceId};
use sqlx::AssertSqlSafe;
use testkit::{Actor, App};
use tonic::Status;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The service under test.
pub(crate) async fn authorization() -> App {
    let build = async |deps: &host::Deps| authorization::build(deps, &authorization::Config::default()).await;
    App::of(authorization::NAME, authorization::SCHEMA, &authorization::MIGRATIONS, build).await
}

pub(crate) fn fresh<T: From<uuid::Uuid>>() -> T {
    Ids::system().next_id()
}

pub(crate) fn member(organization: OrganizationId, user: UserId, role: BaseRole, version: i64) -> OrganizationMember {
    OrganizationMember { organization_id: organization.into(), user_id: user.into(), role: role.into(), version, ..Default::default() }
}

pub(crate) fn member_created(member: OrganizationMember) -> OrganizationMemberCreated {
    OrganizationMemberCreated { member_key: key(&member), after: Some(member) }
}

pub(crate) fn member_updated(before: OrganizationMember, after: OrganizationMember) -> OrganizationMemberUpdated {
    OrganizationMemberUpdated { member_key: key(&before), before: Some(before), after: Some(after) }
}

pub(crate) fn member_deleted(before: OrganizationMember) -> OrganizationMemberDeleted {
    OrganizationMemberDeleted { member_key: key(&before), before: Some(before) }
}

fn key(member: &OrganizationMember) -> String {
    format!("{}/{}", member.organization_id, member.user_id)
}

pub(crate) fn workspace_created(organization: OrganizationId, workspace: WorkspaceId) -> WorkspaceCreated {
    let after = Workspace { organization_id: organization.into(), workspace_id: workspace.into(), ..Default::default() };
    WorkspaceCreated { workspace_id: workspace.into(), after: Some(after) }
}

pub(crate) fn workspace_member_created(
    organization: OrganizationId,
    workspace: WorkspaceId,
    user: UserId,
    role: BaseRole,
) -> WorkspaceMemberCreated {
    let after = WorkspaceMember {
        organization_id: organization.into(),
        workspace_id: workspace.into(),
        user_id: user.into(),
        role: role.into(),
        version: 1,
        ..Default::default()
    };
    WorkspaceMemberCreated { member_key: format!("{workspace}/{user}"), after: Some(after) }
}

pub(crate) fn registered(user: UserId, system_role: SystemRole) -> UserRegistered {
    let after = User { user_id: user.into(), system_role: system_role.into(), ..Default::default() };
    UserRegistered { user_id: user.into(), after: Some(after), mail_wanted: true }
}

pub(crate) fn system_role_changed(user: UserId, before: SystemRole, after: SystemRole) -> UserSystemRoleChanged {
    let state = |role: SystemRole| Some(User { user_id: user.into(), system_role: role.into(), ..Default::default() });
    UserSystemRoleChanged { user_id: user.into(), before: state(before), after: state(after) }
}

/// What the tests ask of the service's process and database.
pub(crate) trait Sees {
    /// The role of `user` in the organization once its version is known here.
    async fn role_at(&self, user: UserId, organization: OrganizationId, version: i64) -> Option<BaseRole>;

    /// What one number is in the database.
    async fn count(&self, sql: &str) -> i64;

    /// A user with this role in the test's organization, as identity tells it.
    async fn joined(&self, name: &str, role: BaseRole) -> Actor;

    /// A workspace of the organization, as identity tells it.
    async fn opened(&self, organization: OrganizationId) -> WorkspaceId;
}

impl Sees for App {
    async fn role_at(&self, user: UserId, organization: OrganizationId, version: i64) -> Option<BaseRole> {
        let authorizer = &self.deps().authorizer;
        assert!(authorizer.wait_for(user, organization, None, version, PATIENCE).await, "version {version} arrives");
        authorizer.organization_role(user, organization)
    }

    async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut self.sql().await).await.unwrap()
    }

    async fn joined(&self, name: &str, role: BaseRole) -> Actor {
        let actor = self.user(name);
        self.publish(member_created(member(self.organization(), actor.user_id, role, 1)), self.organization()).await;
        self.role_at(actor.user_id, self.organization(), 1).await;
        actor
    }

    async fn opened(&self, organization: OrganizationId) -> WorkspaceId {
        let workspace = fresh();
        self.publish(workspace_created(organization, workspace), organization).await;
        assert!(self.deps().authorizer.wait_for_workspace(organization, workspace, PATIENCE).await);
        workspace
    }
}

/// The verbs of whoever asks.
pub(crate) trait Asks {
    async fn check(&self, question: Question) -> Result<Decision, Status>;
    async fn batch_check(&self, questions: Vec<Question>) -> Result<BatchCheckResponse, Status>;
    async fn list_permissions(&self, user: Option<UserId>, workspace: Option<WorkspaceId>) -> Result<Vec<HeldPermission>, Status>;
    async fn list_roles(&self) -> Result<Vec<Role>, Status>;
}

impl Asks for Actor {
    async fn check(&self, question: Question) -> Result<Decision, Status> {
        let request = CheckRequest { question: Some(question) };
        Ok(AuthorizationServiceClient::new(self.channel()).check(request).await?.into_inner().decision.unwrap())
    }

    async fn batch_check(&self, questions: Vec<Question>) -> Result<BatchCheckResponse, Status> {
        Ok(AuthorizationServiceClient::new(self.channel()).batch_check(BatchCheckRequest { questions }).await?.into_inner())
    }

    async fn list_permissions(&self, user: Option<UserId>, workspace: Option<WorkspaceId>) -> Result<Vec<HeldPermission>, Status> {
        let request = ListPermissionsRequest { user_id: text(user), workspace_id: text(workspace) };
        Ok(AuthorizationServiceClient::new(self.channel()).list_permissions(request).await?.into_inner().permissions)
    }

    async fn list_roles(&self) -> Result<Vec<Role>, Status> {
        Ok(AuthorizationServiceClient::new(self.channel()).list_roles(ListRolesRequest {}).await?.into_inner().roles)
    }
}

/// May the caller, or `user`, do this in the organization or in `workspace`?
pub(crate) fn question(permission: Permission, user: Option<UserId>, workspace: Option<WorkspaceId>) -> Question {
    Question { user_id: text(user), permission: permission.name().to_owned(), workspace_id: text(workspace), ..Question::default() }
}

fn text<T: ToString>(id: Option<T>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}
