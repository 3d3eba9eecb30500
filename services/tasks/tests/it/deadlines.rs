//! A call that runs out of time while its statement runs: answered at once, and neither the backend nor the connection is lost to others.

use std::time::{Duration, Instant};

use contract::tasks::v1::CreateProductRequest;
use contract::tasks::v1::product_service_client::ProductServiceClient;
use futures::future::join_all;
use futures::{StreamExt, stream};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use sqlx::{Executor, PgConnection};
use testkit::{Actor, App, assert_fault};
use tonic::{Code, Request, Status, body::Body};

use crate::verbs::{Verbs, app};

/// What every insertion of a product waits for.
const SLEEP: Duration = Duration::from_secs(5);
/// The connections of a service unless it is told otherwise (`database.app_connections`).
const POOL: usize = 8;
/// How soon a backend is free once its call was answered, and how soon a pool is whole.
const FREE: Duration = Duration::from_secs(1);
const WHOLE: Duration = Duration::from_secs(2);
/// A machine with much else to do may be late for those, but not so often in a row.
const TRIES: usize = 4;

/// Makes every insertion of a product wait for so long, and counts those that begin: a sequence is not turned back with them.
async fn slow(app: &App, wait: Duration) {
    let slow = format!(
        "CREATE SEQUENCE IF NOT EXISTS public.begun;
         CREATE OR REPLACE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
             AS 'BEGIN PERFORM nextval(''public.begun''); PERFORM pg_sleep({}); RETURN NEW; END';
         CREATE OR REPLACE TRIGGER slow BEFORE INSERT ON tasks.product FOR EACH ROW EXECUTE FUNCTION public.slow()",
        wait.as_secs_f64()
    );
    app.sql().await.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(slow))).await.unwrap();
}

/// A client that leaves it to the server to say that the time is over; tonic's channel watches it, too.
type Patient = ProductServiceClient<Client<HttpConnector, Body>>;

fn patient(app: &App) -> Patient {
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build(HttpConnector::new());
    ProductServiceClient::with_origin(client, format!("http://{}", app.address()).parse().unwrap())
}

/// Creates a product within `time` (a `grpc-timeout`).
async fn create_product(mut client: Patient, ana: &Actor, key: String, time: &'static str) -> Result<(), Status> {
    let workspace_id = ana.workspace();
    let mut request = Request::new(CreateProductRequest { workspace_id, key, display_name: "slow".into(), ..Default::default() });
    request.metadata_mut().insert("grpc-timeout", time.parse().unwrap());
    request.metadata_mut().insert("authorization", format!("Bearer {}", ana.token).parse().unwrap());
    client.create_product(request).await.map(|_| ())
}

/// Statements of the service that run.
async fn at_work(sql: &mut PgConnection) -> i64 {
    let running =
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'tasks_app' AND datname = current_database() AND query LIKE '%product%'
                   AND state <> 'idle'";
    sqlx::query_scalar(running).fetch_one(sql).await.unwrap()
}

/// Waits until none runs, for less time than one would by itself; answers how long.
async fn nothing_at_work(app: &App) -> Duration {
    let (mut sql, began) = (app.sql().await, Instant::now());
    while at_work(&mut sql).await > 0 {
        assert!(began.elapsed() < SLEEP / 2, "a statement whose call was answered runs on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    began.elapsed()
}

#[tokio::test]
async fn a_call_out_of_time_in_a_statement_is_answered_and_its_backend_is_free() {
    let app = app().await;
    slow(&app, SLEEP).await;
    let ana = app.member("ana").await;
    let mut freed = Vec::new();
    while freed.last().is_none_or(|took| *took >= FREE) {
        assert!(freed.len() < TRIES, "{freed:?}");
        assert_fault!(create_product(patient(&app), &ana, "SHED".into(), "300m").await, DeadlineExceeded, "DEADLINE_EXCEEDED");
        freed.push(nothing_at_work(&app).await);
    }
    assert_eq!(app.emitted().await, [""; 0], "nothing was created");
}

/// Has a thousand calls run out of time, most of them in their statement.
async fn a_thousand_out_of_time(app: &App, client: &Patient, ana: &Actor) {
    slow(app, SLEEP).await;
    let calls =
        stream::iter(0..1_000).map(|number| create_product(client.clone(), ana, format!("P{number}"), "40m")).buffer_unordered(2 * POOL);
    let answers: Vec<_> = calls.map(Result::unwrap_err).collect().await;
    // Who finds no connection in time is told to come again.
    let told = [Code::DeadlineExceeded, Code::Unavailable, Code::ResourceExhausted].map(|code| {
        let count = answers.iter().filter(|status| status.code() == code).count();
        (code, count)
    });
    assert_eq!(told.iter().map(|(_, count)| count).sum::<usize>(), 1_000, "{told:?}");
    assert!(told[0].1 >= POOL, "{told:?}");
    let begun: i64 = sqlx::query_scalar("SELECT last_value FROM public.begun").fetch_one(&mut app.sql().await).await.unwrap();
    assert!(begun >= POOL as i64, "{begun} came as far as their statement");
}

/// Waits until as many calls as there are connections go well at once; answers when those began, and how many calls went well in all.
async fn all_connections_serve(app: &App, client: &Patient, ana: &Actor) -> (Duration, usize) {
    let (began, mut done) = (Instant::now(), 0);
    // Each keeps its connection for longer than another one waits for it (`database.acquire_timeout_ms`, two seconds in tests): so many go well over
    // so many connections alone.
    slow(app, Duration::from_secs(3)).await;
    loop {
        let asked = began.elapsed();
        let key = |number| format!("W{}A{number}", asked.as_micros() % 1_000_000);
        let answers = join_all((0..POOL).map(|number| create_product(client.clone(), ana, key(number), "5S"))).await;
        let well = answers.iter().filter(|answer| answer.is_ok()).count();
        done += well;
        if well == POOL {
            return (asked, done);
        }
        assert!(asked < 2 * SLEEP, "the pool is not whole: {answers:?}");
    }
}

#[tokio::test]
async fn a_thousand_calls_out_of_time_leave_the_pool_whole() {
    let app = app().await;
    let (ana, client) = (app.member("ana").await, patient(&app));
    let (mut took, mut created) = (Vec::new(), 0);
    while took.last().is_none_or(|took| *took >= WHOLE) {
        assert!(took.len() < TRIES, "{took:?}");
        a_thousand_out_of_time(&app, &client, &ana).await;
        let (asked, done) = all_connections_serve(&app, &client, &ana).await;
        took.push(asked);
        created += done;
    }
    assert_eq!(app.emitted().await.len(), created, "what was out of time created nothing");
}
