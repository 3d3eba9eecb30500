//! Questions of callers, and the answers: the embedded engine asked on somebody's behalf.
//!
//! A question is about a subject and not about a token: a token that is narrowed to one workspace may ask about another one.
//!
//! Deliberately absent: SQL. An answer is computed from this process' own snapshot, which is fed from our tables (`replication`).

pub mod convert;
pub mod grpc;
pub mod ops;

use std::time::Duration;

use contract::authorization::v1::RoleTier;
use contract::{BaseRole, Permission, Reach};
use runtime::{UserId, WorkspaceId};

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The subject; `None` for the caller.
    pub user_id: Option<UserId>,
    /// What is to be done.
    pub permission: Permission,
    /// Where; `None` for the organization itself.
    pub workspace_id: Option<WorkspaceId>,
    /// Who created the resource.
    pub owner_id: Option<UserId>,
    /// To whom the resource is assigned.
    pub assignee_ids: Vec<UserId>,
}

/// Something that is true at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<T> {
    /// What is true.
    pub value: T,
    /// The position in our log that it is true at.
    pub revision: i64,
    /// How long ago the snapshot was last known to be current.
    pub staleness: Duration,
}

/// A built-in role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Where it is held.
    pub tier: RoleTier,
    /// Which.
    pub role: BaseRole,
    /// What it holds, by name.
    pub permissions: Vec<(Permission, Reach)>,
}

/// The built-in roles, from the highest tier and role to the lowest.
pub fn roles() -> Vec<Role> {
    let tiers = [RoleTier::Organization, RoleTier::Workspace];
    let held = tiers.into_iter().flat_map(|tier| authz::ROLES.map(|role| (tier, role)));
    let all = [(RoleTier::System, BaseRole::Admin)].into_iter().chain(held);
    all.map(|(tier, role)| Role { tier, role, permissions: authz::role_grants(tier, role).collect() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_go_from_the_highest_to_the_lowest() {
        let named: Vec<_> = roles().into_iter().map(|role| (role.tier, role.role)).collect();
        assert_eq!(named.len(), 9);
        assert_eq!(named[0], (RoleTier::System, BaseRole::Admin));
        assert_eq!(named[1], (RoleTier::Organization, BaseRole::Owner));
        assert_eq!(named[8], (RoleTier::Workspace, BaseRole::Viewer));
    }

    #[test]
    fn a_system_admin_holds_every_permission_of_the_catalogue() {
        let held: Vec<Permission> = roles().remove(0).permissions.into_iter().map(|(permission, _)| permission).collect();
        assert_eq!(held, Permission::ALL);
    }
}
