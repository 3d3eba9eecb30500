//! What a test may not leave behind fails it.
#![expect(clippy::disallowed_methods, reason = "these tests leave behind what nobody waits for")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use contract::tasks::v1::WorkItemCreated;
use rpc::Caller;
use testkit::App;

use crate::pad::{MIGRATIONS, emit, pad, until};

/// What dropping `app` says when it fails the test.
fn last_words(app: App) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(|| drop(app))).err()?;
    Some(panic.downcast_ref::<String>().cloned().unwrap_or_default())
}

#[tokio::test]
async fn a_test_that_leaves_nothing_passes() {
    let app = pad().await;
    emit(&app, "a").await;
    assert_eq!(last_words(app), None);
}

#[tokio::test]
async fn a_transaction_left_open_by_the_service_is_caught() {
    let app = pad().await;
    let (db, caller) = (app.deps().db.clone(), Caller::background("audit", app.organization(), None));
    let (opened, open) = tokio::sync::oneshot::channel();
    let forgotten = tokio::spawn(async move {
        db.read(&caller, async |tx| {
            sqlx::query("SELECT 1").execute(tx.conn()).await?;
            opened.send(()).unwrap();
            std::future::pending::<Result<(), db::Error>>().await
        })
        .await
    });
    open.await.unwrap();
    let said = last_words(app).unwrap();
    assert!(said.contains("a transaction is open: `muster audit app` is idle in transaction"), "{said}");
    forgotten.abort();
}

#[tokio::test]
async fn a_transaction_left_open_by_the_test_itself_is_caught() {
    let app = pad().await;
    let mut sql = app.sql().await;
    sqlx::query("BEGIN").execute(&mut sql).await.unwrap();
    let said = last_words(app).unwrap();
    assert!(said.contains("is idle in transaction in: BEGIN"), "{said}");
}

#[tokio::test]
async fn a_statement_that_still_runs_is_caught() {
    let app = pad().await;
    let mut sql = app.sql().await;
    let running = tokio::task::spawn(async move { sqlx::query("SELECT pg_sleep(20)").execute(&mut sql).await });
    let mut look = app.sql().await;
    let query = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%')";
    until("the statement runs", async || sqlx::query_scalar(query).fetch_one(&mut look).await.unwrap()).await;
    let said = last_words(app).unwrap();
    assert!(said.contains("is active in: SELECT pg_sleep(20)"), "{said}");
    running.abort();
}

#[tokio::test]
async fn an_event_that_never_reaches_the_bus_is_caught_unless_the_test_took_the_bus_away() {
    for expected in [false, true] {
        let mut app = pad().await;
        app.nats().kill().await;
        emit(&app, "a").await;
        if expected {
            app.expect_unpublished();
        }
        let said = last_words(app);
        assert_eq!(said.is_none(), expected, "{said:?}");
        assert!(said.is_none_or(|said| said.contains("without reaching the bus")));
    }
}

#[tokio::test]
async fn a_dead_letter_is_caught_unless_it_was_expected() {
    for expected in [false, true] {
        let mut app = pad().await;
        app.publish(WorkItemCreated { work_item_id: "poison".to_owned(), after: None }, app.organization()).await;
        app.settled().await;
        if expected {
            app.expect_dead_letters();
        }
        let said = last_words(app);
        assert_eq!(said.is_none(), expected, "{said:?}");
        assert!(said.is_none_or(|said| said.contains("1 dead letters are left: pad: it is poison")));
    }
}

#[tokio::test]
async fn a_background_task_that_dies_is_caught() {
    let app = App::of("audit", "audit", &MIGRATIONS, async |deps| {
        deps.tasks.spawn("short of breath", async {});
        Ok(host::Service::new("audit"))
    })
    .await;
    until("the task dies", async || app.deps().tasks.failure().is_some()).await;
    let said = last_words(app).unwrap();
    assert!(said.contains("background task `short of breath` ended"), "{said}");
}

#[tokio::test]
async fn a_child_that_the_test_started_and_did_not_end_is_caught() {
    let app = pad().await;
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let said = last_words(app);
    child.kill().unwrap();
    assert_eq!(said, Some(format!("the test left behind: `sleep` (pid {}) still runs", child.id())));
    assert_eq!(last_words(pad().await), None, "a zombie is gone");
    child.wait().unwrap();
}

#[tokio::test]
#[should_panic(expected = "the test left behind: nats-server (pid ")]
async fn a_server_that_somebody_still_holds_is_caught() {
    let app = pad().await;
    let _held = app.nats().clone();
    drop(app);
}

#[tokio::test]
async fn a_test_that_fails_by_itself_is_not_drowned_out() {
    let failing = async {
        let app = pad().await;
        let _open = sqlx::query("BEGIN").execute(&mut app.sql().await).await;
        panic!("what the test found");
    };
    let panic = futures::FutureExt::catch_unwind(AssertUnwindSafe(failing)).await.unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"what the test found"));
}
