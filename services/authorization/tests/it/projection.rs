use authorization::events::take;
use contract::common::v1::EventEnvelope;
use contract::{BaseRole, Event};
use db::Tx;
use events::{Outcome, Received};
use rpc::Caller;
use runtime::{OrganizationId, UserId};
use testkit::App;

use crate::verbs::{Sees, authorization, fresh, member, member_created, member_deleted, member_updated, workspace_created};

fn at<E: Event>(position: i64, body: &E) -> Received {
    Received { envelope: EventEnvelope { r#type: E::full_name(), position, ..Default::default() }, body: body.encode_to_vec().into() }
}

/// Delivers an event as the inbox would, in a transaction that stands in `organization`.
async fn deliver(app: &App, organization: OrganizationId, event: &Received) -> Result<(), Outcome> {
    let caller = Caller::background("authorization", organization, None);
    app.deps().db.write_unrecorded(&caller, async |tx: &mut Tx| take(tx, event).await).await
}

const EMITTED: &str = "SELECT (SELECT count(*) FROM authz.outbox) + (SELECT count(*) FROM authz.event)";
const ROLE: &str = "SELECT coalesce(role, 0)::bigint FROM authz.assignment";

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_delivered_twice_has_one_effect() {
    let app = authorization().await;
    let (home, ana): (OrganizationId, UserId) = (fresh(), fresh());
    for event in [at(7, &member_created(member(home, ana, BaseRole::Admin, 1))), at(8, &workspace_created(home, fresh()))] {
        deliver(&app, home, &event).await.unwrap();
        deliver(&app, home, &event).await.unwrap();
    }
    assert_eq!(app.count(EMITTED).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_event_does_not_bring_a_removed_role_back() {
    let app = authorization().await;
    let (home, ana): (OrganizationId, UserId) = (fresh(), fresh());
    let (admin, owner) = (member(home, ana, BaseRole::Admin, 1), member(home, ana, BaseRole::Owner, 2));
    deliver(&app, home, &at(7, &member_created(admin.clone()))).await.unwrap();
    deliver(&app, home, &at(9, &member_deleted(owner.clone()))).await.unwrap();
    deliver(&app, home, &at(8, &member_updated(admin, owner))).await.unwrap();
    assert_eq!(app.count(ROLE).await, 0);
    assert_eq!(app.count(EMITTED).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_of_an_unknown_member_leaves_its_version_and_tells_nobody() {
    let app = authorization().await;
    let (home, ana): (OrganizationId, UserId) = (fresh(), fresh());
    deliver(&app, home, &at(9, &member_deleted(member(home, ana, BaseRole::Owner, 4)))).await.unwrap();
    assert_eq!(app.count("SELECT source_version FROM authz.assignment").await, 5);
    assert_eq!(app.count(EMITTED).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_one_organization_writes_nothing_in_another() {
    let app = authorization().await;
    let (home, away, eve): (OrganizationId, OrganizationId, UserId) = (fresh(), fresh(), fresh());
    let forged = at(7, &member_created(member(home, eve, BaseRole::Owner, 1)));
    assert!(matches!(deliver(&app, away, &forged).await, Err(Outcome::Db(_))));
    assert_eq!(app.count("SELECT count(*) FROM authz.assignment").await, 0);
    deliver(&app, home, &forged).await.unwrap();
    assert_eq!(app.count("SELECT count(*) FROM authz.assignment").await, 1);
}
