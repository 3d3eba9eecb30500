//! What the built-in roles hold, compiled once from the contract's grants into bits.
//!
//! Three planes of bits a role and tier: a permission's bit stands in the plane of each reach that the role has at least. A permission of the
//! system scope is in no role: it takes a system admin. A permission of the organization's scope is in no role of a workspace.
//!
//! Deliberately absent: custom roles. They will be more rows of the same planes.

use std::sync::LazyLock;

use contract::authorization::v1::RoleTier;
use contract::{BaseRole, Permission, Reach, Scope};

/// The built-in roles, highest first.
pub const ROLES: [BaseRole; 4] = [BaseRole::Owner, BaseRole::Admin, BaseRole::Member, BaseRole::Viewer];

const WORDS: usize = Permission::COUNT.div_ceil(64);

/// A set of permissions.
#[derive(Clone, Copy, Debug)]
struct Set([u64; WORDS]);

impl Set {
    fn insert(&mut self, permission: Permission) {
        self.0[permission.index() / 64] |= 1 << (permission.index() % 64);
    }

    fn contains(&self, permission: Permission) -> bool {
        self.0[permission.index() / 64] >> (permission.index() % 64) & 1 == 1
    }
}

/// What one role holds in one tier: `own` contains `assigned` contains `any`.
#[derive(Clone, Copy, Debug)]
struct Planes {
    own: Set,
    assigned: Set,
    any: Set,
}

impl Planes {
    const EMPTY: Self = Self { own: Set([0; WORDS]), assigned: Set([0; WORDS]), any: Set([0; WORDS]) };

    fn reach(&self, permission: Permission) -> Option<Reach> {
        if !self.own.contains(permission) {
            None
        } else if self.any.contains(permission) {
            Some(Reach::Any)
        } else if self.assigned.contains(permission) {
            Some(Reach::Assigned)
        } else {
            Some(Reach::Own)
        }
    }

    fn insert(&mut self, permission: Permission, reach: Reach) {
        if reach >= Reach::Own {
            self.own.insert(permission);
        }
        if reach >= Reach::Assigned {
            self.assigned.insert(permission);
        }
        if reach >= Reach::Any {
            self.any.insert(permission);
        }
    }
}

/// By tier (organization, workspace) and by the number of the role (0 is UNSPECIFIED and holds nothing).
static PLANES: LazyLock<[[Planes; 5]; 2]> = LazyLock::new(|| {
    let mut planes = [[Planes::EMPTY; 5]; 2];
    for (tier, roles) in planes.iter_mut().enumerate() {
        for role in ROLES {
            for &permission in Permission::ALL.iter().filter(|permission| in_tier(tier, **permission)) {
                let granted = permission.grants().iter().filter(|(lowest, _)| *lowest <= role);
                granted.for_each(|&(_, reach)| roles[role as usize].insert(permission, reach));
            }
        }
    }
    planes
});

const ORGANIZATION: usize = 0;
const WORKSPACE: usize = 1;

fn in_tier(tier: usize, permission: Permission) -> bool {
    match permission.scope() {
        Scope::Workspace => true,
        Scope::Organization => tier == ORGANIZATION,
        Scope::System | Scope::Self_ | Scope::None | Scope::Unspecified => false,
    }
}

/// How far `role`, held in `tier`, reaches with `permission`; `None` when it doesn't hold it. In the system tier the role is not looked at.
pub(crate) fn reach(tier: RoleTier, role: BaseRole, permission: Permission) -> Option<Reach> {
    match tier {
        RoleTier::System => Some(Reach::Any),
        RoleTier::Organization => PLANES[ORGANIZATION][role as usize].reach(permission),
        RoleTier::Workspace => PLANES[WORKSPACE][role as usize].reach(permission),
        RoleTier::Unspecified => None,
    }
}

/// Everything that `role` holds in `tier`, by name.
pub fn grants(tier: RoleTier, role: BaseRole) -> impl Iterator<Item = (Permission, Reach)> {
    Permission::ALL.iter().filter_map(move |&permission| reach(tier, role, permission).map(|reach| (permission, reach)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIERS: [RoleTier; 2] = [RoleTier::Organization, RoleTier::Workspace];

    #[test]
    fn a_higher_role_reaches_at_least_as_far_with_every_permission() {
        for tier in TIERS {
            for pair in ROLES.windows(2) {
                for &permission in Permission::ALL {
                    assert!(reach(tier, pair[0], permission) >= reach(tier, pair[1], permission), "{tier:?} {pair:?} {permission}");
                }
            }
        }
    }

    #[test]
    fn bits_say_what_the_contract_grants() {
        for &permission in Permission::ALL.iter().filter(|permission| permission.scope() == Scope::Workspace) {
            for role in ROLES {
                let granted = permission.grants().iter().filter(|(lowest, _)| *lowest <= role).map(|(_, reach)| *reach).max();
                assert_eq!(reach(RoleTier::Workspace, role, permission), granted, "{role:?} {permission}");
                assert_eq!(reach(RoleTier::Organization, role, permission), granted, "{role:?} {permission}");
            }
        }
    }

    #[test]
    fn a_role_of_a_workspace_holds_nothing_of_the_organization() {
        let of_the_organization =
            grants(RoleTier::Workspace, BaseRole::Owner).filter(|(permission, _)| permission.scope() != Scope::Workspace);
        assert_eq!(of_the_organization.count(), 0);
        assert!(grants(RoleTier::Organization, BaseRole::Owner).any(|(permission, _)| permission.scope() == Scope::Organization));
    }

    #[test]
    fn only_the_system_tier_holds_permissions_of_the_system() {
        let system = |tier| grants(tier, BaseRole::Owner).filter(|(permission, _)| permission.scope() == Scope::System).count();
        assert_eq!((system(RoleTier::Organization), system(RoleTier::Workspace)), (0, 0));
        assert!(system(RoleTier::System) > 0);
    }

    #[test]
    fn no_role_at_all_holds_nothing() {
        assert!(TIERS.iter().all(|&tier| grants(tier, BaseRole::Unspecified).next().is_none()));
    }
}
