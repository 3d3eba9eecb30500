//! The last factor goes while a token is being given: whichever came first, no token says more than its session.

use std::time::Duration;

use contract::identity::v1::TokenPair;
use sqlx::{Connection, PgConnection};
use testkit::{App, assert_fault, fault};
use tonic::Status;

use crate::verbs::{Door, Factors, Guarded, Waits, claims, identity, until};

/// Time goes on a little.
const A_MOMENT: Duration = Duration::from_secs(1);

/// From now on the commit of a change to a session waits for as long as `gate` holds the lock 1.
async fn gated(gate: &mut PgConnection) {
    sqlx::raw_sql(
        "CREATE FUNCTION public.wait_for_the_gate() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             WHILE NOT pg_try_advisory_xact_lock_shared(1) LOOP PERFORM pg_sleep(0.005); END LOOP;
             RETURN NULL;
         END $$;
         CREATE CONSTRAINT TRIGGER gate AFTER UPDATE ON identity.session DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION public.wait_for_the_gate();
         SELECT pg_advisory_lock(1)",
    )
    .execute(gate)
    .await
    .unwrap();
}

/// Waits until somebody's statement in the database waits, and says for what.
async fn somebody_waits(app: &App, event: &'static str) {
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type || ' ' || wait_event LIKE $1 AND datname = current_database()";
    let holds = async || -> bool {
        let count: i64 = sqlx::query_scalar(waits).bind(event).fetch_one(&mut app.sql().await).await.unwrap();
        count > 0
    };
    until(event, holds).await;
}

/// Takes the factor away as a client does: who is told that somebody else is at it comes again.
async fn deletes_the_factor(ana: &Guarded) -> String {
    loop {
        match ana.delete_factor(&ana.factor).await {
            Err(status) if fault::reason(&status) == "CONFLICT" => {}
            outcome => return outcome.unwrap().access_token,
        }
    }
}

/// That what `refreshed` was given says aal 2 and is void, and that what the session has now is good.
async fn is_void(ana: &Guarded, refreshed: Result<TokenPair, Status>, since: &str) {
    let late = refreshed.unwrap().access_token;
    assert_eq!((&claims(&late)["aal"], &claims(since)["aal"]), (&2.into(), &1.into()));
    until("the token is refused", async || ana.with_token(&late).list_factors().await.is_err()).await;
    assert_fault!(ana.with_token(&late).list_factors().await, Unauthenticated, "TOKEN_REVOKED");
    ana.with_token(since).list_factors().await.unwrap();
}

#[tokio::test]
async fn a_token_that_was_on_its_way_when_the_last_factor_went_is_void() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let mut gate = app.sql().await;
    gated(&mut gate).await;
    let refreshing = app.refresh_session(&ana.person.tokens.refresh_token);
    let deleting = async {
        somebody_waits(&app, "Timeout PgSleep").await;
        app.clock().advance(A_MOMENT);
        let opened = async {
            somebody_waits(&app, "Lock %").await;
            app.clock().advance(A_MOMENT);
            gate.close().await.unwrap();
        };
        futures::future::join(deletes_the_factor(&ana), opened).await.0
    };
    let (refreshed, since) = futures::future::join(refreshing, deleting).await;
    is_void(&ana, refreshed, &since).await;
}

#[tokio::test]
async fn a_token_that_was_given_while_the_last_factor_was_about_to_go_is_void() {
    let app = identity().await;
    let ana = app.guarded("ana").await;
    let mut gate = app.sql().await;
    let mut held = gate.begin().await.unwrap();
    sqlx::query("SELECT FROM identity.user_account WHERE user_id = $1 FOR UPDATE")
        .bind(ana.user_id.uuid())
        .execute(&mut *held)
        .await
        .unwrap();
    let refreshing = async {
        somebody_waits(&app, "Lock %").await;
        app.clock().advance(A_MOMENT);
        let refreshed = app.refresh_session(&ana.person.tokens.refresh_token).await;
        app.clock().advance(A_MOMENT);
        held.rollback().await.unwrap();
        refreshed
    };
    let (since, refreshed) = futures::future::join(deletes_the_factor(&ana), refreshing).await;
    is_void(&ana, refreshed, &since).await;
}
