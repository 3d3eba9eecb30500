//! Identity's list takes the place of events that the bus has forgotten.

use async_nats::jetstream;
use contract::BaseRole;
use contract::identity::v1::{ListMembershipsResponse, Membership, SystemRole, WorkspacePlace};
use runtime::{OrganizationId, UserId, WorkspaceId};

use crate::verbs::{PATIENCE, Sees, authorization, fresh, member, member_created, member_updated, registered};

fn listed(organization: OrganizationId, workspace: Option<WorkspaceId>, user: UserId, role: BaseRole, version: i64) -> Membership {
    let workspace_id = workspace.map(String::from).unwrap_or_default();
    Membership { user_id: user.into(), organization_id: organization.into(), workspace_id, role: role.into(), version }
}

#[tokio::test]
async fn a_consumer_that_the_bus_forgot_begins_with_the_list_and_goes_on_with_the_events() {
    let mut app = authorization().await;
    let (home, attic): (OrganizationId, WorkspaceId) = (fresh(), fresh());
    let [ana, ben, cid, dan]: [UserId; 4] = std::array::from_fn(|_| fresh());
    for user in [ana, ben, cid] {
        app.publish(member_created(member(home, user, BaseRole::Member, 1)), home).await;
        app.role_at(user, home, 1).await;
    }
    // What follows is told by no event: Ben became an admin, Cid was removed, Dan came, a workspace was opened.
    for _ in 0..4 {
        app.publish(registered(fresh(), SystemRole::User), OrganizationId::SYSTEM).await;
    }
    app.settled().await;
    let memberships = vec![
        listed(home, None, ana, BaseRole::Member, 1),
        listed(home, None, ben, BaseRole::Admin, 2),
        listed(home, Some(attic), dan, BaseRole::Viewer, 1),
    ];
    let workspaces = vec![WorkspacePlace { organization_id: home.into(), workspace_id: attic.into() }];
    app.authority().list_memberships(ListMembershipsResponse { memberships, workspaces, position: 7, last: true });
    let bus = jetstream::new(async_nats::connect(app.nats().url()).await.unwrap());
    bus.get_stream("MUSTER_IDENTITY").await.unwrap().delete_consumer("assignments").await.unwrap();
    app.restart().await;
    assert_eq!(app.role_at(ben, home, 2).await, Some(BaseRole::Admin));
    let authorizer = &app.deps().authorizer;
    assert!(authorizer.wait_for(dan, home, Some(attic), 1, PATIENCE).await && authorizer.has_workspace(home, attic));
    assert_eq!(app.role_at(cid, home, 2).await, None, "who is not in the list belongs nowhere");
    assert_eq!(app.role_at(ana, home, 1).await, Some(BaseRole::Member));
    let events = app.count("SELECT (SELECT count(*) FROM authz.outbox) + (SELECT count(*) FROM authz.event)").await;
    assert_eq!(events, 3 + 4, "what was right is not told again");
    app.publish(member_updated(member(home, ana, BaseRole::Member, 1), member(home, ana, BaseRole::Owner, 2)), home).await;
    assert_eq!(app.role_at(ana, home, 2).await, Some(BaseRole::Owner));
}
