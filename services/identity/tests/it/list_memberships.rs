use contract::BaseRole;
use contract::identity::v1::membership_service_client::MembershipServiceClient;
use contract::identity::v1::{ListMembershipsRequest, ListMembershipsResponse, Membership};
use testkit::{App, assert_fault};

use crate::verbs::{Acts, Door, identity, identity_with, with_root};

async fn list(app: &App) -> ListMembershipsResponse {
    let mut client = MembershipServiceClient::new(app.service("authorization").channel());
    let mut pages = client.list_memberships(ListMembershipsRequest {}).await.unwrap().into_inner();
    let page = pages.message().await.unwrap().unwrap();
    assert!(page.last && pages.message().await.unwrap().is_none());
    page
}

#[tokio::test]
async fn the_list_is_who_belongs_where_in_every_organization_at_a_position_of_the_log() {
    let app = identity_with(with_root()).await;
    let root = app.root().await;
    let ana = app.founded(&app.person("ana").await, "acme").await;
    let eve = app.founded(&app.person("eve").await, "evil").await;
    let (ben, cid) = (app.verified("ben").await, app.verified("cid").await);
    for user in [ben, cid] {
        ana.add_member(user, BaseRole::Member).await.unwrap();
    }
    ana.remove_member(cid).await.unwrap();
    let attic = app.with_workspace(&ana, "attic").await;
    ana.add_to_workspace(attic, ben, BaseRole::Admin).await.unwrap();
    let attic = attic.to_string();
    app.settled().await;
    let listed = list(&app).await;
    let acme = ana.organization_id.to_string();
    let of = |user: String, organization_id: &str, workspace_id: &str, role: BaseRole, version| Membership {
        user_id: user,
        organization_id: organization_id.to_owned(),
        workspace_id: workspace_id.to_owned(),
        role: role.into(),
        version,
    };
    let mut expected = vec![
        of(root.user_id.into(), "", "", BaseRole::Owner, 0),
        of(ana.user_id.into(), &acme, "", BaseRole::Owner, 1),
        of(ben.into(), &acme, "", BaseRole::Member, 1),
        of(ben.into(), &acme, &attic, BaseRole::Admin, 1),
        of(eve.user_id.into(), &eve.organization_id.to_string(), "", BaseRole::Owner, 1),
    ];
    let mut found = listed.memberships.clone();
    for list in [&mut expected, &mut found] {
        list.sort_by_key(|one| (one.organization_id.clone(), one.workspace_id.clone(), one.user_id.clone()));
    }
    assert_eq!(found, expected);
    assert_eq!(listed.workspaces.iter().map(|place| &place.workspace_id).collect::<Vec<_>>(), [&attic]);
    let head: i64 = sqlx::query_scalar("SELECT position FROM identity.event_head").fetch_one(&mut app.sql().await).await.unwrap();
    assert_eq!(listed.position, head);
}

#[tokio::test]
async fn people_are_not_given_the_list() {
    let app = identity().await;
    let ana = app.founded(&app.person("ana").await, "acme").await;
    let mut client = MembershipServiceClient::new(ana.channel());
    assert_fault!(client.list_memberships(ListMembershipsRequest {}).await, Unauthenticated, "PEER_TOKEN_INVALID");
}
