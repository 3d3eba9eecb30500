use authz::{Held, Query, Resource};
use contract::authorization::v1::DecisionCause;
use contract::identity::v1::SystemRole;
use contract::{BaseRole, Permission};
use runtime::{OrganizationId, UserId, WorkspaceId};

use crate::verbs::{
    fresh, member, member_created, member_deleted, member_updated, registered, system_role_changed, workspace_created,
    workspace_member_created,
};
use crate::world::{PATIENCE, World};

async fn role_at(world: &World, user: UserId, organization: OrganizationId, version: i64) -> Option<BaseRole> {
    assert!(world.authorizer.wait_for(user, organization, None, version, PATIENCE).await, "version {version} arrives");
    world.authorizer.organization_role(user, organization)
}

#[tokio::test]
async fn a_membership_its_change_and_its_end_reach_the_authorizer() {
    let world = World::new().await;
    let (home, ana): (OrganizationId, UserId) = (fresh(), fresh());
    let (viewer, owner) = (member(home, ana, BaseRole::Viewer, 1), member(home, ana, BaseRole::Owner, 2));
    world.tell(home, member_created(viewer.clone())).await;
    assert_eq!(role_at(&world, ana, home, 1).await, Some(BaseRole::Viewer));
    world.tell(home, member_updated(viewer, owner.clone())).await;
    assert_eq!(role_at(&world, ana, home, 2).await, Some(BaseRole::Owner));
    world.tell(home, member_deleted(owner)).await;
    assert_eq!(role_at(&world, ana, home, 3).await, None);
    assert_eq!(world.count("SELECT count(*) FROM authz.event WHERE type = 'muster.authorization.v1.AssignmentChanged'").await, 3);
    assert_eq!(world.count("SELECT count(*) FROM authz.assignment WHERE role IS NULL AND source_version = 3").await, 1);
}

#[tokio::test]
async fn a_member_who_comes_back_has_a_role_again() {
    let world = World::new().await;
    let (home, ana): (OrganizationId, UserId) = (fresh(), fresh());
    let first = member(home, ana, BaseRole::Owner, 1);
    world.tell(home, member_created(first.clone())).await;
    world.tell(home, member_deleted(first.clone())).await;
    world.tell(home, member_created(member(home, ana, BaseRole::Viewer, 1))).await;
    assert_eq!(role_at(&world, ana, home, 3).await, Some(BaseRole::Viewer));
}

#[tokio::test]
async fn a_role_of_the_organization_reaches_its_workspaces_and_no_other() {
    let world = World::new().await;
    let (home, away, ana): (OrganizationId, OrganizationId, UserId) = (fresh(), fresh(), fresh());
    let (attic, abroad): (WorkspaceId, WorkspaceId) = (fresh(), fresh());
    world.tell(home, member_created(member(home, ana, BaseRole::Member, 1))).await;
    world.tell(home, workspace_created(home, attic)).await;
    world.tell(away, workspace_created(away, abroad)).await;
    for (organization, workspace) in [(home, attic), (away, abroad)] {
        assert!(world.authorizer.wait_for_workspace(organization, workspace, PATIENCE).await);
    }
    assert_eq!(role_at(&world, ana, home, 1).await, Some(BaseRole::Member));
    let reach = |organization, workspace| world.authorizer.reach(ana, Permission::TasksWorkItemGet, organization, Some(workspace));
    assert!(matches!(reach(home, attic), Held::Yes { .. }));
    assert_eq!(reach(home, abroad), Held::No { knows_scope: false });
    assert_eq!(reach(away, abroad), Held::No { knows_scope: false });
}

#[tokio::test]
async fn a_role_of_a_workspace_stays_there() {
    let world = World::new().await;
    let (home, ben): (OrganizationId, UserId) = (fresh(), fresh());
    let (attic, cellar): (WorkspaceId, WorkspaceId) = (fresh(), fresh());
    world.tell(home, workspace_created(home, cellar)).await;
    world.tell(home, workspace_member_created(home, attic, ben, BaseRole::Owner)).await;
    assert!(world.authorizer.wait_for_workspace(home, cellar, PATIENCE).await);
    assert!(world.authorizer.wait_for(ben, home, Some(attic), 1, PATIENCE).await);
    let reach = |workspace| world.authorizer.reach(ben, Permission::TasksWorkItemGet, home, workspace);
    assert!(matches!(reach(Some(attic)), Held::Yes { .. }));
    assert_eq!((reach(Some(cellar)), reach(None)), (Held::No { knows_scope: false }, Held::No { knows_scope: false }));
}

#[tokio::test]
async fn the_first_admin_may_everything_in_every_organization() {
    let world = World::new().await;
    let (root, plain): (UserId, UserId) = (fresh(), fresh());
    world.tell(OrganizationId::SYSTEM, registered(plain, SystemRole::User)).await;
    world.tell(OrganizationId::SYSTEM, registered(root, SystemRole::Admin)).await;
    assert!(world.authorizer.wait_for(root, OrganizationId::SYSTEM, None, 1, PATIENCE).await);
    let query =
        Query { user: root, permission: Permission::IdentityUserList, organization: fresh(), workspace: None, resource: &Resource::NONE };
    assert_eq!(world.authorizer.check(&query).cause, DecisionCause::SystemRole);
    assert!(!world.authorizer.check(&Query { user: plain, ..query }).allowed);
    assert_eq!(world.count("SELECT count(*) FROM authz.assignment").await, 1, "who registers without a role leaves no row");
}

#[tokio::test]
async fn an_admin_of_the_system_who_is_demoted_may_nothing_more() {
    let world = World::new().await;
    let root: UserId = fresh();
    world.tell(OrganizationId::SYSTEM, registered(root, SystemRole::Admin)).await;
    world.tell(OrganizationId::SYSTEM, system_role_changed(root, SystemRole::Admin, SystemRole::User)).await;
    assert!(world.authorizer.wait_for(root, OrganizationId::SYSTEM, None, 2, PATIENCE).await);
    assert!(!world.authorizer.is_system_admin(root));
}
