//! Prints what a decision and a delta cost: `cargo run --release -p authz --example decisions`.
//!
//! 10,000 organizations with 10 workspaces and 30 users each: 300,000 users with a role in the organization or in some workspaces.
#![expect(clippy::print_stdout, reason = "its output is its purpose")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use authz::{Assignment, Authorizer, Delta, Query, Resource, RoleScope, Snapshot, Workspace};
use contract::Permission;
use runtime::{Ids, OrganizationId, UserId, WorkspaceId};

const ORGANIZATIONS: usize = 10_000;
const WORKSPACES: usize = 10;
const USERS: usize = 30;

struct Tenant {
    organization: OrganizationId,
    workspaces: Vec<WorkspaceId>,
    users: Vec<UserId>,
}

fn main() {
    let ids = Ids::system();
    let tenant = |_| Tenant {
        organization: ids.next_id(),
        workspaces: (0..WORKSPACES).map(|_| ids.next_id()).collect(),
        users: (0..USERS).map(|_| ids.next_id()).collect(),
    };
    let tenants: Vec<Tenant> = (0..ORGANIZATIONS).map(tenant).collect();
    let everything = state(&tenants);
    let (load, snapshot) = timed(|| Snapshot::of(1, &everything));
    let count = everything.assignments.len();
    println!("snapshot: {count} assignments, {} workspaces in {load:.1?}", everything.workspaces.len());

    let authorizer = Authorizer::new();
    authorizer.install(snapshot);
    checks(&authorizer, &tenants);
    deltas(&authorizer, &tenants);
}

fn state(tenants: &[Tenant]) -> Delta {
    let mut state = Delta::default();
    for tenant in tenants {
        let organization = tenant.organization;
        state.workspaces.extend(tenant.workspaces.iter().map(|&workspace| Workspace { organization, workspace }));
        for (n, &user) in tenant.users.iter().enumerate() {
            let role = Some(authz::ROLES[n % 4]);
            if n % 3 == 0 {
                state.assignments.push(Assignment { user, scope: RoleScope::Organization(organization), role, version: 1 });
            } else {
                let scopes = tenant.workspaces.iter().take(n % 5 + 1).map(|&workspace| RoleScope::Workspace(organization, workspace));
                state.assignments.extend(scopes.map(|scope| Assignment { user, scope, role, version: 1 }));
            }
        }
    }
    state
}

fn checks(authorizer: &Authorizer, tenants: &[Tenant]) {
    const ROUNDS: usize = 2_000_000;
    for (name, among) in
        [("one user again and again", 1), ("users of 300 organizations", 300), ("users of all organizations", ORGANIZATIONS)]
    {
        // Questions lie in a row, so that reading them costs nothing beside answering them.
        let question = |n: usize| {
            let tenant = &tenants[n * 7_919 % among];
            Query {
                user: tenant.users[if among == 1 { 0 } else { n % USERS }],
                permission: Permission::ALL[n % Permission::COUNT],
                organization: tenant.organization,
                workspace: Some(tenant.workspaces[n % 3]),
                resource: &Resource::NONE,
            }
        };
        let questions: Vec<Query<'_>> = (0..ROUNDS).map(question).collect();
        let (took, allowed) = timed(|| questions.iter().filter(|query| authorizer.check(black_box(query)).allowed).count());
        println!("check, {name}: {:.0} ns ({} % allowed)", nanos(took, ROUNDS), allowed * 100 / ROUNDS);
    }
}

fn deltas(authorizer: &Authorizer, tenants: &[Tenant]) {
    const ROUNDS: usize = 20_000;
    let (took, ()) = timed(|| {
        for n in 0..ROUNDS {
            let tenant = &tenants[n * 7_919 % ORGANIZATIONS];
            let scope = RoleScope::Workspace(tenant.organization, tenant.workspaces[n % WORKSPACES]);
            let assignment = Assignment { user: tenant.users[n % USERS], scope, role: Some(authz::ROLES[n % 4]), version: n as i64 + 2 };
            authorizer.apply(n as i64 + 2, &Delta { assignments: vec![assignment], ..Delta::default() });
        }
    });
    println!("delta of one assignment: {:.1} us", nanos(took, ROUNDS) / 1_000.0);
}

fn timed<T>(f: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let value = f();
    (start.elapsed(), value)
}

fn nanos(took: Duration, rounds: usize) -> f64 {
    took.as_nanos() as f64 / rounds as f64
}
