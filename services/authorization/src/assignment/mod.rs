//! The role of a user at a scope, as identity's log tells it, and what one more event makes of it.
//!
//! Deliberately absent: what a role holds (`authz`), and any way to give a role here. Identity owns membership; this is its projection.
//!
//! Why the position in identity's log orders the events and not the membership's version: a member who is removed and added again may begin a
//! new row of versions, but the log has one row of positions.

pub mod convert;
pub mod ops;
pub mod rebuild;
pub mod store;

use authz::RoleScope;
use contract::BaseRole;
use runtime::{OrganizationId, UserId, WorkspaceId};

/// A row of `authz.assignment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Whose.
    pub user_id: UserId,
    /// Where.
    pub scope: RoleScope,
    /// Which; `None` when it was taken away. In the system tier OWNER.
    pub role: Option<BaseRole>,
    /// The version of the membership. It only grows.
    pub source_version: i64,
    /// The position in identity's log of the event that says so.
    pub source_position: i64,
}

impl Assignment {
    /// The organization whose row this is; the system organization for the system tier.
    pub fn organization_id(&self) -> OrganizationId {
        match self.scope {
            RoleScope::System => OrganizationId::SYSTEM,
            RoleScope::Organization(organization_id) | RoleScope::Workspace(organization_id, _) => organization_id,
        }
    }

    /// The workspace, or nil for the wider scopes.
    pub fn workspace_id(&self) -> WorkspaceId {
        match self.scope {
            RoleScope::System | RoleScope::Organization(_) => WorkspaceId::nil(),
            RoleScope::Workspace(_, workspace_id) => workspace_id,
        }
    }

    /// The row that follows `self` when identity tells `news` of the same user and scope; `None` when that is known already or past.
    ///
    /// Versions grow also when those of the news don't. A removal counts as the version after the one that it removes, so that whoever sees
    /// the row before can name it.
    #[must_use]
    pub fn after(self, news: Self) -> Option<Self> {
        if news.source_position <= self.source_position {
            return None;
        }
        let source_version = match (self.role, news.role) {
            (_, Some(_)) => news.source_version.max(self.source_version + 1),
            (Some(_), None) => self.source_version + 1,
            (None, None) => self.source_version,
        };
        Some(Self { source_version, ..news })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn told(role: Option<BaseRole>, source_version: i64, source_position: i64) -> Assignment {
        let scope = RoleScope::Organization(Uuid::from_u128(1).into());
        Assignment { user_id: Uuid::from_u128(2).into(), scope, role, source_version, source_position }
    }

    const VIEWER: Option<BaseRole> = Some(BaseRole::Viewer);
    const OWNER: Option<BaseRole> = Some(BaseRole::Owner);

    #[test]
    fn an_event_that_is_known_or_past_changes_nothing() {
        let held = told(OWNER, 3, 30);
        assert_eq!(held.after(told(VIEWER, 3, 30)), None);
        assert_eq!(held.after(told(VIEWER, 9, 29)), None);
    }

    #[test]
    fn a_change_brings_its_role_and_version() {
        assert_eq!(told(VIEWER, 3, 30).after(told(OWNER, 4, 31)), Some(told(OWNER, 4, 31)));
        assert_eq!(told(VIEWER, 3, 30).after(told(OWNER, 7, 31)), Some(told(OWNER, 7, 31)), "also after events that were given up on");
    }

    #[test]
    fn a_removal_is_the_next_version_and_a_second_one_is_none() {
        let removed = told(OWNER, 3, 30).after(told(None, 4, 31)).unwrap();
        assert_eq!(removed, told(None, 4, 31));
        assert_eq!(removed.after(told(None, 4, 40)), Some(told(None, 4, 40)));
    }

    #[test]
    fn a_member_who_is_added_again_goes_on_from_the_version_of_the_removal() {
        assert_eq!(told(None, 4, 31).after(told(VIEWER, 1, 32)), Some(told(VIEWER, 5, 32)));
    }

    proptest! {
        #[test]
        fn any_order_with_repeats_ends_in_the_newest_event(roles in prop::collection::vec(prop::option::of(0..4_usize), 1..8), picks in prop::collection::vec(any::<prop::sample::Index>(), 0..16)) {
            let news: Vec<Assignment> = roles.iter().enumerate().map(|(n, role)| {
                let role = role.map(|index| authz::ROLES[index]);
                told(role, n as i64 + 1, n as i64 + 1)
            }).collect();
            let newest = *news.last().unwrap();
            let told: Vec<Assignment> = picks.iter().map(|pick| *pick.get(&news)).chain(news.iter().rev().copied()).collect();
            let held = told.into_iter().reduce(|held, next| held.after(next).unwrap_or(held)).unwrap();
            prop_assert_eq!((held.role, held.source_position), (newest.role, newest.source_position));
        }

        #[test]
        fn versions_never_fall(version in 1..9_i64, next in 1..9_i64, held in prop::option::of(0..4_usize), role in prop::option::of(0..4_usize)) {
            let before = told(held.map(|index| authz::ROLES[index]), version, 1);
            let after = before.after(told(role.map(|index| authz::ROLES[index]), next, 2)).unwrap();
            prop_assert!(after.source_version >= version);
            prop_assert!(after.source_version > version || (held.is_none() && role.is_none()));
        }
    }
}
