use std::collections::BTreeSet;

use futures::future::join_all;
use testkit::postgres::Postgres;

use crate::pad::{MIGRATIONS, until};

async fn postgres() -> &'static Postgres {
    tokio::task::spawn_blocking(Postgres::of_this_process).await.unwrap()
}

#[tokio::test]
async fn everyone_gets_a_database_of_their_own_however_many_ask_at_once() {
    let postgres = postgres().await;
    let databases = join_all((0..8).map(|_| postgres.database(vec![("notes", &MIGRATIONS)]))).await;
    let names: BTreeSet<&str> = databases.iter().map(|database| database.name()).collect();
    assert_eq!(names.len(), 8);
    for database in &databases {
        let events: i64 = sqlx::query_scalar("SELECT count(*) FROM notes.event").fetch_one(&mut database.superuser().await).await.unwrap();
        assert_eq!(events, 0);
    }
}

#[tokio::test]
async fn a_database_goes_with_its_test() {
    let postgres = postgres().await;
    let (gone, kept) = (postgres.database(vec![("notes", &MIGRATIONS)]).await, postgres.database(vec![("notes", &MIGRATIONS)]).await);
    let name = gone.name().to_owned();
    drop(gone);
    let mut superuser = kept.superuser().await;
    let query = "SELECT NOT EXISTS (SELECT FROM pg_database WHERE datname = $1)";
    until("the database is gone", async || sqlx::query_scalar(query).bind(&name).fetch_one(&mut superuser).await.unwrap()).await;
}

#[tokio::test]
async fn several_services_may_share_a_database_each_with_its_own_schema() {
    let database = postgres().await.database(vec![("notes", &MIGRATIONS), ("letters", &MIGRATIONS)]).await;
    let query = "SELECT (SELECT count(*) FROM notes.event) + (SELECT count(*) FROM letters.event)";
    let events: i64 = sqlx::query_scalar(query).fetch_one(&mut database.superuser().await).await.unwrap();
    assert_eq!(events, 0);
}
