//! The ladders in their table: whose clock is behind, who is outrun, who waits for whom.

use std::time::Duration;

use identity::throttle::config::ThrottleConfig;
use identity::throttle::{Scope, Throttle};
use runtime::OrganizationId;
use sqlx::types::Json;
use sqlx::{Connection, PgConnection};
use testkit::{App, fault};
use time::OffsetDateTime;

use crate::throttle::guess;
use crate::verbs::{Acts, Door, address, identity, identity_with, until, with_root};

/// A ladder of its own in the table, as the functions of the migration take it.
fn ladder(subject: &str, free: i32) -> serde_json::Value {
    serde_json::json!({"scope": 6, "subject": subject, "part": "", "free": free, "cap_ms": 1_000, "resets": true})
}

/// How long an attempt at `keys` is to wait at `at`, in milliseconds; `None` when it is charged.
async fn admit(sql: &mut PgConnection, keys: &[serde_json::Value], at: OffsetDateTime) -> Option<i64> {
    let admit = "SELECT wait_ms FROM identity.throttle_admit($1, 1000, 3600000, $2)";
    sqlx::query_scalar(admit).bind(Json(keys)).bind(at).fetch_one(sql).await.unwrap()
}

#[tokio::test]
async fn a_replica_whose_clock_is_behind_some_milliseconds_lets_nobody_through_at_the_longest_delay() {
    let app = identity().await;
    let (mut sql, keys, at) = (app.sql().await, [ladder("at the cap", 0)], app.now());
    assert_eq!(admit(&mut sql, &keys, at).await, None);
    for behind in [0, 5] {
        assert_eq!(admit(&mut sql, &keys, at - time::Duration::milliseconds(behind)).await, Some(1_000 + behind));
    }
}

#[tokio::test]
async fn what_is_free_makes_nobody_wait_whose_clock_was_read_earlier() {
    let app = identity().await;
    let (mut sql, keys, at) = (app.sql().await, [ladder("free", 10)], app.now());
    for behind in [0, 0, 5] {
        assert_eq!(admit(&mut sql, &keys, at - time::Duration::milliseconds(behind)).await, None);
    }
    let given_back = sqlx::query("SELECT identity.throttle_settle($1, false)").bind(Json(&keys));
    given_back.execute(&mut sql).await.unwrap();
    assert_eq!(admit(&mut sql, &keys, at - time::Duration::milliseconds(5)).await, None);
}

#[tokio::test]
async fn who_is_outrun_at_one_ladder_is_charged_to_none() {
    let app = identity().await;
    let (mut first, mut second, mut watcher, at) = (app.sql().await, app.sql().await, app.sql().await, app.now());
    let mut tx = first.begin().await.unwrap();
    assert_eq!(admit(&mut tx, &[ladder("shared", 0)], at).await, None);
    let keys = [ladder("own", 0), ladder("shared", 0)];
    let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')";
    let first_commits = async {
        while !sqlx::query_scalar::<_, bool>(waiting).fetch_one(&mut watcher).await.unwrap() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tx.commit().await.unwrap();
    };
    let (outrun, ()) = tokio::join!(admit(&mut second, &keys, at), first_commits);
    assert_eq!(outrun, Some(1_000));
    assert_eq!(admit(&mut watcher, &[ladder("own", 0)], at).await, None);
}

/// The scopes of ladders with failures whose rows somebody holds.
async fn held_scopes(app: &App) -> Vec<i16> {
    let held = "SELECT scope FROM identity.auth_throttle t WHERE failures > 0 AND NOT EXISTS (
                    SELECT FROM free WHERE (free.scope, free.subject) = (t.scope, t.subject)) ORDER BY scope";
    let held = format!("WITH free AS MATERIALIZED (SELECT scope, subject FROM identity.auth_throttle FOR UPDATE SKIP LOCKED) {held}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(held)).fetch_all(&mut app.sql().await).await.unwrap()
}

/// Whoever holds ladders in another order than the others waits for them while they wait for it.
#[tokio::test]
async fn ladders_are_cleared_in_the_order_in_which_they_are_charged() {
    let app = identity_with(with_root()).await;
    let (root, ana) = (app.root().await, app.verified("ana").await);
    let (network, account) = (Scope::Network as i16, Scope::Account as i16);
    for clears in [true, false] {
        guess(&app, &address("ana"), 1).await;
        let mut sql = app.sql().await;
        // As the rows lie in the table, that of the network is the last.
        sqlx::query("UPDATE identity.auth_throttle SET failures = failures WHERE scope = $1")
            .bind(network)
            .execute(&mut sql)
            .await
            .unwrap();
        let mut held = sql.begin().await.unwrap();
        let hold = "SELECT FROM identity.auth_throttle WHERE scope = $1 FOR UPDATE";
        sqlx::query(hold).bind(account).execute(&mut *held).await.unwrap();
        let calling = async {
            // Who waits for a row too long is told to come again.
            let call = async || match clears {
                true => root.unlock_sign_in(&ana.to_string()).await,
                false => app.create_session(&address("ana"), "wrong").await.map(drop),
            };
            while call().await.is_err_and(|refused| fault::reason(&refused) == "CONFLICT") {}
        };
        let seeing = async {
            until("the network's is held while the account's is waited for", async || held_scopes(&app).await == [network, account]).await;
            held.rollback().await.unwrap();
        };
        futures::future::join(calling, seeing).await;
    }
}

#[tokio::test]
async fn three_replicas_let_as_many_through_as_one() {
    let app = identity().await;
    let user = uuid::Uuid::from_u128(7);
    let admitted = app
        .inside(move |deps| async move {
            let caller = rpc::Caller::background(identity::NAME, OrganizationId::SYSTEM, None);
            let replicas: Vec<Throttle> = (0..3).map(|_| Throttle::new(deps.db.clone(), ThrottleConfig::default())).collect();
            let attempts = (0..60).map(|number: usize| {
                let (throttle, caller) = (replicas[number % 3].clone(), caller.clone());
                async move { throttle.admit(&caller, throttle.attempt(Scope::Code, user)).await.is_ok() }
            });
            futures::future::join_all(attempts).await.into_iter().filter(|admitted| *admitted).count()
        })
        .await;
    assert_eq!(admitted, 11);
}
