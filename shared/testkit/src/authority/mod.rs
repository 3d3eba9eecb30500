//! The fixture authority: a real socket that serves KeyService, RevocationService, RecipientService and ReplicationService from a table of actors.
//!
//! A service under test finds in it what identity and authorization would tell it, over the same contract and with the same streams.
//!
//! Deliberately absent: rules. It says what a test told it, also what no real service would say.

mod log;
mod services;
mod tokens;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use contract::{
    annotations::v1::BaseRole,
    authorization::v1::{Assignment, RoleScope, WorkspaceRef},
    identity::v1::{Link, ListMembershipsResponse, ResolveRecipientResponse, Revocation, RevocationKind},
    time::timestamp,
};
use runtime::{OrganizationId, SessionId, UserId, WorkspaceId};
use time::OffsetDateTime;
use tokio::{net::TcpListener, task::JoinHandle};

use log::Log;
pub use tokens::{Claims, TokenSigner};

/// What the authority tells the services, and everything it told them.
#[derive(Debug)]
pub struct Authority {
    address: SocketAddr,
    signer: TokenSigner,
    state: State,
    server: JoinHandle<()>,
}

#[derive(Debug, Clone)]
struct State {
    permissions: Log<Change>,
    revocations: Log<Revocation>,
    json_web_key_set: String,
    memberships: Arc<Mutex<ListMembershipsResponse>>,
    recipients: Arc<Mutex<Recipients>>,
}

/// By whom, and by the link that a mail holds and of what it is; without one for any mail.
type Recipients = BTreeMap<(String, Option<(Link, String)>), Recipient>;

/// Where a person is reached, or what the question is answered with instead.
type Recipient = Result<ResolveRecipientResponse, tonic::Code>;

#[derive(Debug, Clone)]
enum Change {
    Assignment(Assignment),
    Workspace(WorkspaceRef),
}

impl Authority {
    /// Starts on a free loopback port with nobody in its table.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start() -> Authority {
        let signer = TokenSigner::generate("fixture");
        let state = State {
            permissions: Log::new(),
            revocations: Log::new(),
            json_web_key_set: signer.json_web_key_set(),
            memberships: Arc::default(),
            recipients: Arc::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free loopback port");
        let address = listener.local_addr().expect("a bound address");
        let server = services::serve(listener, state.clone());
        Authority { address, signer, state, server }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Signs access tokens that the services under test accept.
    pub fn signer(&self) -> &TokenSigner {
        &self.signer
    }

    /// Makes a workspace of `organization` known.
    pub fn add_workspace(&self, organization: OrganizationId, workspace: WorkspaceId) {
        let workspace = WorkspaceRef { organization_id: organization.to_string(), workspace_id: workspace.to_string() };
        self.state.permissions.push(|_| Change::Workspace(workspace));
    }

    /// Gives `user` a role in `organization`, or in one workspace of it; `None` takes it away. Answers the version of what is said.
    pub fn assign(&self, user: UserId, organization: OrganizationId, workspace: Option<WorkspaceId>, role: Option<BaseRole>) -> i64 {
        let scope = RoleScope {
            organization_id: organization.to_string(),
            workspace_id: workspace.map(|workspace| workspace.to_string()).unwrap_or_default(),
        };
        self.state.assign(user, scope, role.unwrap_or(BaseRole::Unspecified), false)
    }

    /// Makes `user` a system admin.
    pub fn make_system_admin(&self, user: UserId) {
        self.state.assign(user, RoleScope::default(), BaseRole::Owner, true);
    }

    /// What identity's list of all memberships says from now on; before, it is empty at position 0.
    pub fn list_memberships(&self, list: ListMembershipsResponse) {
        *self.state.memberships.lock().unwrap_or_else(PoisonError::into_inner) = list;
    }

    /// What is said from now on of where `whom`, a user or an invitation, is reached, whatever link a mail holds; before, there is no such
    /// recipient.
    pub fn reach(&self, whom: impl std::fmt::Display, recipient: Result<ResolveRecipientResponse, tonic::Code>) {
        self.state.recipients.lock().unwrap_or_else(PoisonError::into_inner).insert((whom.to_string(), None), recipient);
    }

    /// What is said from now on of where `whom` is reached with the `link` of `link_id`, empty for one that is of nothing.
    pub fn reach_with(
        &self,
        whom: impl std::fmt::Display,
        (link, link_id): (Link, &str),
        recipient: Result<ResolveRecipientResponse, tonic::Code>,
    ) {
        let key = (whom.to_string(), Some((link, link_id.to_owned())));
        self.state.recipients.lock().unwrap_or_else(PoisonError::into_inner).insert(key, recipient);
    }

    /// Tells the services to refuse tokens.
    pub fn revoke(&self, revocation: Revocation) {
        self.state.revocations.push(|_| revocation);
    }

    /// Tells the services that `session` is over, as of `now`.
    pub fn revoke_session(&self, session: SessionId, now: OffsetDateTime) {
        self.revoke(Revocation {
            kind: RevocationKind::Session.into(),
            subject_id: session.to_string(),
            not_before: Some(timestamp(now)),
            expire_time: Some(timestamp(now + time::Duration::hours(1))),
        });
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl State {
    fn assign(&self, user: UserId, scope: RoleScope, role: BaseRole, system_admin: bool) -> i64 {
        let user_id = user.to_string();
        let mut version = 0;
        self.permissions.push(|changes| {
            let same =
                |change: &&Change| matches!(change, Change::Assignment(a) if a.user_id == user_id && a.scope.as_ref() == Some(&scope));
            version = i64::try_from(changes.iter().filter(same).count()).unwrap_or(i64::MAX) + 1;
            Change::Assignment(Assignment { user_id, scope: Some(scope), role: role.into(), source_version: version, system_admin })
        });
        version
    }

    /// The assignments and workspaces that hold now, and the position they hold at.
    fn snapshot(&self) -> (Vec<Assignment>, Vec<WorkspaceRef>, i64) {
        let (changes, position) = self.permissions.after(0);
        let (mut assignments, mut workspaces) = (BTreeMap::new(), Vec::new());
        for change in changes {
            match change {
                Change::Assignment(assignment) => {
                    let scope = assignment.scope.clone().unwrap_or_default();
                    assignments.insert((assignment.user_id.clone(), scope.organization_id, scope.workspace_id), assignment);
                }
                Change::Workspace(workspace) => workspaces.push(workspace),
            }
        }
        (assignments.into_values().collect(), workspaces, position)
    }
}
