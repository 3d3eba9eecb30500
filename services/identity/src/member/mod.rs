//! Members of organizations and of workspaces, with their base roles. The two differ in where their rows lie and in two rules (an organization
//! keeps an owner; a workspace's members are its organization's), so they share one implementation; [`Place`] says which is meant.
//!
//! Deliberately absent: what a role may do (authorization), invitations (`invitation`), and leaving of one's own accord.

pub mod convert;
pub mod ops;
pub mod organization_grpc;
pub mod store;
pub mod workspace_grpc;

use runtime::{OrganizationId, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::error::Error;

/// A base role, each above the one before. As in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type)]
#[repr(i16)]
pub enum Role {
    /// Reads.
    Viewer = 1,
    /// Reads and works.
    Member = 2,
    /// Also manages people and settings.
    Admin = 3,
    /// Also owns.
    Owner = 4,
}

/// Where somebody is a member: in the organization of the call, or in a workspace of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The organization itself.
    Organization,
    /// One of its workspaces.
    Workspace(WorkspaceId),
}

/// A user's place in an organization or a workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The organization.
    pub organization_id: OrganizationId,
    /// The workspace; `None` for the organization itself.
    pub workspace_id: Option<WorkspaceId>,
    /// The user.
    pub user_id: UserId,
    /// The base role.
    pub role: Role,
    /// Grows by one with every change, over removal and re-adding too; the etag.
    pub version: i64,
    /// Since when.
    pub create_time: OffsetDateTime,
    /// When it was last changed.
    pub update_time: OffsetDateTime,
}

impl Role {
    /// For display: in an organization.
    pub fn in_organization(self) -> &'static str {
        match self {
            Role::Viewer => "organization.viewer",
            Role::Member => "organization.member",
            Role::Admin => "organization.admin",
            Role::Owner => "organization.owner",
        }
    }

    /// For display: in a workspace.
    pub fn in_workspace(self) -> &'static str {
        match self {
            Role::Viewer => "workspace.viewer",
            Role::Member => "workspace.member",
            Role::Admin => "workspace.admin",
            Role::Owner => "workspace.owner",
        }
    }
}

impl Place {
    /// The workspace, if it is one.
    pub fn workspace_id(self) -> Option<WorkspaceId> {
        match self {
            Place::Organization => None,
            Place::Workspace(id) => Some(id),
        }
    }
}

impl Member {
    /// What names the member in events: `<organization or workspace>/<user>`.
    pub fn key(&self) -> String {
        match self.workspace_id {
            Some(workspace_id) => format!("{workspace_id}/{}", self.user_id),
            None => format!("{}/{}", self.organization_id, self.user_id),
        }
    }

    /// Where the member is one.
    pub fn place(&self) -> Place {
        self.workspace_id.map_or(Place::Organization, Place::Workspace)
    }

    /// The member with another role.
    pub fn with_role(&self, role: Role, now: OffsetDateTime) -> Self {
        Member { role, version: self.version + 1, update_time: now, ..self.clone() }
    }

    /// Refuses unless `etag` is empty or that of this version.
    ///
    /// # Errors
    /// `ETAG_MISMATCH`.
    pub fn require_etag(&self, etag: &str) -> Result<(), rpc::Error> {
        if etag.is_empty() || etag == self.version.to_string() { Ok(()) } else { Err(rpc::Error::EtagMismatch) }
    }
}

/// Nobody gives or takes a role above their own. `own` is the caller's role at the place, `None` for none at all.
///
/// # Errors
/// `ROLE_ABOVE_OWN`.
pub fn require_rank(own: Option<Role>, roles: &[Role]) -> Result<(), Error> {
    if roles.iter().all(|role| Some(*role) <= own) { Ok(()) } else { Err(Error::RoleAboveOwn) }
}

/// An organization keeps at least one owner. `owners` is how many it has; `after` is the member's role afterwards, `None` for removal.
///
/// # Errors
/// `LAST_OWNER`.
pub fn require_owner_left(before: &Member, after: Option<Role>, owners: i64) -> Result<(), Error> {
    let gives_up = before.place() == Place::Organization && before.role == Role::Owner && after != Some(Role::Owner);
    if gives_up && owners <= 1 { Err(Error::LastOwner) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const ROLES: [Role; 4] = [Role::Viewer, Role::Member, Role::Admin, Role::Owner];

    fn member(place: Place, role: Role) -> Member {
        let (organization_id, user_id) = (Uuid::from_u128(1).into(), Uuid::from_u128(2).into());
        let now = OffsetDateTime::UNIX_EPOCH;
        Member { organization_id, workspace_id: place.workspace_id(), user_id, role, version: 3, create_time: now, update_time: now }
    }

    #[test]
    fn a_role_reaches_up_to_itself() {
        for own in ROLES {
            for role in ROLES {
                assert_eq!(require_rank(Some(own), &[role]).is_ok(), role <= own, "{own:?} gives {role:?}");
            }
        }
        assert!(require_rank(None, &[Role::Viewer]).is_err(), "who has none gives none");
        assert!(require_rank(Some(Role::Admin), &[Role::Member, Role::Owner]).is_err(), "neither the old nor the new role may be above");
    }

    #[test]
    fn only_the_last_owner_of_an_organization_is_kept() {
        let owner = member(Place::Organization, Role::Owner);
        assert!(require_owner_left(&owner, None, 1).is_err());
        assert!(require_owner_left(&owner, Some(Role::Admin), 1).is_err());
        assert!(require_owner_left(&owner, Some(Role::Owner), 1).is_ok(), "nothing is given up");
        assert!(require_owner_left(&owner, None, 2).is_ok());
        assert!(require_owner_left(&member(Place::Organization, Role::Admin), None, 1).is_ok());
        let workspace = Place::Workspace(Uuid::from_u128(4).into());
        assert!(require_owner_left(&member(workspace, Role::Owner), None, 1).is_ok(), "owners of the organization own it too");
    }

    #[test]
    fn an_etag_is_that_of_the_version_or_none_at_all() {
        let member = member(Place::Organization, Role::Viewer);
        assert!(member.require_etag("").is_ok() && member.require_etag("3").is_ok());
        assert!(member.require_etag("2").is_err() && member.require_etag("03").is_err());
        assert!(member.with_role(Role::Admin, member.create_time).require_etag("3").is_err());
    }

    /// What a caller does to a member of an organization.
    #[derive(Clone, Debug)]
    enum Act {
        Set(usize, Role),
        Remove(usize),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let role = prop::sample::select(ROLES.to_vec());
        prop::collection::vec(
            prop_oneof![(0..4_usize, role).prop_map(|(who, role)| Act::Set(who, role)), (0..4_usize).prop_map(Act::Remove)],
            0..60,
        )
    }

    proptest! {
        #[test]
        fn whatever_is_done_an_owner_is_left(acts in acts()) {
            let mut members = [Some(member(Place::Organization, Role::Owner)), Some(member(Place::Organization, Role::Owner)), None, None];
            for act in acts {
                let owners = members.iter().flatten().filter(|member| member.role == Role::Owner).count() as i64;
                let (who, after) = match act { Act::Set(who, role) => (who, Some(role)), Act::Remove(who) => (who, None) };
                let allowed = members[who].as_ref().is_none_or(|before| require_owner_left(before, after, owners).is_ok());
                if allowed {
                    members[who] = after.map(|role| member(Place::Organization, role));
                }
                prop_assert!(members.iter().flatten().any(|member| member.role == Role::Owner));
            }
        }
    }
}
