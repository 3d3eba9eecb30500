//! Authorization takes in identity's memberships and emits what they amount to: `AssignmentChanged` and `WorkspaceAdded`.

use contract::authorization::v1::{AssignmentChanged, WorkspaceAdded};
use contract::identity::v1 as identity;
use events::{Filter, Handler, Outcome, Received};

use crate::assignment::{self, convert};
use crate::workspace;

/// The consumer's name, and whose events it takes.
pub const CONSUMER: &str = "assignments";
/// See [`CONSUMER`].
pub const SOURCES: &[&str] = &["identity"];

/// The events of our own log that an authorizer is fed with.
pub fn replicated() -> Filter {
    Filter::all().of_type::<AssignmentChanged>().of_type::<WorkspaceAdded>()
}

/// Takes in what identity tells of roles and workspaces; every other event passes by.
pub struct Membership;

impl Handler for Membership {
    async fn handle(&self, tx: &mut db::Tx, event: &Received) -> Result<(), Outcome> {
        if let Some(workspace) = workspace(event)? {
            return workspace::ops::take(tx, workspace).await;
        }
        match assignment(event)? {
            Some(news) => assignment::ops::take(tx, news).await,
            None => Ok(()),
        }
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
