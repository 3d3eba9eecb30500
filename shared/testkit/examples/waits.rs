//! How long a test waits for its database and for its service: `cargo run --release -p testkit --example waits`.
#![expect(clippy::print_stdout, reason = "figures for a person")]

use std::time::{Duration, Instant};

use testkit::{App, postgres::Postgres};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate::Migrator::DEFAULT;
/// Tests measured.
const TESTS: usize = 20;
/// What a short test does between two databases.
const WORK: Duration = Duration::from_millis(300);

#[tokio::main]
async fn main() {
    let started = Instant::now();
    let postgres = tokio::task::spawn_blocking(Postgres::of_this_process).await.expect("PostgreSQL starts");
    println!("server: {:?}", started.elapsed());
    let started = Instant::now();
    drop(postgres.database(vec![("tasks", &MIGRATIONS)]).await);
    println!("first database, with its template: {:?}", started.elapsed());
    let mut databases = Vec::new();
    for _ in 0..TESTS {
        tokio::time::sleep(WORK).await;
        let started = Instant::now();
        drop(postgres.database(vec![("tasks", &MIGRATIONS)]).await);
        databases.push(started.elapsed());
    }
    say("database", databases);
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..TESTS {
        let started = Instant::now();
        let app = App::of("tasks", "tasks", &MIGRATIONS, async |_| Ok(host::Service::new("tasks"))).await;
        starts.push(started.elapsed());
        let started = Instant::now();
        drop(app);
        ends.push(started.elapsed());
    }
    say("service ready", starts);
    say("looked after and gone", ends);
}

fn say(what: &str, mut times: Vec<Duration>) {
    times.sort();
    println!("{what}: median {:?}, slowest {:?}", times[times.len() / 2], times[times.len() - 1]);
}
