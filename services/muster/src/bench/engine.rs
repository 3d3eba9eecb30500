//! E: a decision of the embedded engine.

use std::time::Instant;

use authz::{Assignment, Authorizer, Delta, Query, Resource, RoleScope, Snapshot, Workspace};
use contract::Permission;
use runtime::{Ids, OrganizationId, UserId, WorkspaceId};

use super::{figures::figure, report::Figure};

/// The embedded engine over 10,000 organizations, each with 3 workspaces and 20 people.
pub(super) fn embedded() -> Figure {
    const ROUNDS: usize = 2_000_000;
    let ids = Ids::system();
    let mut state = Delta::default();
    let mut questions: Vec<(UserId, OrganizationId, WorkspaceId)> = Vec::new();
    for _ in 0..10_000 {
        let organization: OrganizationId = ids.next_id();
        let workspaces: [WorkspaceId; 3] = std::array::from_fn(|_| ids.next_id());
        state.workspaces.extend(workspaces.map(|workspace| Workspace { organization, workspace }));
        for person in 0..20 {
            let (user, workspace) = (ids.next_id(), workspaces[person % 3]);
            let scope = if person % 3 == 0 { RoleScope::Organization(organization) } else { RoleScope::Workspace(organization, workspace) };
            state.assignments.push(Assignment { user, scope, role: Some(authz::ROLES[person % 4]), version: 1 });
            questions.push((user, organization, workspaces[person % 2]));
        }
    }
    let authorizer = Authorizer::new();
    authorizer.install(Snapshot::of(1, &state));
    // A step that is prime to the number of questions: people of all organizations, in no order a cache likes. They are laid out as they are asked: a
    // question comes with its request, and the engine's memory is what is measured.
    let questions: Vec<_> = (0..questions.len()).map(|round| questions[round * 7_919 % questions.len()]).collect();
    let began = Instant::now();
    let mut allowed = 0_usize;
    for round in 0..ROUNDS {
        let (user, organization, workspace) = questions[round % questions.len()];
        let permission = Permission::ALL[round % Permission::COUNT];
        let query = Query { user, permission, organization, workspace: Some(workspace), resource: &Resource::NONE };
        allowed += usize::from(authorizer.check(std::hint::black_box(&query)).allowed);
    }
    let ns = began.elapsed().as_nanos() as f64 / ROUNDS as f64;
    let against = format!("10,000 organizations, all of them in turn; {:.0} % allowed", 100.0 * allowed as f64 / ROUNDS as f64);
    figure("embedded check", format!("{ns:.0} ns"), against, "≤ 300 ns", ns <= 300.0)
}
