//! Every assignment at one revision, and the decisions it amounts to.
//!
//! A decision is one probe for the user in the organization, one for the workspace, and a test of bits.
//!
//! Deliberately absent: change in place. A snapshot that was handed out stays as it is; [`Snapshot::after`] makes the next one and shares what
//! didn't change.

use std::sync::Arc;

use contract::authorization::v1::{DecisionCause, RoleTier};
use contract::{BaseRole, Permission, Reach};
use runtime::{OrganizationId, UserId, WorkspaceId};
use smallvec::SmallVec;

use crate::map::{IdMap, Map};
use crate::roles;
use crate::{Assignment, Decision, Delta, Held, Query, RoleScope, Workspaces};

/// All roles of all users at one revision.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    revision: i64,
    admins: Arc<IdMap<UserId, Slot>>,
    members: Map<(OrganizationId, UserId), Member>,
    workspaces: Map<(OrganizationId, WorkspaceId), ()>,
}

/// A role and the version it came with. A role that was taken away leaves its version behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slot {
    role: Option<BaseRole>,
    version: i64,
}

impl Slot {
    /// Takes a newer version; an older one is late news of the past.
    fn take(&mut self, assignment: &Assignment) {
        if assignment.version >= self.version {
            *self = Slot { role: assignment.role, version: assignment.version };
        }
    }
}

/// A user's roles in one organization.
#[derive(Clone, Debug, Default)]
struct Member {
    organization: Slot,
    /// By workspace id. Most have a role in one workspace of an organization: that one is read where the rest is.
    workspaces: SmallVec<[(WorkspaceId, Slot); 1]>,
}

impl Member {
    fn slot(&self, workspace: WorkspaceId) -> Option<Slot> {
        self.workspaces.binary_search_by_key(&workspace, |(id, _)| *id).ok().map(|index| self.workspaces[index].1)
    }

    fn workspace_mut(&mut self, workspace: WorkspaceId) -> &mut Slot {
        let index = match self.workspaces.binary_search_by_key(&workspace, |(id, _)| *id) {
            Ok(index) => index,
            Err(index) => {
                self.workspaces.insert(index, (workspace, Slot::default()));
                index
            }
        };
        &mut self.workspaces[index].1
    }
}

impl Snapshot {
    /// The state at `revision`, from everything that holds and, for [`version`](Self::version), what was taken away.
    pub fn of(revision: i64, everything: &Delta) -> Self {
        let mut snapshot = Self::default();
        snapshot.extend(revision, everything);
        snapshot
    }

    /// The state at `revision`, `delta` later. What didn't change is shared with this one.
    #[must_use]
    pub fn after(&self, revision: i64, delta: &Delta) -> Self {
        let mut next = self.clone();
        next.extend(revision, delta);
        next
    }

    /// Brings this state itself to `revision`: to build one from chunks, before it is handed out.
    pub fn extend(&mut self, revision: i64, delta: &Delta) {
        self.revision = revision;
        for workspace in &delta.workspaces {
            self.workspaces.entry((workspace.organization, workspace.workspace));
        }
        for assignment in &delta.assignments {
            self.assign(assignment);
        }
    }

    fn assign(&mut self, assignment: &Assignment) {
        match assignment.scope {
            RoleScope::System => Arc::make_mut(&mut self.admins).entry(assignment.user).or_default().take(assignment),
            RoleScope::Organization(organization) => self.members.entry((organization, assignment.user)).organization.take(assignment),
            RoleScope::Workspace(organization, workspace) => {
                // A role in a workspace says that there is one: the two pieces of news may come in either order.
                self.workspaces.entry((organization, workspace));
                self.members.entry((organization, assignment.user)).workspace_mut(workspace).take(assignment);
            }
        }
    }

    /// The position in the authorization service's log that this state is true at.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Whether, and how far, `user` holds `permission` at the scope. A workspace that is not of `organization` is not known, to nobody.
    pub fn reach(&self, user: UserId, permission: Permission, organization: OrganizationId, workspace: Option<WorkspaceId>) -> Held {
        // Both probes before either is looked at: they wait for memory together.
        let member = self.members.get(&(organization, user));
        if workspace.is_some_and(|workspace| !self.has_workspace(organization, workspace)) {
            return Held::No { knows_scope: false };
        }
        let slot = member.zip(workspace).and_then(|(member, workspace)| member.slot(workspace));
        if self.is_system_admin(user) {
            let role = (RoleTier::System, BaseRole::Admin);
            return Held::Yes { reach: Reach::Any, cause: DecisionCause::SystemRole, role };
        }
        let wide = member.and_then(|member| member.organization.role).map(|role| (RoleTier::Organization, role));
        let narrow = slot.and_then(|slot| slot.role).map(|role| (RoleTier::Workspace, role));
        let held = |(tier, role)| roles::reach(tier, role, permission).map(|reach| (reach, (tier, role)));
        match (wide.and_then(held), narrow.and_then(held)) {
            (None, None) => Held::No { knows_scope: wide.is_some() || narrow.is_some() },
            (Some((reach, role)), None) | (None, Some((reach, role))) => Held::Yes { reach, cause: DecisionCause::Role, role },
            (Some(wide), Some(narrow)) => {
                let (reach, role) = if narrow.0 > wide.0 { narrow } else { wide };
                Held::Yes { reach, cause: DecisionCause::Role, role }
            }
        }
    }

    /// Decides.
    pub fn check(&self, query: &Query<'_>) -> Decision {
        Decision::of(self.reach(query.user, query.permission, query.organization, query.workspace), query.user, query.resource)
    }

    /// Everything that `user` holds at the scope, by name.
    pub fn permissions(&self, user: UserId, organization: OrganizationId, workspace: Option<WorkspaceId>) -> Vec<(Permission, Reach)> {
        let held = |&permission: &Permission| match self.reach(user, permission, organization, workspace) {
            Held::Yes { reach, .. } => Some((permission, reach)),
            Held::No { .. } => None,
        };
        Permission::ALL.iter().filter_map(held).collect()
    }

    /// The workspaces of `organization` that some role of `user` reaches.
    pub fn workspaces(&self, user: UserId, organization: OrganizationId) -> Workspaces {
        if self.is_system_admin(user) {
            return Workspaces::All;
        }
        let Some(member) = self.members.get(&(organization, user)) else { return Workspaces::These(Vec::new()) };
        if member.organization.role.is_some() {
            return Workspaces::All;
        }
        Workspaces::These(member.workspaces.iter().filter(|(_, slot)| slot.role.is_some()).map(|(id, _)| *id).collect())
    }

    /// Whether `workspace` is one of `organization`.
    pub fn has_workspace(&self, organization: OrganizationId, workspace: WorkspaceId) -> bool {
        self.workspaces.get(&(organization, workspace)).is_some()
    }

    /// The role that `user` holds in the organization itself.
    pub fn organization_role(&self, user: UserId, organization: OrganizationId) -> Option<BaseRole> {
        self.members.get(&(organization, user))?.organization.role
    }

    /// The role that `user` holds in the workspace itself; one that cascades from the organization is not counted.
    pub fn workspace_role(&self, user: UserId, organization: OrganizationId, workspace: WorkspaceId) -> Option<BaseRole> {
        self.members.get(&(organization, user))?.slot(workspace)?.role
    }

    /// Whether `user` is a system admin.
    pub fn is_system_admin(&self, user: UserId) -> bool {
        self.admins.get(&user).is_some_and(|slot| slot.role.is_some())
    }

    /// The version of the user's role at the scope, also of one that was taken away; 0 when none is known. The system organization stands for
    /// the system tier.
    pub fn version(&self, user: UserId, organization: OrganizationId, workspace: Option<WorkspaceId>) -> i64 {
        if organization == OrganizationId::SYSTEM {
            return self.admins.get(&user).map_or(0, |slot| slot.version);
        }
        let Some(member) = self.members.get(&(organization, user)) else { return 0 };
        workspace.map_or(Some(member.organization), |workspace| member.slot(workspace)).map_or(0, |slot| slot.version)
    }

    /// How many users of organizations and how many workspaces there are, for metrics.
    pub fn size(&self) -> (usize, usize) {
        (self.members.len(), self.workspaces.len())
    }
}
