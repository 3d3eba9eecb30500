use authorization::events::Membership;
use contract::common::v1::EventEnvelope;
use contract::{BaseRole, Event};
use db::Tx;
use events::{Handler, Outcome, Received};
use rpc::Caller;
use runtime::{OrganizationId, UserId};

use crate::verbs::{fresh, member, member_created, member_deleted, member_updated, workspace_created};
use crate::world::World;

fn at<E: Event>(position: i64, body: &E) -> Received {
    Received { envelope: EventEnvelope { r#type: E::full_name(), position, ..Default::default() }, body: body.encode_to_vec().into() }
}

/// Delivers an event as the inbox would, in a transaction that stands in `organization`.
async fn deliver(world: &World, organization: OrganizationId, event: &Received) -> Result<(), Outcome> {
    let caller = Caller::background("authorization", organization, None);
    world.db.write_unrecorded(&caller, async |tx: &mut Tx| Membership.handle(tx, event).await).await
}

const EMITTED: &str = "SELECT (SELECT count(*) FROM authz.outbox) + (SELECT count(*) FROM authz.event)";
const ROLE: &str = "SELECT coalesce(role, 0)::bigint FROM authz.assignment";

#[tokio::test]
async fn an_event_that_is_delivered_twice_has_one_effect() {
    let world = World::without_service().await;
    let (home, ana): (OrganizationId, UserId) = (fresh(), fresh());
    for event in [at(7, &member_created(member(home, ana, BaseRole::Admin, 1))), at(8, &workspace_created(home, fresh()))] {
        deliver(&world, home, &event).await.unwrap();
        deliver(&world, home, &event).await.unwrap();
    }
    assert_eq!(world.count(EMITTED).await, 2);
}

#[tokio::test]
async fn a_late_event_does_not_bring_a_removed_role_back() {
    let world = World::without_service().await;
    let (home, ana): (OrganizationId, UserId) = (fresh(), fresh());
    let (admin, owner) = (member(home, ana, BaseRole::Admin, 1), member(home, ana, BaseRole::Owner, 2));
    deliver(&world, home, &at(7, &member_created(admin.clone()))).await.unwrap();
    deliver(&world, home, &at(9, &member_deleted(owner.clone()))).await.unwrap();
    deliver(&world, home, &at(8, &member_updated(admin, owner))).await.unwrap();
    assert_eq!(world.count(ROLE).await, 0);
    assert_eq!(world.count(EMITTED).await, 2);
}

#[tokio::test]
async fn a_removal_of_an_unknown_member_leaves_its_version_and_tells_nobody() {
    let world = World::without_service().await;
    let (home, ana): (OrganizationId, UserId) = (fresh(), fresh());
    deliver(&world, home, &at(9, &member_deleted(member(home, ana, BaseRole::Owner, 4)))).await.unwrap();
    assert_eq!(world.count("SELECT source_version FROM authz.assignment").await, 5);
    assert_eq!(world.count(EMITTED).await, 0);
}

#[tokio::test]
async fn an_event_of_one_organization_writes_nothing_in_another() {
    let world = World::without_service().await;
    let (home, away, eve): (OrganizationId, OrganizationId, UserId) = (fresh(), fresh(), fresh());
    let forged = at(7, &member_created(member(home, eve, BaseRole::Owner, 1)));
    assert!(matches!(deliver(&world, away, &forged).await, Err(Outcome::Db(_))));
    assert_eq!(world.count("SELECT count(*) FROM authz.assignment").await, 0);
    deliver(&world, home, &forged).await.unwrap();
    assert_eq!(world.count("SELECT count(*) FROM authz.assignment").await, 1);
}
