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

async fn app_with_slow_products() -> App {
    let app = app().await;
    let slow = format!(
        "CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep({}); RETURN NEW; END';
         CREATE TRIGGER slow BEFORE INSERT ON tasks.product FOR EACH ROW EXECUTE FUNCTION public.slow()",
        SLEEP.as_secs()
    );
    app.sql().await.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(slow))).await.unwrap();
    app
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

/// Waits until none runs, for less time than one would by itself.
async fn nothing_at_work(app: &App) {
    let (mut sql, began) = (app.sql().await, Instant::now());
    while at_work(&mut sql).await > 0 {
        assert!(began.elapsed() < SLEEP / 2, "a statement whose call was answered runs on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_call_out_of_time_in_a_statement_is_answered_and_its_backend_is_free() {
    let app = app_with_slow_products().await;
    let ana = app.member("ana").await;
    assert_fault!(create_product(patient(&app), &ana, "SHED".into(), "300m").await, DeadlineExceeded, "DEADLINE_EXCEEDED");
    nothing_at_work(&app).await;
    assert_eq!(app.emitted().await, [""; 0], "nothing was created");
}

#[tokio::test]
async fn a_thousand_calls_out_of_time_leave_the_pool_whole() {
    let app = app_with_slow_products().await;
    let ana = app.member("ana").await;
    let client = patient(&app);
    let calls =
        stream::iter(0..1_000).map(|number| create_product(client.clone(), &ana, format!("P{number}"), "40m")).buffer_unordered(2 * POOL);
    let answers: Vec<_> = calls.collect().await;
    for answer in answers {
        let status = answer.unwrap_err();
        // Who finds no connection in time is told to come again.
        assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Unavailable | Code::ResourceExhausted), "{status:?}");
    }
    nothing_at_work(&app).await;
    app.sql().await.execute("DROP TRIGGER slow ON tasks.product").await.unwrap();
    let all = (0..POOL).map(|number| create_product(client.clone(), &ana, format!("W{number}"), "5S"));
    for answer in join_all(all).await {
        answer.unwrap();
    }
    assert_eq!(app.emitted().await.len(), POOL, "what was out of time created nothing");
}
