//! What a test may not leave behind: an event that is not on the bus, a dead letter, an open transaction, a process.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::{Instant, sleep};

use crate::postgres::Database;

/// How long committed events may take to reach the bus.
const PUBLISHED: Duration = Duration::from_secs(8);
/// How long a transaction may go on after the test. Shorter than the time after which the server itself ends an idle one.
const ENDED: Duration = Duration::from_secs(3);

/// What the test said it would leave behind.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) dead_letters: bool,
    pub(crate) unpublished: bool,
}

/// Fails the test, when it is dropped, if a server of its own or a child that it started itself still runs.
#[derive(Debug, Default)]
pub(crate) struct Processes(Vec<(&'static str, u32)>);

impl Processes {
    /// `nats` ends with the test, and whoever held it.
    pub(crate) fn expect_end_of(&mut self, nats: &devstack::Nats) {
        self.0.extend(nats.pid().map(|pid| ("nats-server", pid)));
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        let left = devstack::left_behind(&self.0);
        assert!(std::thread::panicking() || left.is_empty(), "the test left behind: {}", left.join("; "));
    }
}

/// Everything that was left behind unexpectedly, in words.
pub(crate) async fn find(database: &Database, schema: &str, expected: &Expected) -> Vec<String> {
    let looked = async {
        let mut superuser = PgConnection::connect(&database.url()).await?;
        let mut left = Vec::new();
        left.extend(open_transactions(&mut superuser).await?);
        if !expected.unpublished {
            left.extend(unpublished(&mut superuser, schema).await?);
        }
        if !expected.dead_letters {
            left.extend(dead_letters(&mut superuser, schema).await?);
        }
        Ok::<_, sqlx::Error>(left)
    };
    looked.await.unwrap_or_else(|error| vec![format!("what was left behind can't be seen: {error}")])
}

/// Transactions of this database that were open when the test ended, and stay so.
async fn open_transactions(superuser: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let query = "SELECT pid || ' ' || coalesce(xact_start::text, ''),
                        format('`%s` is %s in: %s', application_name, state, left(regexp_replace(query, '\\s+', ' ', 'g'), 200))
                 FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend' AND state <> 'idle'";
    let started = Instant::now();
    let mut held: Option<Vec<(String, String)>> = None;
    loop {
        let open: Vec<(String, String)> = sqlx::query_as(query).fetch_all(&mut *superuser).await?;
        // What the service does in the background comes and goes; what was leaked is there from the first look to the last.
        let still = |(id, _): &(String, String)| open.iter().any(|(other, _)| other == id);
        let left: Vec<_> = held.map_or_else(|| open.clone(), |held| held.into_iter().filter(still).collect());
        if left.is_empty() {
            return Ok(None);
        }
        if started.elapsed() > ENDED {
            let told: Vec<String> = left.into_iter().map(|(_, told)| told).collect();
            return Ok(Some(format!("a transaction is open: {}", told.join("; "))));
        }
        held = Some(left);
        sleep(Duration::from_millis(20)).await;
    }
}

async fn unpublished(superuser: &mut PgConnection, schema: &str) -> Result<Option<String>, sqlx::Error> {
    let query = format!("SELECT (SELECT count(*) FROM {schema}.outbox), position - published_position FROM {schema}.event_head");
    let started = Instant::now();
    loop {
        let (outbox, behind): (i64, i64) = sqlx::query_as(AssertSqlSafe(query.as_str())).fetch_one(&mut *superuser).await?;
        if outbox == 0 && behind == 0 {
            return Ok(None);
        }
        if started.elapsed() > PUBLISHED {
            return Ok(Some(format!("{outbox} events stay in the outbox and {behind} in the log without reaching the bus")));
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn dead_letters(superuser: &mut PgConnection, schema: &str) -> Result<Option<String>, sqlx::Error> {
    let query = format!("SELECT consumer || ': ' || cause FROM {schema}.dead_letter ORDER BY create_time");
    let causes: Vec<String> = sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(superuser).await?;
    Ok((!causes.is_empty()).then(|| format!("{} dead letters are left: {}", causes.len(), causes.join("; "))))
}
