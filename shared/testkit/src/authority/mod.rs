//! The fixture authority: a real socket that serves KeyService, RevocationService and ReplicationService from a table of actors.
//!
//! A service under test finds in it what identity and authorization would tell it, over the same contract and with the same streams.

mod services;
mod tokens;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use contract::{
    annotations::v1::BaseRole,
    authorization::v1::{Assignment, RoleScope, WorkspaceRef},
    identity::v1::Revocation,
};
use runtime::{OrganizationId, UserId, WorkspaceId};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use uuid::Uuid;

pub use tokens::{Claims, TokenSigner};

/// What the authority tells the services, and everything it told them.
#[derive(Debug)]
pub struct Authority {
    address: SocketAddr,
    signer: TokenSigner,
    state: Arc<State>,
    server: JoinHandle<()>,
}

/// What is known, and the log of how it came to be: position `n` is entry `n - 1`.
#[derive(Debug)]
struct State {
    log: Mutex<Vec<Entry>>,
    head: watch::Sender<i64>,
    json_web_key_set: String,
}

#[derive(Debug, Clone)]
enum Entry {
    Assignment(Assignment),
    Workspace(WorkspaceRef),
    Revocation(Revocation),
}

impl Authority {
    /// Starts on a free loopback port with nobody in its table.
    ///
    /// # Panics
    /// When no port can be had.
    pub async fn start() -> Authority {
        let signer = TokenSigner::generate("fixture");
        let state = Arc::new(State { log: Mutex::default(), head: watch::Sender::new(0), json_web_key_set: signer.json_web_key_set() });
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
        self.state.push(Entry::Workspace(workspace));
    }

    /// Gives `user` a role in `organization`, or in one workspace of it; `None` takes it away.
    pub fn assign(&self, user: UserId, organization: OrganizationId, workspace: Option<WorkspaceId>, role: Option<BaseRole>) {
        let scope = RoleScope {
            organization_id: organization.to_string(),
            workspace_id: workspace.map(|workspace| workspace.to_string()).unwrap_or_default(),
        };
        self.state.assign(user, scope, role.unwrap_or(BaseRole::Unspecified), false);
    }

    /// Makes `user` a system admin.
    pub fn make_system_admin(&self, user: UserId) {
        self.state.assign(user, RoleScope::default(), BaseRole::Owner, true);
    }

    /// Tells the services to refuse tokens.
    pub fn revoke(&self, revocation: Revocation) {
        self.state.push(Entry::Revocation(revocation));
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl State {
    fn log(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, entry: Entry) {
        let mut log = self.log();
        log.push(entry);
        self.head.send_replace(i64::try_from(log.len()).unwrap_or(i64::MAX));
    }

    fn assign(&self, user: UserId, scope: RoleScope, role: BaseRole, system_admin: bool) {
        let user_id = user.to_string();
        let same = |entry: &Entry| matches!(entry, Entry::Assignment(a) if a.user_id == user_id && a.scope.as_ref() == Some(&scope));
        let source_version = i64::try_from(self.log().iter().filter(|entry| same(entry)).count()).unwrap_or(i64::MAX) + 1;
        self.push(Entry::Assignment(Assignment { user_id, scope: Some(scope), role: role.into(), source_version, system_admin }));
    }

    /// What came after `position`, and the head it leads to.
    fn after(&self, position: i64) -> (Vec<Entry>, i64) {
        let log = self.log();
        let from = usize::try_from(position).unwrap_or(usize::MAX).min(log.len());
        (log[from..].to_vec(), i64::try_from(log.len()).unwrap_or(i64::MAX))
    }

    /// The assignments and workspaces that hold now.
    fn snapshot(&self) -> (Vec<Assignment>, Vec<WorkspaceRef>, i64) {
        let (entries, position) = self.after(0);
        let (mut assignments, mut workspaces) = (BTreeMap::new(), Vec::new());
        for entry in entries {
            match entry {
                Entry::Assignment(assignment) => {
                    let scope = assignment.scope.clone().unwrap_or_default();
                    assignments.insert((assignment.user_id.clone(), scope.organization_id, scope.workspace_id), assignment);
                }
                Entry::Workspace(workspace) => workspaces.push(workspace),
                Entry::Revocation(_) => {}
            }
        }
        let held = assignments.into_values().filter(|assignment| assignment.role() != BaseRole::Unspecified).collect();
        (held, workspaces, position)
    }
}

/// A fresh id, for whoever needs one in a test.
pub fn fresh<T: From<Uuid>>() -> T {
    runtime::Ids::system().next_id()
}
