//! The actors of a test.

use contract::BaseRole;
use runtime::{Ids, OrganizationId, UserId, WorkspaceId};
use tokio::time::{Duration, Instant, sleep};

use crate::{Actor, App, Peer, actor::Way, keys};

/// How long the service may take to hear of a role.
const HEARD: Duration = Duration::from_secs(20);

impl App {
    /// An owner of the whole organization.
    pub async fn owner(&self, name: &str) -> Actor {
        self.with_role(name, None, BaseRole::Owner).await
    }

    /// An admin of the whole organization.
    pub async fn admin(&self, name: &str) -> Actor {
        self.with_role(name, None, BaseRole::Admin).await
    }

    /// A member of the whole organization.
    pub async fn member(&self, name: &str) -> Actor {
        self.with_role(name, None, BaseRole::Member).await
    }

    /// A viewer of the whole organization.
    pub async fn viewer(&self, name: &str) -> Actor {
        self.with_role(name, None, BaseRole::Viewer).await
    }

    /// Somebody with a role in this test's workspace alone.
    pub async fn workspace_member(&self, name: &str, role: BaseRole) -> Actor {
        self.with_role(name, Some(self.workspace), role).await
    }

    async fn with_role(&self, name: &str, workspace: Option<WorkspaceId>, role: BaseRole) -> Actor {
        let actor = self.user(name);
        self.assign(actor.user_id, self.organization, workspace, Some(role)).await;
        actor
    }

    /// Somebody with a token for the organization and no role in it.
    pub fn user(&self, name: &str) -> Actor {
        self.actor(name, self.organization, self.workspace)
    }

    /// The owner of another organization, with a workspace there.
    pub async fn outsider(&self, name: &str) -> Actor {
        let (organization, workspace) = (self.world.ids.next_id(), self.world.ids.next_id());
        let actor = self.actor(name, organization, workspace);
        self.introduce_workspace(organization, workspace).await;
        self.assign(actor.user_id, organization, None, Some(BaseRole::Owner)).await;
        actor
    }

    /// A system admin, with a token for this test's organization; [`Actor::in_organization`] of [`OrganizationId::SYSTEM`] gives the other.
    ///
    /// # Panics
    /// When the service does not hear of it.
    pub async fn system_admin(&self, name: &str) -> Actor {
        let actor = self.user(name);
        self.world.authority.make_system_admin(actor.user_id);
        let started = Instant::now();
        while !self.up.deps.authorizer.is_system_admin(actor.user_id) {
            assert!(started.elapsed() < HEARD, "{} never heard that {name} is a system admin", self.subject.name);
            sleep(Duration::from_millis(2)).await;
        }
        actor
    }

    /// Nobody: calls without credentials.
    pub fn anonymous(&self) -> Actor {
        Actor { token: String::new(), user_id: UserId::NIL, ..self.user("anonymous") }
    }

    /// Somebody with a token that the service under test gave itself: for the service that mints them.
    pub fn bearer(&self, name: &str, user: UserId, organization: OrganizationId, token: &str) -> Actor {
        Actor { user_id: user, organization_id: organization, token: token.to_owned(), ..self.user(name) }
    }

    /// Another service of the suite, as `tasks`.
    pub fn service(&self, name: &str) -> Peer {
        Peer { keys: keys::of(name, self.time()), target: self.subject.name, wire: self.wire.clone() }
    }

    /// Says which role `user` holds (`None`: none any more), and waits until the service knows.
    ///
    /// # Panics
    /// When the service does not hear of it: one that hears of roles from events alone never does.
    pub async fn assign(&self, user: UserId, organization: OrganizationId, workspace: Option<WorkspaceId>, role: Option<BaseRole>) {
        let version = self.world.authority.assign(user, organization, workspace, role);
        let heard = self.up.deps.authorizer.wait_for(user, organization, workspace, version, HEARD).await;
        assert!(heard, "{} never heard of the role: does it take roles from the authority?", self.subject.name);
        self.introduce_workspace(self.organization, self.workspace).await;
    }

    /// One more workspace of this test's organization.
    pub async fn add_workspace(&self) -> WorkspaceId {
        let workspace = self.world.ids.next_id();
        self.introduce_workspace(self.organization, workspace).await;
        workspace
    }

    async fn introduce_workspace(&self, organization: OrganizationId, workspace: WorkspaceId) {
        let authorizer = &self.up.deps.authorizer;
        if authorizer.has_workspace(organization, workspace) {
            return;
        }
        self.world.authority.add_workspace(organization, workspace);
        let heard = authorizer.wait_for_workspace(organization, workspace, HEARD).await;
        assert!(heard, "{} never heard of the workspace", self.subject.name);
    }

    fn actor(&self, name: &str, organization_id: OrganizationId, workspace_id: WorkspaceId) -> Actor {
        let way = Way { wire: self.wire.clone(), authority: self.world.authority.clone(), clock: self.time().clone() };
        let ids: &Ids = &self.world.ids;
        let (user_id, session_id) = (ids.next_id(), ids.next_id());
        let actor = Actor { name: name.to_owned(), user_id, session_id, organization_id, workspace_id, token: String::new(), way };
        actor.minted(None)
    }
}
