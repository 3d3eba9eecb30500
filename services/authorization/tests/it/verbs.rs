//! What identity tells, in words.

use contract::identity::v1::{
    OrganizationMember, OrganizationMemberCreated, OrganizationMemberDeleted, OrganizationMemberUpdated, SystemRole, User, UserRegistered,
    UserSystemRoleChanged, Workspace, WorkspaceCreated, WorkspaceMember, WorkspaceMemberCreated,
};
use contract::{BaseRole, Event};
use db::Tx;
use rpc::Caller;
use runtime::{Ids, OrganizationId, UserId, WorkspaceId};

use crate::world::World;

pub(crate) fn fresh<T: From<uuid::Uuid>>() -> T {
    Ids::system().next_id()
}

pub(crate) fn member(organization: OrganizationId, user: UserId, role: BaseRole, version: i64) -> OrganizationMember {
    OrganizationMember { organization_id: organization.into(), user_id: user.into(), role: role.into(), version, ..Default::default() }
}

pub(crate) fn member_created(member: OrganizationMember) -> OrganizationMemberCreated {
    OrganizationMemberCreated { member_key: key(&member), after: Some(member) }
}

pub(crate) fn member_updated(before: OrganizationMember, after: OrganizationMember) -> OrganizationMemberUpdated {
    OrganizationMemberUpdated { member_key: key(&before), before: Some(before), after: Some(after) }
}

pub(crate) fn member_deleted(before: OrganizationMember) -> OrganizationMemberDeleted {
    OrganizationMemberDeleted { member_key: key(&before), before: Some(before) }
}

fn key(member: &OrganizationMember) -> String {
    format!("{}/{}", member.organization_id, member.user_id)
}

pub(crate) fn workspace_created(organization: OrganizationId, workspace: WorkspaceId) -> WorkspaceCreated {
    let after = Workspace { organization_id: organization.into(), workspace_id: workspace.into(), ..Default::default() };
    WorkspaceCreated { workspace_id: workspace.into(), after: Some(after) }
}

pub(crate) fn workspace_member_created(
    organization: OrganizationId,
    workspace: WorkspaceId,
    user: UserId,
    role: BaseRole,
) -> WorkspaceMemberCreated {
    let after = WorkspaceMember {
        organization_id: organization.into(),
        workspace_id: workspace.into(),
        user_id: user.into(),
        role: role.into(),
        version: 1,
        ..Default::default()
    };
    WorkspaceMemberCreated { member_key: format!("{workspace}/{user}"), after: Some(after) }
}

pub(crate) fn registered(user: UserId, system_role: SystemRole) -> UserRegistered {
    let after = User { user_id: user.into(), system_role: system_role.into(), ..Default::default() };
    UserRegistered { user_id: user.into(), after: Some(after) }
}

pub(crate) fn system_role_changed(user: UserId, before: SystemRole, after: SystemRole) -> UserSystemRoleChanged {
    let state = |role: SystemRole| Some(User { user_id: user.into(), system_role: role.into(), ..Default::default() });
    UserSystemRoleChanged { user_id: user.into(), before: state(before), after: state(after) }
}

impl World {
    /// Identity commits a change and tells it in `organization`.
    pub(crate) async fn tell<E: Event>(&self, organization: OrganizationId, event: E) {
        let caller = Caller::background("identity", organization, None);
        let emit = async |tx: &mut Tx| {
            tx.emit(event);
            Ok::<_, db::Error>(())
        };
        self.identity.write_unrecorded(&caller, emit).await.unwrap();
    }
}
