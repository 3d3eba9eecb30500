//! Identity's events to assignments, assignments to the contract.

use authz::RoleScope;
use contract::BaseRole;
use contract::authorization::v1::{self as pb, AssignmentChanged};
use contract::identity::v1::{OrganizationMember, SystemRole, User, WorkspaceMember};
use events::Outcome;
use runtime::OrganizationId;

use super::Assignment;

/// What a membership of an organization says, told at `source_position`.
///
/// # Errors
/// [`Outcome::Poison`] when an id or the role is none.
pub fn of_organization_member(member: &OrganizationMember, source_position: i64) -> Result<Assignment, Outcome> {
    let scope = RoleScope::Organization(tenant(&member.organization_id)?);
    assigned(&member.user_id, scope, member.role(), member.version, source_position)
}

/// As [`of_organization_member`], of a workspace.
///
/// # Errors
/// [`Outcome::Poison`] when an id or the role is none.
pub fn of_workspace_member(member: &WorkspaceMember, source_position: i64) -> Result<Assignment, Outcome> {
    let scope = RoleScope::Workspace(tenant(&member.organization_id)?, id(&member.workspace_id, "workspace_id")?);
    assigned(&member.user_id, scope, member.role(), member.version, source_position)
}

/// What a user's system role says. Users carry no version; the position in identity's log takes its place.
///
/// # Errors
/// [`Outcome::Poison`] when the id is none.
pub fn of_user(user: &User, source_position: i64) -> Result<Assignment, Outcome> {
    let role = (user.system_role() == SystemRole::Admin).then_some(BaseRole::Owner);
    let user_id = id(&user.user_id, "user_id")?;
    Ok(Assignment { user_id, scope: RoleScope::System, role, source_version: source_position, source_position })
}

/// The end of a membership, told by what it was before.
pub fn removed(before: Assignment) -> Assignment {
    Assignment { role: None, source_version: before.source_version + 1, ..before }
}

/// The event of one change. Roles that were or are not held are absent.
pub fn changed(before: Option<Assignment>, after: Assignment) -> AssignmentChanged {
    let held = |assignment: Assignment| assignment.role.map(|_| wire(assignment));
    AssignmentChanged { assignment_key: key(&after), before: before.and_then(held), after: held(after) }
}

/// What an authorizer is told of one change: the assignment after it or, when there is none, that the one before ended.
pub fn delta(event: AssignmentChanged) -> Option<pb::Assignment> {
    let ended =
        |before: pb::Assignment| pb::Assignment { role: BaseRole::Unspecified.into(), source_version: before.source_version + 1, ..before };
    event.after.or(event.before.map(ended))
}

fn wire(assignment: Assignment) -> pb::Assignment {
    let Assignment { user_id, scope, role, source_version, .. } = assignment;
    authz::Assignment { user: user_id, scope, role, version: source_version }.into()
}

/// `<user>/<organization>/<workspace>`, with empty parts for wider scopes.
fn key(assignment: &Assignment) -> String {
    let user = assignment.user_id;
    match assignment.scope {
        RoleScope::System => format!("{user}//"),
        RoleScope::Organization(organization) => format!("{user}/{organization}/"),
        RoleScope::Workspace(organization, workspace) => format!("{user}/{organization}/{workspace}"),
    }
}

fn assigned(user_id: &str, scope: RoleScope, role: BaseRole, source_version: i64, source_position: i64) -> Result<Assignment, Outcome> {
    if role == BaseRole::Unspecified {
        return Err(Outcome::Poison("the member has no role".to_owned()));
    }
    Ok(Assignment { user_id: id(user_id, "user_id")?, scope, role: Some(role), source_version, source_position })
}

/// The organization of a membership, which is never the system organization.
pub fn tenant(text: &str) -> Result<OrganizationId, Outcome> {
    let organization: OrganizationId = id(text, "organization_id")?;
    if organization.is_nil() { Err(Outcome::Poison("the organization is nil".to_owned())) } else { Ok(organization) }
}

/// The id in `field` of an event.
pub fn id<T: std::str::FromStr>(text: &str, field: &'static str) -> Result<T, Outcome> {
    text.parse().map_err(|_| Outcome::Poison(format!("{field} is no UUID")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const ORGANIZATION: &str = "01890a5d-ac96-774b-bcce-b302099a8001";
    const WORKSPACE: &str = "01890a5d-ac96-774b-bcce-b302099a8002";
    const USER: &str = "01890a5d-ac96-774b-bcce-b302099a8003";

    fn member(role: BaseRole) -> WorkspaceMember {
        WorkspaceMember {
            organization_id: ORGANIZATION.into(),
            workspace_id: WORKSPACE.into(),
            user_id: USER.into(),
            role: role.into(),
            version: 3,
            ..Default::default()
        }
    }

    #[test]
    fn a_membership_of_a_workspace_becomes_a_role_there() {
        let assignment = of_workspace_member(&member(BaseRole::Admin), 40).unwrap();
        assert_eq!(assignment.scope, RoleScope::Workspace(ORGANIZATION.parse().unwrap(), WORKSPACE.parse().unwrap()));
        assert_eq!((assignment.role, assignment.source_version, assignment.source_position), (Some(BaseRole::Admin), 3, 40));
        assert_eq!(changed(None, assignment).assignment_key, format!("{USER}/{ORGANIZATION}/{WORKSPACE}"));
    }

    #[test]
    fn a_member_without_a_role_or_with_a_broken_id_is_poison() {
        assert!(matches!(of_workspace_member(&member(BaseRole::Unspecified), 1), Err(Outcome::Poison(_))));
        let stray = WorkspaceMember { workspace_id: "attic".into(), ..member(BaseRole::Admin) };
        assert!(matches!(of_workspace_member(&stray, 1), Err(Outcome::Poison(cause)) if !cause.contains("attic")));
        let nowhere = WorkspaceMember { organization_id: Uuid::nil().to_string(), ..member(BaseRole::Admin) };
        assert!(matches!(of_workspace_member(&nowhere, 1), Err(Outcome::Poison(_))));
    }

    #[test]
    fn an_authorizer_hears_of_a_removal_at_the_version_of_the_stored_row() {
        let held = of_workspace_member(&member(BaseRole::Owner), 40).unwrap();
        let gone = held.after(Assignment { source_position: 41, ..removed(held) }).unwrap();
        let told = authz::Assignment::try_from(delta(changed(Some(held), gone)).unwrap()).unwrap();
        assert_eq!(told, authz::Assignment { user: held.user_id, scope: held.scope, role: None, version: gone.source_version });
    }

    #[test]
    fn an_admin_of_the_system_stands_in_no_organization() {
        let user = User { user_id: USER.into(), system_role: SystemRole::Admin.into(), ..User::default() };
        let assignment = of_user(&user, 5).unwrap();
        assert_eq!((assignment.scope, assignment.organization_id()), (RoleScope::System, OrganizationId::SYSTEM));
        assert_eq!(changed(None, assignment).assignment_key, format!("{USER}//"));
        let plain = User { system_role: SystemRole::User.into(), ..user };
        assert_eq!(of_user(&plain, 6).unwrap().role, None);
    }
}
