//! Small worlds for proptest: few users, organizations and workspaces, so that random roles and questions meet.

use authz::{Assignment, Delta, RoleScope, Workspace};
use contract::{BaseRole, Permission};
use proptest::prelude::*;
use runtime::{OrganizationId, UserId, WorkspaceId};
use uuid::Uuid;

use crate::naive::Naive;

pub(crate) fn user(n: u8) -> UserId {
    Uuid::from_u128(0x1000 + u128::from(n)).into()
}

pub(crate) fn organization(n: u8) -> OrganizationId {
    Uuid::from_u128(0x2000 + u128::from(n)).into()
}

/// Workspace 0 to 3 are the first organization's by rights, 4 to 7 the second's; questions mix them.
pub(crate) fn workspace(n: u8) -> WorkspaceId {
    Uuid::from_u128(0x3000 + u128::from(n)).into()
}

fn role() -> impl Strategy<Value = Option<BaseRole>> {
    prop_oneof![Just(None), prop::sample::select(authz::ROLES.to_vec()).prop_map(Some)]
}

fn scope() -> impl Strategy<Value = RoleScope> {
    prop_oneof![
        1 => Just(RoleScope::System),
        4 => (0..2_u8).prop_map(|n| RoleScope::Organization(organization(n))),
        8 => (0..8_u8).prop_map(|n| RoleScope::Workspace(organization(n / 4), workspace(n))),
    ]
}

/// Something that the authorization service tells. Versions follow from the place in the history.
#[derive(Clone, Debug)]
pub(crate) enum News {
    Role(UserId, RoleScope, Option<BaseRole>),
    Workspace(Workspace),
}

pub(crate) fn history() -> impl Strategy<Value = Vec<News>> {
    let news = prop_oneof![
        6 => (0..4_u8, scope(), role()).prop_map(|(n, scope, role)| News::Role(user(n), scope, role)),
        1 => (0..8_u8).prop_map(|n| News::Workspace(Workspace { organization: organization(n / 4), workspace: workspace(n) })),
    ];
    prop::collection::vec(news, 0..24)
}

/// What is told, one delta each.
pub(crate) fn deltas(history: &[News]) -> Vec<Delta> {
    let delta = |(index, news): (usize, &News)| match *news {
        News::Role(user, scope, role) => {
            Delta { assignments: vec![Assignment { user, scope, role, version: index as i64 + 1 }], ..Delta::default() }
        }
        News::Workspace(workspace) => Delta { workspaces: vec![workspace], ..Delta::default() },
    };
    history.iter().enumerate().map(delta).collect()
}

pub(crate) fn everything(deltas: &[Delta]) -> Delta {
    let mut all = Delta::default();
    for delta in deltas {
        all.assignments.extend(&delta.assignments);
        all.workspaces.extend(&delta.workspaces);
    }
    all
}

pub(crate) fn naive(deltas: &[Delta]) -> Naive {
    let Delta { assignments, workspaces } = everything(deltas);
    Naive { assignments, workspaces }
}

/// A question of plain values, for [`authz::Query`] to borrow from.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) user: UserId,
    pub(crate) permission: Permission,
    pub(crate) organization: OrganizationId,
    pub(crate) workspace: Option<WorkspaceId>,
    pub(crate) owner: Option<UserId>,
    pub(crate) assignees: Vec<UserId>,
}

impl Asked {
    pub(crate) fn resource(&self) -> authz::Resource<'_> {
        authz::Resource { owner: self.owner, assignees: &self.assignees }
    }

    pub(crate) fn query<'a>(&self, resource: &'a authz::Resource<'a>) -> authz::Query<'a> {
        authz::Query { user: self.user, permission: self.permission, organization: self.organization, workspace: self.workspace, resource }
    }
}

pub(crate) fn questions() -> impl Strategy<Value = Vec<Asked>> {
    let people = prop::collection::vec((0..5_u8).prop_map(user), 0..3);
    let asked = (
        (0..5_u8).prop_map(user),
        prop::sample::select(Permission::ALL),
        prop_oneof![9 => (0..3_u8).prop_map(organization), 1 => Just(OrganizationId::SYSTEM)],
        prop::option::weighted(0.8, (0..9_u8).prop_map(workspace)),
        prop::option::of((0..5_u8).prop_map(user)),
        people,
    );
    let asked = asked.prop_map(|(user, permission, organization, workspace, owner, assignees)| Asked {
        user,
        permission,
        organization,
        workspace,
        owner,
        assignees,
    });
    prop::collection::vec(asked, 32)
}
