use authz::{Held, Query, Resource};
use contract::authorization::v1::{AssignmentChanged, DecisionCause};
use contract::identity::v1::SystemRole;
use contract::{BaseRole, Permission};
use runtime::{OrganizationId, UserId, WorkspaceId};

use crate::verbs::{
    PATIENCE, Sees, authorization, fresh, member, member_created, member_deleted, member_updated, registered, system_role_changed,
    workspace_created, workspace_member_created,
};

#[tokio::test]
async fn a_membership_its_change_and_its_end_reach_the_authorizer() {
    let app = authorization().await;
    let (home, ana): (OrganizationId, UserId) = (fresh(), fresh());
    let (viewer, owner) = (member(home, ana, BaseRole::Viewer, 1), member(home, ana, BaseRole::Owner, 2));
    app.publish(member_created(viewer.clone()), home).await;
    assert_eq!(app.role_at(ana, home, 1).await, Some(BaseRole::Viewer));
    app.publish(member_updated(viewer, owner.clone()), home).await;
    assert_eq!(app.role_at(ana, home, 2).await, Some(BaseRole::Owner));
    app.publish(member_deleted(owner), home).await;
    assert_eq!(app.role_at(ana, home, 3).await, None);
    let told: Vec<_> =
        app.events::<AssignmentChanged>().await.into_iter().map(|event| (event.before.is_some(), event.after.is_some())).collect();
    assert_eq!(told, [(false, true), (true, true), (true, false)]);
    assert_eq!(app.emitted().await, vec![format!("muster.authorization.v1.assignment.changed.{home}"); 3]);
    assert_eq!(app.count("SELECT count(*) FROM authz.assignment WHERE role IS NULL AND source_version = 3").await, 1);
}

#[tokio::test]
async fn a_member_who_comes_back_has_a_role_again() {
    let app = authorization().await;
    let (home, ana): (OrganizationId, UserId) = (fresh(), fresh());
    let first = member(home, ana, BaseRole::Owner, 1);
    app.publish(member_created(first.clone()), home).await;
    app.publish(member_deleted(first.clone()), home).await;
    app.publish(member_created(member(home, ana, BaseRole::Viewer, 1)), home).await;
    assert_eq!(app.role_at(ana, home, 3).await, Some(BaseRole::Viewer));
}

#[tokio::test]
async fn a_role_of_the_organization_reaches_its_workspaces_and_no_other() {
    let app = authorization().await;
    let (home, away, ana): (OrganizationId, OrganizationId, UserId) = (fresh(), fresh(), fresh());
    let (attic, abroad): (WorkspaceId, WorkspaceId) = (fresh(), fresh());
    app.publish(member_created(member(home, ana, BaseRole::Member, 1)), home).await;
    app.publish(workspace_created(home, attic), home).await;
    app.publish(workspace_created(away, abroad), away).await;
    for (organization, workspace) in [(home, attic), (away, abroad)] {
        assert!(app.deps().authorizer.wait_for_workspace(organization, workspace, PATIENCE).await);
    }
    assert_eq!(app.role_at(ana, home, 1).await, Some(BaseRole::Member));
    let reach = |organization, workspace| app.deps().authorizer.reach(ana, Permission::TasksWorkItemGet, organization, Some(workspace));
    assert!(matches!(reach(home, attic), Held::Yes { .. }));
    assert_eq!(reach(home, abroad), Held::No { knows_scope: false });
    assert_eq!(reach(away, abroad), Held::No { knows_scope: false });
}

#[tokio::test]
async fn a_role_of_a_workspace_stays_there() {
    let app = authorization().await;
    let (home, ben): (OrganizationId, UserId) = (fresh(), fresh());
    let (attic, cellar): (WorkspaceId, WorkspaceId) = (fresh(), fresh());
    app.publish(workspace_created(home, cellar), home).await;
    app.publish(workspace_member_created(home, attic, ben, BaseRole::Owner), home).await;
    assert!(app.deps().authorizer.wait_for_workspace(home, cellar, PATIENCE).await);
    assert!(app.deps().authorizer.wait_for(ben, home, Some(attic), 1, PATIENCE).await);
    let reach = |workspace| app.deps().authorizer.reach(ben, Permission::TasksWorkItemGet, home, workspace);
    assert!(matches!(reach(Some(attic)), Held::Yes { .. }));
    assert_eq!((reach(Some(cellar)), reach(None)), (Held::No { knows_scope: false }, Held::No { knows_scope: false }));
}

#[tokio::test]
async fn the_first_admin_may_everything_in_every_organization() {
    let app = authorization().await;
    let (root, plain): (UserId, UserId) = (fresh(), fresh());
    app.publish(registered(plain, SystemRole::User), OrganizationId::SYSTEM).await;
    app.publish(registered(root, SystemRole::Admin), OrganizationId::SYSTEM).await;
    assert!(app.deps().authorizer.wait_for(root, OrganizationId::SYSTEM, None, 1, PATIENCE).await);
    let query =
        Query { user: root, permission: Permission::IdentityUserList, organization: fresh(), workspace: None, resource: &Resource::NONE };
    assert_eq!(app.deps().authorizer.check(&query).cause, DecisionCause::SystemRole);
    assert!(!app.deps().authorizer.check(&Query { user: plain, ..query }).allowed);
    assert_eq!(app.count("SELECT count(*) FROM authz.assignment").await, 1, "who registers without a role leaves no row");
}

#[tokio::test]
async fn an_admin_of_the_system_who_is_demoted_may_nothing_more() {
    let app = authorization().await;
    let root: UserId = fresh();
    app.publish(registered(root, SystemRole::Admin), OrganizationId::SYSTEM).await;
    app.publish(system_role_changed(root, SystemRole::Admin, SystemRole::User), OrganizationId::SYSTEM).await;
    assert!(app.deps().authorizer.wait_for(root, OrganizationId::SYSTEM, None, 2, PATIENCE).await);
    assert!(!app.deps().authorizer.is_system_admin(root));
}
