//! Invitations between the domain and the contract.

use contract::annotations::v1::BaseRole;
use contract::identity::v1 as pb;
use contract::time::timestamp;
use runtime::WorkspaceId;
use time::OffsetDateTime;

use super::ops::NewInvitation;
use super::{Invitation, InvitationState};
use crate::decode;
use crate::member::Role;
use crate::member::convert::role;

impl From<InvitationState> for pb::InvitationState {
    fn from(state: InvitationState) -> Self {
        match state {
            InvitationState::Pending => pb::InvitationState::Pending,
            InvitationState::Accepted => pb::InvitationState::Accepted,
            InvitationState::Declined => pb::InvitationState::Declined,
            InvitationState::Revoked => pb::InvitationState::Revoked,
            InvitationState::Expired => pb::InvitationState::Expired,
        }
    }
}

/// The invitation as it stands at `now`.
pub(crate) fn told(invitation: Invitation, now: OffsetDateTime) -> pb::Invitation {
    let state = invitation.state(now);
    let (workspace_id, workspace_role) = invitation.workspace.unzip();
    pb::Invitation {
        invitation_id: invitation.id.to_string(),
        organization_id: invitation.organization_id.to_string(),
        email: invitation.email,
        role: BaseRole::from(invitation.role).into(),
        workspace_id: workspace_id.map(String::from).unwrap_or_default(),
        workspace_role: workspace_role.map_or(BaseRole::Unspecified, BaseRole::from).into(),
        state: pb::InvitationState::from(state).into(),
        inviter_id: invitation.inviter_id.to_string(),
        accepted_user_id: invitation.accepted_user_id.map(String::from).unwrap_or_default(),
        etag: invitation.version.to_string(),
        create_time: Some(timestamp(invitation.create_time)),
        update_time: Some(timestamp(invitation.update_time)),
        expire_time: Some(timestamp(invitation.expire_time)),
    }
}

/// Whom a request invites, and to what.
///
/// # Errors
/// `FIELD_VIOLATION` for a role without its workspace, or a workspace without a role.
pub(super) fn new_invitation(req: pb::CreateInvitationRequest) -> Result<NewInvitation, rpc::Error> {
    let workspace = match (decode::optional_id("workspace_id", &req.workspace_id)?, req.workspace_role()) {
        (None, BaseRole::Unspecified) => None,
        (None, _) => return Err(rpc::Error::invalid_field("workspace_id", "invitation.workspace", "must be given with a workspace_role")),
        (Some(id), given) => Some(joined(id, given)?),
    };
    Ok(NewInvitation { role: role(req.role())?, email: req.email, workspace })
}

fn joined(id: WorkspaceId, given: BaseRole) -> Result<(WorkspaceId, Role), rpc::Error> {
    let missing = |_| rpc::Error::invalid_field("workspace_role", "invitation.workspace", "must be given with a workspace_id");
    Ok((id, role(given).map_err(missing)?))
}
