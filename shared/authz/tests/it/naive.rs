//! The rules of design.md section 3, Decisions and Roles, in the plainest words: lists, searched from the front for every question.
//!
//! Deliberately absent: anything of the engine but its value types.

use authz::{Assignment, Decision, Query, RoleScope, Workspace, Workspaces};
use contract::authorization::v1::{DecisionCause, RoleTier};
use contract::{BaseRole, Permission, Reach, Scope};
use runtime::{OrganizationId, UserId, WorkspaceId};

/// All that happened, in the order it was told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Naive {
    pub(crate) assignments: Vec<Assignment>,
    pub(crate) workspaces: Vec<Workspace>,
}

impl Naive {
    fn role(&self, user: UserId, scope: RoleScope) -> Option<BaseRole> {
        let told = self.assignments.iter().filter(|assignment| assignment.user == user && assignment.scope == scope);
        told.max_by_key(|assignment| assignment.version).and_then(|assignment| assignment.role)
    }

    fn exists(&self, organization: OrganizationId, workspace: WorkspaceId) -> bool {
        let listed = self.workspaces.iter().any(|known| known.organization == organization && known.workspace == workspace);
        listed || self.assignments.iter().any(|assignment| assignment.scope == RoleScope::Workspace(organization, workspace))
    }

    /// The furthest reach that a role held in a tier has with a permission.
    fn reach(tier: RoleTier, role: BaseRole, permission: Permission) -> Option<Reach> {
        let held_there = match permission.scope() {
            Scope::Workspace => true,
            Scope::Organization => tier == RoleTier::Organization,
            _ => false,
        };
        let granted = permission.grants().iter().filter(|(lowest, _)| role as i32 >= *lowest as i32).map(|(_, reach)| *reach);
        if held_there { granted.max() } else { None }
    }

    pub(crate) fn check(&self, query: &Query<'_>) -> Decision {
        let denied = |cause| Decision { allowed: false, cause, role: None };
        if query.workspace.is_some_and(|workspace| !self.exists(query.organization, workspace)) {
            return denied(DecisionCause::NoRole);
        }
        if self.role(query.user, RoleScope::System).is_some() {
            return Decision { allowed: true, cause: DecisionCause::SystemRole, role: Some((RoleTier::System, BaseRole::Admin)) };
        }
        let wide = self.role(query.user, RoleScope::Organization(query.organization)).map(|role| (RoleTier::Organization, role));
        let there = query.workspace.map(|workspace| RoleScope::Workspace(query.organization, workspace));
        let narrow = there.and_then(|scope| self.role(query.user, scope)).map(|role| (RoleTier::Workspace, role));
        let roles: Vec<_> = [wide, narrow].into_iter().flatten().collect();
        if roles.is_empty() {
            return denied(DecisionCause::NoRole);
        }
        let mut best: Option<(Reach, (RoleTier, BaseRole))> = None;
        for (tier, role) in roles {
            if let Some(reach) = Self::reach(tier, role, query.permission)
                && best.is_none_or(|(furthest, _)| reach > furthest)
            {
                best = Some((reach, (tier, role)));
            }
        }
        let owner = query.resource.owner == Some(query.user);
        let assigned = query.resource.assignees.contains(&query.user);
        match best {
            Some((Reach::Any, role)) => Decision { allowed: true, cause: DecisionCause::Role, role: Some(role) },
            Some((_, role)) if owner => Decision { allowed: true, cause: DecisionCause::Own, role: Some(role) },
            Some((Reach::Assigned, role)) if assigned => Decision { allowed: true, cause: DecisionCause::Assigned, role: Some(role) },
            _ => denied(DecisionCause::NotHeld),
        }
    }

    pub(crate) fn workspaces(&self, user: UserId, organization: OrganizationId) -> Workspaces {
        let wide = self.role(user, RoleScope::Organization(organization)).or(self.role(user, RoleScope::System));
        if wide.is_some() {
            return Workspaces::All;
        }
        let mut these: Vec<WorkspaceId> = self
            .assignments
            .iter()
            .filter_map(|a| match a.scope {
                RoleScope::Workspace(of, workspace) if of == organization && self.role(user, a.scope).is_some() => Some(workspace),
                _ => None,
            })
            .collect();
        these.sort();
        these.dedup();
        Workspaces::These(these)
    }
}
