//! Authorization takes in identity's memberships and emits what they amount to: `AssignmentChanged` and `WorkspaceAdded`.

use contract::authorization::v1::{AssignmentChanged, WorkspaceAdded};
use contract::identity::v1 as identity;
use events::{Filter, Handler, Outcome, Received};

use crate::assignment::rebuild::Rebuild;
use crate::assignment::{self, convert};
use crate::workspace;

/// The consumer's name, and whose events it takes.
pub const CONSUMER: &str = "assignments";
/// See [`CONSUMER`].
pub const SOURCES: &[&str] = &["identity"];

/// The events that tell of roles and workspaces.
const WANTED: [&str; 9] = [
    "muster.identity.v1.OrganizationMemberCreated",
    "muster.identity.v1.OrganizationMemberDeleted",
    "muster.identity.v1.OrganizationMemberUpdated",
    "muster.identity.v1.UserRegistered",
    "muster.identity.v1.UserSystemRoleChanged",
    "muster.identity.v1.WorkspaceCreated",
    "muster.identity.v1.WorkspaceMemberCreated",
    "muster.identity.v1.WorkspaceMemberDeleted",
    "muster.identity.v1.WorkspaceMemberUpdated",
];

/// The events of our own log that an authorizer is fed with.
pub fn replicated() -> Filter {
    Filter::all().of_type::<AssignmentChanged>().of_type::<WorkspaceAdded>()
}

/// Takes in what identity tells of roles and workspaces; every other event passes by. Where events no longer tell, identity's list does.
pub struct Membership(pub Rebuild);

impl Handler for Membership {
    async fn handle(&self, tx: &mut db::Tx, event: &Received) -> Result<(), Outcome> {
        take(tx, event).await
    }

    async fn rebuild(&self, _source: &'static str) -> Result<(), Outcome> {
        self.0.run().await
    }

    fn wants(&self, type_name: &str) -> bool {
        WANTED.contains(&type_name)
    }
}

/// Takes in one event.
///
/// # Errors
/// [`Outcome::Poison`] when it can't be read; those of the database.
pub async fn take(tx: &mut db::Tx, event: &Received) -> Result<(), Outcome> {
    if let Some(workspace) = workspace(event)? {
        return workspace::ops::take(tx, workspace).await;
    }
    match assignment(event)? {
        Some(news) => assignment::ops::take(tx, news).await,
        None => Ok(()),
    }
}

/// The workspace that `event` tells of.
fn workspace(event: &Received) -> Result<Option<authz::Workspace>, Outcome> {
    let Some(body) = event.of::<identity::WorkspaceCreated>()? else { return Ok(None) };
    let created = there(body.after)?;
    let organization = convert::tenant(&created.organization_id)?;
    Ok(Some(authz::Workspace { organization, workspace: convert::id(&created.workspace_id, "workspace_id")? }))
}

/// The role that `event` tells of: given, changed or taken away.
fn assignment(event: &Received) -> Result<Option<assignment::Assignment>, Outcome> {
    let position = event.position();
    let organization_member = |member| convert::of_organization_member(&there(member)?, position);
    let workspace_member = |member| convert::of_workspace_member(&there(member)?, position);
    let news = if let Some(body) = event.of::<identity::OrganizationMemberCreated>()? {
        organization_member(body.after)?
    } else if let Some(body) = event.of::<identity::OrganizationMemberUpdated>()? {
        organization_member(body.after)?
    } else if let Some(body) = event.of::<identity::OrganizationMemberDeleted>()? {
        convert::removed(organization_member(body.before)?)
    } else if let Some(body) = event.of::<identity::WorkspaceMemberCreated>()? {
        workspace_member(body.after)?
    } else if let Some(body) = event.of::<identity::WorkspaceMemberUpdated>()? {
        workspace_member(body.after)?
    } else if let Some(body) = event.of::<identity::WorkspaceMemberDeleted>()? {
        convert::removed(workspace_member(body.before)?)
    } else if let Some(body) = event.of::<identity::UserSystemRoleChanged>()? {
        convert::of_user(&there(body.after)?, position)?
    } else if let Some(body) = event.of::<identity::UserRegistered>()? {
        let news = convert::of_user(&there(body.after)?, position)?;
        // Everybody registers; only an admin of the system holds a role by it.
        return Ok(news.role.map(|_| news));
    } else {
        return Ok(None);
    };
    Ok(Some(news))
}

fn there<T>(part: Option<T>) -> Result<T, Outcome> {
    part.ok_or_else(|| Outcome::Poison("the event lacks the state it tells of".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use authz::RoleScope;
    use contract::common::v1::EventEnvelope;
    use contract::{BaseRole, Event};

    const ORGANIZATION: &str = "01890a5d-ac96-774b-bcce-b302099a8001";
    const USER: &str = "01890a5d-ac96-774b-bcce-b302099a8003";

    fn told<E: Event>(body: &E, position: i64) -> Received {
        let envelope = EventEnvelope { r#type: E::full_name(), position, ..EventEnvelope::default() };
        Received { envelope, body: body.encode_to_vec().into() }
    }

    fn member(role: BaseRole, version: i64) -> Option<identity::OrganizationMember> {
        let (organization_id, user_id) = (ORGANIZATION.to_owned(), USER.to_owned());
        Some(identity::OrganizationMember { organization_id, user_id, role: role.into(), version, ..Default::default() })
    }

    #[test]
    fn every_wanted_event_is_one_of_the_contract() {
        assert!(WANTED.iter().all(|name| contract::event_type(name).is_some_and(|event| event.service == "identity")));
    }

    #[test]
    fn a_deleted_member_has_no_role_at_the_next_version() {
        let deleted = identity::OrganizationMemberDeleted { before: member(BaseRole::Owner, 4), ..Default::default() };
        let news = assignment(&told(&deleted, 90)).unwrap().unwrap();
        assert_eq!(news.scope, RoleScope::Organization(ORGANIZATION.parse().unwrap()));
        assert_eq!((news.role, news.source_version, news.source_position), (None, 5, 90));
    }

    #[test]
    fn an_updated_member_has_the_role_after_it() {
        let (before, after) = (member(BaseRole::Viewer, 1), member(BaseRole::Admin, 2));
        let updated = identity::OrganizationMemberUpdated { before, after, ..Default::default() };
        let news = assignment(&told(&updated, 91)).unwrap().unwrap();
        assert_eq!((news.role, news.source_version), (Some(BaseRole::Admin), 2));
    }

    #[test]
    fn of_those_who_register_only_the_first_admin_gets_a_role() {
        let registered = |system_role: identity::SystemRole| {
            let after = identity::User { user_id: USER.to_owned(), system_role: system_role.into(), ..Default::default() };
            told(&identity::UserRegistered { after: Some(after), ..Default::default() }, 3)
        };
        assert_eq!(assignment(&registered(identity::SystemRole::User)).unwrap(), None);
        assert_eq!(assignment(&registered(identity::SystemRole::Admin)).unwrap().unwrap().scope, RoleScope::System);
    }

    #[test]
    fn an_event_without_its_state_is_poison_and_another_event_passes_by() {
        let empty = identity::OrganizationMemberCreated::default();
        assert!(matches!(assignment(&told(&empty, 1)), Err(Outcome::Poison(_))));
        assert!(matches!(workspace(&told(&identity::WorkspaceCreated::default(), 1)), Err(Outcome::Poison(_))));
        let other = told(&identity::SessionCreated::default(), 1);
        assert_eq!((assignment(&other).unwrap(), workspace(&other).unwrap()), (None, None));
    }
}
