//! What authorization claims of its age, and what becomes of decisions when identity can't be followed.

use std::time::{Duration, Instant};

use contract::authorization::v1::WatchRequest;
use contract::authorization::v1::replication_service_client::ReplicationServiceClient;
use contract::common::v1::{DropDeadLetterRequest, ListDeadLettersRequest};
use contract::{BaseRole, Permission};
use runtime::{OrganizationId, UserId};
use testkit::{App, assert_fault};

use crate::verbs::{Asks, PATIENCE, Sees, authorization, fresh, member, member_created, member_deleted, question};

/// A healthy service claims to be a few seconds old at most: a pull, a note, a look and a heartbeat.
const OLD_MS: i64 = 8_000;

/// Reads the watch until it claims an age that is `wanted`.
async fn until_age(app: &App, wanted: impl Fn(i64) -> bool) {
    let mut client = ReplicationServiceClient::new(app.service("tasks").channel());
    let mut news = client.watch(WatchRequest { from_position: 0 }).await.unwrap().into_inner();
    let read = async { while !news.message().await.unwrap().unwrap().freshness.is_some_and(|freshness| wanted(freshness.age_ms)) {} };
    tokio::time::timeout(PATIENCE, read).await.expect("that age is never claimed");
}

/// Asks until the answer is (`given`) a decision, or is refused as stale.
async fn until_decisions(asks: impl AsyncFn() -> bool, given: bool) {
    let started = Instant::now();
    while asks().await != given {
        assert!(started.elapsed() < PATIENCE, "decisions given: {}", !given);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn while_the_bus_is_away_claims_grow_old_and_then_decisions_are_refused() {
    let mut app = authorization().await;
    let ana = app.joined("ana", BaseRole::Owner).await;
    let own = || question(Permission::TasksWorkItemGet, None, None);
    until_age(&app, |age_ms| age_ms < OLD_MS).await;
    assert!(ana.check(own()).await.is_ok());
    app.nats().pause();
    until_age(&app, |age_ms| age_ms >= OLD_MS).await;
    sqlx::query("UPDATE authz.inbox_freshness SET caught_up_time = caught_up_time - interval '1 minute'")
        .execute(&mut app.sql().await)
        .await
        .unwrap();
    app.restart().await;
    assert_fault!(ana.check(own()).await, Unavailable, "AUTHORIZATION_STALE");
    app.nats().resume();
    let given = async || ana.renewed().check(own()).await.is_ok();
    until_decisions(&given, true).await;
}

#[tokio::test]
async fn a_removal_that_is_a_dead_letter_costs_its_organization_every_decision_until_it_is_settled() {
    let mut app = authorization().await;
    app.expect_dead_letters();
    let ana = app.joined("ana", BaseRole::Owner).await;
    let (other, ben): (OrganizationId, UserId) = (fresh(), fresh());
    app.publish(member_created(member(other, ben, BaseRole::Owner, 1)), other).await;
    app.role_at(ben, other, 1).await;
    let own = || question(Permission::TasksWorkItemGet, None, None);
    let given = async || ana.check(own()).await.is_ok();
    until_decisions(&given, true).await;
    let unreadable = member(app.organization(), ana.user_id, BaseRole::Unspecified, 1);
    app.publish(member_deleted(unreadable), app.organization()).await;
    until_decisions(&given, false).await;
    assert_fault!(ana.check(own()).await, Unavailable, "AUTHORIZATION_STALE");
    assert!(app.deps().authorizer.is_current(other), "another organization goes on");
    let letters = app.event_admin().list_dead_letters(ListDeadLettersRequest::default()).await.unwrap().into_inner();
    let dead_letter_id = letters.dead_letters[0].dead_letter_id.clone();
    app.event_admin().drop_dead_letter(DropDeadLetterRequest { dead_letter_id }).await.unwrap();
    until_decisions(&given, true).await;
}
