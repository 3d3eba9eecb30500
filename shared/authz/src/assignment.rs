//! Who holds which role where: the engine's input, and how it is read from the wire.
//!
//! Deliberately absent: where it comes from (`replicate`) and what it amounts to (`snapshot`).

use contract::BaseRole;
use contract::authorization::v1 as pb;
use runtime::{OrganizationId, UserId, WorkspaceId};

/// Where a role is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleScope {
    /// Across organizations.
    System,
    /// In an organization and all its workspaces.
    Organization(OrganizationId),
    /// In one workspace of an organization.
    Workspace(OrganizationId, WorkspaceId),
}

/// The role of one user at one scope, at one version. At most one holds for a user and a scope: a higher version replaces a lower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Whose.
    pub user: UserId,
    /// Where.
    pub scope: RoleScope,
    /// Which; `None` when it was taken away. In the system tier any role means system admin.
    pub role: Option<BaseRole>,
    /// Grows with every change of this user's role at this scope.
    pub version: i64,
}

/// A workspace that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workspace {
    /// Its organization.
    pub organization: OrganizationId,
    /// The workspace.
    pub workspace: WorkspaceId,
}

/// What changed between two revisions, in the order it happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Roles given, changed or taken away.
    pub assignments: Vec<Assignment>,
    /// Workspaces that came to be.
    pub workspaces: Vec<Workspace>,
}

/// The peer sent an assignment or a workspace that can't be read. Skipping it could leave a removed role in force, so nothing is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the field {0} of a replicated message is not what it must be")]
pub struct Malformed(pub(crate) &'static str);

impl TryFrom<pb::Assignment> for Assignment {
    type Error = Malformed;

    fn try_from(assignment: pb::Assignment) -> Result<Self, Malformed> {
        let scope = assignment.scope.as_ref().ok_or(Malformed("scope"))?;
        let scope = match (assignment.system_admin, scope.organization_id.as_str(), scope.workspace_id.as_str()) {
            (true, "", "") => RoleScope::System,
            (true, ..) => return Err(Malformed("system_admin")),
            (false, organization, "") => RoleScope::Organization(tenant(organization)?),
            (false, organization, workspace) => RoleScope::Workspace(tenant(organization)?, id(workspace, "workspace_id")?),
        };
        // A role that a newer peer knows and this process doesn't is no role.
        let role = Some(assignment.role()).filter(|role| *role != BaseRole::Unspecified);
        Ok(Self { user: id(&assignment.user_id, "user_id")?, scope, role, version: assignment.source_version })
    }
}

impl From<Assignment> for pb::Assignment {
    fn from(assignment: Assignment) -> Self {
        let scope = match assignment.scope {
            RoleScope::System => pb::RoleScope::default(),
            RoleScope::Organization(organization) => pb::RoleScope { organization_id: organization.into(), ..Default::default() },
            RoleScope::Workspace(organization, workspace) => {
                pb::RoleScope { organization_id: organization.into(), workspace_id: workspace.into() }
            }
        };
        Self {
            user_id: assignment.user.into(),
            scope: Some(scope),
            role: assignment.role.unwrap_or(BaseRole::Unspecified).into(),
            source_version: assignment.version,
            system_admin: assignment.scope == RoleScope::System,
        }
    }
}

impl TryFrom<pb::WorkspaceRef> for Workspace {
    type Error = Malformed;

    fn try_from(workspace: pb::WorkspaceRef) -> Result<Self, Malformed> {
        Ok(Self { organization: tenant(&workspace.organization_id)?, workspace: id(&workspace.workspace_id, "workspace_id")? })
    }
}

impl From<Workspace> for pb::WorkspaceRef {
    fn from(workspace: Workspace) -> Self {
        Self { organization_id: workspace.organization.into(), workspace_id: workspace.workspace.into() }
    }
}

impl Delta {
    /// Reads what a replication message carries.
    ///
    /// # Errors
    /// [`Malformed`], for the first part that can't be read.
    pub fn read(assignments: Vec<pb::Assignment>, workspaces: Vec<pb::WorkspaceRef>) -> Result<Self, Malformed> {
        Ok(Self {
            assignments: assignments.into_iter().map(Assignment::try_from).collect::<Result<_, _>>()?,
            workspaces: workspaces.into_iter().map(Workspace::try_from).collect::<Result<_, _>>()?,
        })
    }
}

fn id<T: std::str::FromStr>(text: &str, field: &'static str) -> Result<T, Malformed> {
    text.parse().map_err(|_| Malformed(field))
}

/// Roles are held in real organizations: the system organization has the system tier instead.
fn tenant(text: &str) -> Result<OrganizationId, Malformed> {
    id(text, "organization_id").and_then(|id: OrganizationId| if id.is_nil() { Err(Malformed("organization_id")) } else { Ok(id) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use runtime::Ids;

    fn next<T: From<uuid::Uuid>>() -> T {
        Ids::system().next_id()
    }

    #[test]
    fn assignments_of_every_tier_survive_the_wire() {
        let organization = next();
        for scope in [RoleScope::System, RoleScope::Organization(organization), RoleScope::Workspace(organization, next())] {
            for role in [None, Some(BaseRole::Viewer), Some(BaseRole::Owner)] {
                let assignment = Assignment { user: next(), scope, role, version: 7 };
                assert_eq!(Assignment::try_from(pb::Assignment::from(assignment)), Ok(assignment));
            }
        }
    }

    #[test]
    fn a_role_in_the_system_organization_is_refused() {
        let assignment =
            Assignment { user: next(), scope: RoleScope::Organization(OrganizationId::SYSTEM), role: Some(BaseRole::Owner), version: 1 };
        assert_eq!(Assignment::try_from(pb::Assignment::from(assignment)), Err(Malformed("organization_id")));
    }

    #[test]
    fn system_admin_beside_an_organization_is_refused() {
        let assignment = Assignment { user: next(), scope: RoleScope::Organization(next()), role: Some(BaseRole::Viewer), version: 1 };
        let forged = pb::Assignment { system_admin: true, ..assignment.into() };
        assert_eq!(Assignment::try_from(forged), Err(Malformed("system_admin")));
    }

    #[test]
    fn an_unknown_role_is_no_role() {
        let assignment = Assignment { user: next(), scope: RoleScope::Organization(next()), role: Some(BaseRole::Viewer), version: 1 };
        let newer = pb::Assignment { role: 99, ..assignment.into() };
        assert_eq!(Assignment::try_from(newer), Ok(Assignment { role: None, ..assignment }));
    }
}
