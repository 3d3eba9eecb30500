use std::collections::BTreeSet;
use std::time::Duration;

use authz::{Assignment, Authorizer, Delta, Held, Query, Resource, RoleScope, Snapshot, Workspace};
use contract::authorization::v1::DecisionCause;
use contract::{BaseRole, Permission};
use runtime::OrganizationId;

use crate::world::{organization, user, workspace};

fn role(role: Option<BaseRole>, version: i64) -> Delta {
    let assignment = Assignment { user: user(1), scope: RoleScope::Organization(organization(0)), role, version };
    Delta { assignments: vec![assignment], ..Delta::default() }
}

#[tokio::test]
async fn before_the_first_snapshot_everything_is_denied_and_stale() {
    let authorizer = Authorizer::new();
    let query =
        Query { user: user(1), permission: Permission::ALL[0], organization: organization(0), workspace: None, resource: &Resource::NONE };
    let decision = authorizer.check(&query);
    assert_eq!((decision.allowed, decision.cause), (false, DecisionCause::NoRole));
    assert_eq!((authorizer.is_ready(), authorizer.is_current(organization(0)), authorizer.staleness()), (false, false, Duration::MAX));
}

#[tokio::test(start_paused = true)]
async fn staleness_grows_from_the_last_heartbeat_until_decisions_are_refused() {
    let authorizer = Authorizer::new();
    let nobody = BTreeSet::new;
    authorizer.install(Snapshot::of(1, &role(Some(BaseRole::Owner), 1)));
    assert!(!authorizer.is_current(organization(0)), "nobody vouches for it");
    authorizer.vouch(Duration::from_secs(5), nobody());
    tokio::time::advance(Duration::from_secs(40)).await;
    assert!(authorizer.staleness() >= Duration::from_secs(45) && authorizer.is_current(organization(0)));
    authorizer.vouch(Duration::from_secs(50), nobody());
    assert_eq!(authorizer.staleness(), Duration::from_secs(45), "an older claim says nothing new");
    authorizer.vouch(Duration::ZERO, nobody());
    tokio::time::advance(authz::STALENESS_MAX).await;
    assert!(authorizer.is_current(organization(0)));
    tokio::time::advance(Duration::from_millis(1)).await;
    assert!(!authorizer.is_current(organization(0)));
}

#[tokio::test(start_paused = true)]
async fn what_is_sensitive_is_decided_while_authorization_was_heard_within_two_seconds() {
    let authorizer = Authorizer::new();
    assert!(authorizer.is_current_to_the_second(), "nobody keeps it current");
    authorizer.heard();
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(authorizer.is_current_to_the_second());
    tokio::time::advance(Duration::from_millis(1)).await;
    authorizer.vouch(Duration::ZERO, BTreeSet::new());
    assert!(!authorizer.is_current_to_the_second(), "by whatever was said before");
    authorizer.heard();
    assert!(authorizer.is_current_to_the_second());
}

#[tokio::test]
async fn in_a_blocked_organization_nothing_is_decided_and_the_nil_one_stands_for_all() {
    let authorizer = Authorizer::new();
    authorizer.install(Snapshot::default());
    let current = |blocked: &[OrganizationId]| {
        authorizer.vouch(Duration::ZERO, blocked.iter().copied().collect());
        (authorizer.is_current(organization(0)), authorizer.is_current(organization(1)))
    };
    assert_eq!(current(&[]), (true, true));
    assert_eq!(current(&[organization(0)]), (false, true));
    assert_eq!(current(&[OrganizationId::SYSTEM]), (false, false));
    assert_eq!(current(&[]), (true, true));
}

#[tokio::test]
async fn a_waiter_wakes_when_the_version_arrives() {
    let authorizer = Authorizer::new();
    authorizer.install(Snapshot::default());
    let waiter = authorizer.wait_for(user(1), organization(0), None, 2, Duration::from_secs(20));
    let teller = async {
        authorizer.apply(1, &role(Some(BaseRole::Owner), 1));
        tokio::task::yield_now().await;
        authorizer.apply(2, &role(None, 2));
    };
    assert!(tokio::join!(waiter, teller).0);
    assert_eq!(authorizer.organization_role(user(1), organization(0)), None);
    assert_eq!(authorizer.revision(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_gives_up_in_time_and_says_so() {
    let authorizer = Authorizer::new();
    authorizer.install(Snapshot::of(1, &role(Some(BaseRole::Owner), 1)));
    assert!(!authorizer.wait_for(user(1), organization(0), None, 2, Duration::from_millis(800)).await);
    assert!(!authorizer.wait_for(user(1), organization(1), None, 1, Duration::from_millis(800)).await, "another organization");
    assert!(!authorizer.wait_for_workspace(organization(0), workspace(0), Duration::from_millis(800)).await);
}

#[tokio::test]
async fn an_owner_reaches_a_workspace_only_once_it_is_known_in_the_organization() {
    let authorizer = Authorizer::new();
    authorizer.install(Snapshot::of(1, &role(Some(BaseRole::Owner), 1)));
    let reach = || authorizer.reach(user(1), Permission::TasksWorkItemGet, organization(0), Some(workspace(0)));
    let elsewhere = Delta { workspaces: vec![Workspace { organization: organization(1), workspace: workspace(0) }], ..Delta::default() };
    authorizer.apply(2, &elsewhere);
    assert_eq!(reach(), Held::No { knows_scope: false });
    let here = Delta { workspaces: vec![Workspace { organization: organization(0), workspace: workspace(0) }], ..Delta::default() };
    authorizer.apply(3, &here);
    assert!(matches!(reach(), Held::Yes { .. }));
}
