//! What must be true of the schemas when all is healed and has come to rest: changes = events = audit records = inbox rows, once each, in order; and
//! wanted mails = SENT + UNKNOWN that was handed over + DEAD, which an SMTP server took once, perhaps, and never.
//!
//! Everything is read as the superuser from the tables themselves: no RPC could hide a second effect.

use std::collections::{BTreeMap, BTreeSet};

use contract::tasks::v1::{WorkItemCreated, WorkItemTransitioned, WorkItemUpdated};
use muster::migrate::SCHEMAS;
use prost::{Message, Name};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::{Instant, sleep};

use super::mails::Sink;
use super::visitors::Visits;
use super::writers::Written;
use crate::suite::{AT_MOST, PERIOD, Suite};
use crate::world::World;

/// Waits for rest, then checks.
pub(crate) async fn check(suite: &Suite, world: &World, written: &[Written], visits: &Visits, sink: &Sink) {
    let mut sql = Sql(suite.database().await);
    sql.leases_of_the_dead_end().await;
    sql.come_to_rest().await;
    sql.logs_are_whole().await;
    sql.every_write_is_there_once(world, written).await;
    sql.changes_are_events(world, written).await;
    sql.every_refresh_has_one_successor(visits).await;
    sql.every_guess_is_counted(visits).await;
    sql.audit_has_every_event_once().await;
    sql.audit_kept_the_order().await;
    sql.authorization_knows_every_workspace().await;
    sql.every_mail_is_accounted_for(sink).await;
    sql.nothing_is_left_behind().await;
}

struct Sql(PgConnection);

impl Sql {
    async fn count(&mut self, query: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&mut self.0).await.unwrap()
    }

    /// Mails that a process died with wait for six minutes. Those that the living one has in hand are taken from it too: it must bear that.
    async fn leases_of_the_dead_end(&mut self) {
        let over = "UPDATE notifications.delivery SET lease_expire_time = now() WHERE lease_expire_time IS NOT NULL";
        sqlx::query(over).execute(&mut self.0).await.unwrap();
    }

    /// Waits until every event is numbered, published, and taken by audit, authorization and notifications.
    async fn come_to_rest(&mut self) {
        let began = Instant::now();
        loop {
            let mut restless = BTreeMap::new();
            let mut events = 0;
            for (_, schema, _) in SCHEMAS {
                let waiting =
                    format!("SELECT (SELECT count(*) FROM {schema}.outbox) + position - published_position FROM {schema}.event_head");
                restless.insert(format!("{schema} to publish"), self.count(&waiting).await);
                events += self.count(&format!("SELECT count(*) FROM {schema}.event")).await;
            }
            let taken = self.count("SELECT count(*) FROM audit.inbox WHERE consumer = 'audit'").await;
            restless.insert("audit to take".to_owned(), events - taken);
            let unknown = "SELECT (SELECT count(*) FROM identity.workspace) - (SELECT count(*) FROM authz.workspace)";
            restless.insert("authorization to take".to_owned(), self.count(unknown).await);
            let untold = "SELECT (SELECT count(*) FROM identity.event WHERE type LIKE ANY ('{%.InvitationCreated,%.InvitationResent,%.UserRegistered,%.VerificationRequested,%.PasswordResetRequested,%.PasswordReset,%.PasswordChanged,%.EmailChangeRequested,%.EmailChanged,%.SessionCreated}')) + (SELECT count(*) FROM tasks.event \
                 WHERE type LIKE ANY ('{%.WorkItemCreated,%.WorkItemUpdated,%.WorkItemTransitioned}')) - (SELECT count(*) FROM notifications.inbox)";
            restless.insert("notifications to take".to_owned(), self.count(untold).await);
            let unsent = "SELECT count(*) FROM notifications.delivery WHERE state IN (1, 2, 4) OR due_time IS NOT NULL";
            restless.insert("notifications to send".to_owned(), self.count(unsent).await);
            restless.retain(|_, left| *left != 0);
            if restless.is_empty() {
                return;
            }
            assert!(began.elapsed() < AT_MOST, "the suite does not come to rest: {restless:?}");
            sleep(PERIOD).await;
        }
    }

    /// Positions are 1..=n, each once.
    async fn logs_are_whole(&mut self) {
        for (_, schema, _) in SCHEMAS {
            let (events, distinct, least, most, head): (i64, i64, i64, i64, i64) = sqlx::query_as(AssertSqlSafe(format!(
                "SELECT count(*), count(DISTINCT event_id), coalesce(min(position), 1), coalesce(max(position), 0), \
                 (SELECT position FROM {schema}.event_head) FROM {schema}.event"
            )))
            .fetch_one(&mut self.0)
            .await
            .unwrap();
            assert_eq!((least, most, head, distinct), (1, events, events, events), "the log of {schema} has gaps");
        }
    }

    /// Each acknowledged request has one event, and the event says what was answered.
    async fn every_write_is_there_once(&mut self, world: &World, written: &[Written]) {
        for schema in [tasks::SCHEMA, identity::SCHEMA] {
            let mut effects: BTreeMap<String, Vec<(String, i64)>> = BTreeMap::new();
            let query =
                format!("SELECT request_id, aggregate_id, type, body FROM {schema}.event WHERE aggregate IN ('work_item', 'workspace')");
            let rows: Vec<(String, String, String, Vec<u8>)> = sqlx::query_as(AssertSqlSafe(query)).fetch_all(&mut self.0).await.unwrap();
            for (request_id, aggregate_id, type_name, body) in rows {
                effects.entry(request_id).or_default().push((aggregate_id, version(&type_name, &body)));
            }
            for write in written.iter().filter(|write| write.schema == schema) {
                let effect = effects.remove(&write.request_id).unwrap_or_default();
                assert_eq!(effect, [(write.aggregate_id.clone(), write.version)], "{write:?}");
            }
            effects.retain(|request_id, _| !world.made.contains(request_id));
            assert_eq!(effects, BTreeMap::new(), "{schema} has effects that nobody asked for");
            let answers = format!("SELECT count(*) FROM {schema}.request WHERE answer IS NULL");
            assert_eq!(self.count(&answers).await, 0, "{schema} holds requests without an answer");
        }
    }

    /// The state is what the events say, and products number without gaps.
    async fn changes_are_events(&mut self, world: &World, written: &[Written]) {
        let changes = self.count("SELECT (SELECT sum(version) FROM tasks.work_item)::bigint + (SELECT count(*) FROM tasks.product)").await;
        assert_eq!(changes, self.count("SELECT count(*) FROM tasks.event").await, "changes and events of tasks");
        let made = world.shared.len() + world.product_ids.len();
        let asked = written.iter().filter(|write| write.schema == tasks::SCHEMA).count() + made;
        assert_eq!(usize::try_from(changes), Ok(asked), "changes and acknowledged writes of tasks");
        let workspaces = "SELECT count(*) FROM identity.workspace";
        let events = "SELECT count(*) FROM identity.event WHERE type = 'muster.identity.v1.WorkspaceCreated'";
        assert_eq!(self.count(workspaces).await, self.count(events).await, "workspaces and their events");
        let gaps = "SELECT count(*) FROM tasks.product AS p WHERE p.next_number - 1 <> (SELECT count(*) FROM tasks.work_item AS i WHERE \
             i.product_id = p.product_id AND i.number BETWEEN 1 AND p.next_number - 1)";
        assert_eq!(self.count(gaps).await, 0, "a product has gaps in its numbers");
    }

    /// The session moved on once for each successor that was answered, and no repeat of a lost answer ended it.
    async fn every_refresh_has_one_successor(&mut self, visits: &Visits) {
        let stands = "SELECT generation, state = 1 FROM identity.session WHERE session_id = $1::uuid";
        let (generation, is_active): (i64, bool) = sqlx::query_as(stands).bind(&visits.session_id).fetch_one(&mut self.0).await.unwrap();
        assert_eq!((generation, is_active), (1 + visits.successors, true), "{visits:?}");
        assert_eq!(self.count("SELECT count(*) FROM identity.event WHERE type LIKE '%.SessionRefreshReused'").await, 0);
    }

    /// A guess is charged before it is looked at, and what is told of it is committed afterwards: whenever the process died, no guess that was
    /// answered is forgotten, and none is told of that was not charged.
    async fn every_guess_is_counted(&mut self, visits: &Visits) {
        // Of the strangers of one network at one account.
        let charged = self.count("SELECT coalesce(max(failures), 0)::bigint FROM identity.auth_throttle WHERE scope = 2").await;
        let told = self.count("SELECT count(*) FROM identity.event WHERE type LIKE '%.SignInFailed'").await;
        let counts = [0, visits.wrong, told, charged, visits.guesses];
        assert!(visits.wrong > 0 && counts.is_sorted(), "answered, told, charged, made: {counts:?}");
    }

    /// The log of each service, audit's inbox and audit's records hold the same events at the same positions.
    async fn audit_has_every_event_once(&mut self) {
        for (service, schema, _) in SCHEMAS {
            let logged = format!("SELECT event_id, position FROM {schema}.event");
            let taken = format!("SELECT event_id, position FROM audit.inbox WHERE consumer = 'audit' AND service = '{service}'");
            let recorded = format!("SELECT audit_event_id, source_position FROM audit.record WHERE service = '{service}'");
            for (name, copy) in [("inbox rows", taken), ("records", recorded)] {
                let all = format!("SELECT count(*) FROM ({logged} EXCEPT ALL {copy}) AS lost");
                assert_eq!(self.count(&all).await, 0, "{name} of {service} are missing");
                let none = format!("SELECT count(*) FROM ({copy} EXCEPT ALL {logged}) AS surplus");
                assert_eq!(self.count(&none).await, 0, "{name} of {service} are too many");
            }
        }
    }

    /// Each item's versions rise by one along the positions, and its records were written in that order, transaction after transaction.
    async fn audit_kept_the_order(&mut self) {
        let rows: Vec<(String, String, i64, Vec<u8>)> = sqlx::query_as(
            "SELECT resource_id, type, xmin::text::bigint, body FROM audit.record WHERE service = 'tasks' AND resource_type = 'work_item' \
             ORDER BY source_position",
        )
        .fetch_all(&mut self.0)
        .await
        .unwrap();
        let mut last: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for (item, type_name, transaction, body) in rows {
            let (version_before, transaction_before) = last.get(&item).copied().unwrap_or_default();
            let version = version(&type_name, &body);
            assert_eq!(version, version_before + 1, "{item} in audit's copy");
            assert!(transaction > transaction_before, "{item}: version {version} was recorded before the one before it");
            last.insert(item, (version, transaction));
        }
        let stored: Vec<(String, i64)> =
            sqlx::query_as("SELECT work_item_id::text, version FROM tasks.work_item").fetch_all(&mut self.0).await.unwrap();
        let recorded: BTreeSet<(String, i64)> = last.into_iter().map(|(item, (version, _))| (item, version)).collect();
        assert_eq!(recorded, BTreeSet::from_iter(stored), "the last version of each item");
    }

    async fn authorization_knows_every_workspace(&mut self) {
        let unlike = "SELECT count(*) FROM (SELECT organization_id, workspace_id FROM identity.workspace) AS w FULL JOIN authz.workspace AS a \
             USING (organization_id, workspace_id) WHERE (w IS NULL) <> (a IS NULL)";
        assert_eq!(self.count(unlike).await, 0, "workspaces that one of the two does not know");
    }

    /// Each item that somebody is to do made one mail, which is lost only where nobody can know, and never came twice. What protects an account
    /// may come twice where nobody can know.
    async fn every_mail_is_accounted_for(&mut self, sink: &Sink) {
        let wanted = "SELECT count(*) FROM tasks.event WHERE type LIKE '%.WorkItemCreated'";
        let made = "SELECT count(*) FROM notifications.delivery WHERE category = 3";
        assert_eq!(self.count(wanted).await, self.count(made).await, "mails of assignments");
        let rows: Vec<(String, i16, bool, i16, i32)> =
            sqlx::query_as("SELECT delivery_id::text, state, handed_over, category, unknown_count FROM notifications.delivery")
                .fetch_all(&mut self.0)
                .await
                .unwrap();
        let mut taken = sink.taken();
        for (delivery_id, state, handed_over, category, unknown_count) in rows {
            let copies = taken.remove(&delivery_id).unwrap_or_default();
            let lost = usize::try_from(unknown_count).unwrap();
            let copies_max = if category == 3 { 1 } else { 1 + lost };
            let accounted = match state {
                // SENT, UNKNOWN, DEAD; OBSOLETE, as the proof of an address that was proved before its mail went.
                3 => copies >= 1,
                5 => handed_over,
                6 => copies <= lost,
                7 => category != 3 && copies <= lost,
                _ => false,
            };
            assert!(accounted && copies <= copies_max, "a mail of category {category} in state {state} came {copies} times");
        }
        assert_eq!(taken.len(), 0, "mails of no delivery: {taken:?}");
    }

    /// No dead letter, no event that waits for another try, no transaction or lock of a dead process.
    async fn nothing_is_left_behind(&mut self) {
        for (_, schema, _) in SCHEMAS {
            for table in ["dead_letter", "inbox_attempt", "outbox"] {
                assert_eq!(self.count(&format!("SELECT count(*) FROM {schema}.{table}")).await, 0, "{schema}.{table}");
            }
        }
        let open =
            "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND xact_start < now() - interval '2 seconds'";
        assert_eq!(self.count(open).await, 0, "open transactions");
    }
}

/// The version that an event of a work item leads to; 1 for what is only created.
fn version(type_name: &str, body: &[u8]) -> i64 {
    let after = match type_name {
        name if name == WorkItemCreated::full_name() => WorkItemCreated::decode(body).unwrap().after,
        name if name == WorkItemUpdated::full_name() => WorkItemUpdated::decode(body).unwrap().after,
        name if name == WorkItemTransitioned::full_name() => WorkItemTransitioned::decode(body).unwrap().after,
        _ => return 1,
    };
    after.unwrap().etag.parse().unwrap()
}
