//! SQL of deliveries. `waits`, `claim`, `hand_over` and `forget` are of the worker role, which serves every organization; all else
//! stands in one.

use std::collections::BTreeMap;
use std::time::Duration;

use db::{Column, Cursor, Db, Filter, Kind, Page, PageRequest, Tx, WorkTx};
use runtime::OrganizationId;
use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder};
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Attempt, CHANNELS, Channel, Delivery, DeliveryId, Outcome, STATES, State};
use crate::category::{self, Category};
use crate::mail::Template;

/// What a filter may name.
pub(crate) static COLUMNS: &[Column] = &[
    Column::new("state", "state", Kind::Enum(STATES)),
    Column::new("category", "category", Kind::Enum(category::NAMES)),
    Column::new("channel", "channel", Kind::Enum(CHANNELS)),
    Column::new("template", "template", Kind::Text),
    Column::new("user_id", "recipient_id", Kind::Uuid),
    Column::new("invitation_id", "recipient_id", Kind::Uuid),
    Column::new("event_id", "event_id", Kind::Uuid),
    Column::new("create_time", "create_time", Kind::Time),
];

/// A delivery in hand.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    /// The delivery, SENDING, its attempt counted.
    pub delivery: Delivery,
    /// Whose it is, while it is.
    pub lease_token: Uuid,
    /// When the lease ends, or a little before.
    pub lease_until: Instant,
    /// Whether somebody had it in hand before and did not say what became of it.
    pub lapsed: bool,
    /// Whether that one may have handed it over.
    pub handed_over: bool,
}

/// What became of a delivery in hand, to be written.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// As it is from now on.
    pub after: Delivery,
    /// By which it is in hand.
    pub lease_token: Uuid,
    /// How the attempt ended.
    pub outcome: Outcome,
    /// What the server answered.
    pub smtp_code: Option<u16>,
}

/// Writes a delivery; false when there is one of the event to the person.
pub(crate) async fn insert(tx: &mut Tx, delivery: &Delivery) -> db::Result<bool> {
    let written = sqlx::query!(
        "INSERT INTO notifications.delivery (organization_id, delivery_id, recipient_id, event_id, channel, category, template, data, state,
                                             attempt_count, attempt_limit, unknown_count, due_time, create_time, update_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)
         ON CONFLICT (event_id, recipient_id, channel) DO NOTHING",
        delivery.organization_id as _,
        delivery.delivery_id as _,
        delivery.recipient_id,
        delivery.event_id,
        delivery.channel as _,
        delivery.category as _,
        delivery.template as _,
        &delivery.data as _,
        delivery.state as _,
        delivery.attempt_count,
        delivery.attempt_limit,
        delivery.unknown_count,
        delivery.due_time,
        delivery.create_time,
    )
    .execute(tx.conn())
    .await?;
    Ok(written.rows_affected() == 1)
}

/// Whether something is due, or in the hands of somebody whose lease ran out: one round trip, for who may find nothing.
pub(crate) async fn waits(db: &Db) -> db::Result<bool> {
    const SQL: &str = "SELECT EXISTS (SELECT FROM notifications.delivery WHERE due_time <= $1)
                           OR EXISTS (SELECT FROM notifications.delivery WHERE lease_expire_time <= clock_timestamp())";
    let now = db.clock().now();
    let (waits,): (bool,) = db.work_read_one(SQL, |query| query.bind(now)).await?;
    Ok(waits)
}

/// Takes at most `at_most` deliveries into hand for `lease`, those that are due longest, and writes down that their attempts begin, before
/// they do. One whose lease ran out is taken too, so that somebody says what became of it; that is no attempt.
pub(crate) async fn claim(tx: &mut WorkTx, lease_token: Uuid, lease: Duration, at_most: i64) -> db::Result<Vec<Claimed>> {
    let (now, lease_until) = (tx.now(), Instant::now() + lease);
    let rows = sqlx::query!(
        r#"WITH due AS (
               SELECT organization_id, delivery_id, false AS lapsed FROM notifications.delivery WHERE due_time <= $1
               ORDER BY due_time LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED),
           over AS (
               SELECT organization_id, delivery_id, true AS lapsed FROM notifications.delivery WHERE lease_expire_time <= clock_timestamp()
               ORDER BY lease_expire_time LIMIT $4 FOR NO KEY UPDATE SKIP LOCKED),
           chosen AS (SELECT * FROM (SELECT * FROM due UNION ALL SELECT * FROM over) AS every ORDER BY lapsed DESC LIMIT $4),
           taken AS (
               UPDATE notifications.delivery AS d
               SET state = 2, lease_token = $2, lease_expire_time = clock_timestamp() + make_interval(secs => $3), due_time = NULL, update_time = $1,
                   attempt_count = attempt_count + CASE WHEN chosen.lapsed THEN 0 ELSE 1 END, handed_over = chosen.lapsed AND handed_over
               FROM chosen WHERE d.organization_id = chosen.organization_id AND d.delivery_id = chosen.delivery_id
               RETURNING d.*, chosen.lapsed),
           attempt AS (
               INSERT INTO notifications.delivery_attempt (organization_id, delivery_id, number, start_time)
               SELECT organization_id, delivery_id, attempt_count, $1 FROM taken WHERE NOT lapsed)
           SELECT organization_id AS "organization_id!: OrganizationId", delivery_id AS "delivery_id!: DeliveryId", recipient_id AS "recipient_id!",
                  event_id AS "event_id!", channel AS "channel!: Channel", category AS "category!: Category", template AS "template!: Template",
                  data AS "data!: Json<BTreeMap<String, String>>", state AS "state!: State",
                  attempt_count AS "attempt_count!", attempt_limit AS "attempt_limit!", unknown_count AS "unknown_count!", due_time,
                  create_time AS "create_time!", update_time AS "update_time!", lapsed AS "lapsed!", handed_over AS "handed_over!"
           FROM taken ORDER BY create_time"#,
        now,
        lease_token,
        lease.as_secs_f64(),
        at_most,
    )
    .fetch_all(tx.conn())
    .await?;
    let claimed = rows.into_iter().map(|row| Claimed {
        delivery: Delivery {
            organization_id: row.organization_id,
            delivery_id: row.delivery_id,
            recipient_id: row.recipient_id,
            event_id: row.event_id,
            channel: row.channel,
            category: row.category,
            template: row.template,
            data: row.data,
            state: row.state,
            attempt_count: row.attempt_count,
            attempt_limit: row.attempt_limit,
            unknown_count: row.unknown_count,
            due_time: row.due_time,
            create_time: row.create_time,
            update_time: row.update_time,
        },
        lease_token,
        lease_until,
        lapsed: row.lapsed,
        handed_over: row.handed_over,
    });
    Ok(claimed.collect())
}

/// Writes down that those of `claimed` that are still in hand may reach an SMTP server from now on; answers which. Written once more it says
/// the same.
pub(crate) async fn hand_over(tx: &mut WorkTx, claimed: &[&Claimed]) -> db::Result<Vec<DeliveryId>> {
    let organization_ids: Vec<OrganizationId> = claimed.iter().map(|claimed| claimed.delivery.organization_id).collect();
    let delivery_ids: Vec<DeliveryId> = claimed.iter().map(|claimed| claimed.delivery.delivery_id).collect();
    let lease_tokens: Vec<Uuid> = claimed.iter().map(|claimed| claimed.lease_token).collect();
    let handed_over = sqlx::query_scalar!(
        r#"UPDATE notifications.delivery AS d SET handed_over = true
           FROM unnest($1::uuid[], $2::uuid[], $3::uuid[]) AS c (organization_id, delivery_id, lease_token)
           WHERE d.organization_id = c.organization_id AND d.delivery_id = c.delivery_id AND d.lease_token = c.lease_token
             AND d.lease_expire_time > clock_timestamp()
           RETURNING d.delivery_id AS "delivery_id!: DeliveryId""#,
        organization_ids as _,
        delivery_ids as _,
        &lease_tokens,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(handed_over)
}

/// Writes what became of deliveries of the organization; answers which were still in the hands of who says so.
pub(crate) async fn settle(tx: &mut Tx, said: &[Said]) -> db::Result<Vec<DeliveryId>> {
    let organization_id = tx.organization_id();
    let now = tx.now();
    let delivery_ids: Vec<DeliveryId> = said.iter().map(|said| said.after.delivery_id).collect();
    let lease_tokens: Vec<Uuid> = said.iter().map(|said| said.lease_token).collect();
    let states: Vec<i16> = said.iter().map(|said| said.after.state as i16).collect();
    let attempt_limits: Vec<i32> = said.iter().map(|said| said.after.attempt_limit).collect();
    let unknown_counts: Vec<i32> = said.iter().map(|said| said.after.unknown_count).collect();
    let due_times: Vec<Option<OffsetDateTime>> = said.iter().map(|said| said.after.due_time).collect();
    let outcomes: Vec<i16> = said.iter().map(|said| said.outcome as i16).collect();
    let smtp_codes: Vec<Option<i16>> = said.iter().map(|said| said.smtp_code.and_then(|code| i16::try_from(code).ok())).collect();
    let settled = sqlx::query_scalar!(
        r#"WITH said AS (
               SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::smallint[], $5::integer[], $6::integer[], $7::timestamptz[], $8::smallint[], $9::smallint[])
               AS s (delivery_id, lease_token, state, attempt_limit, unknown_count, due_time, outcome, smtp_code)),
           settled AS (
               UPDATE notifications.delivery AS d
               SET state = said.state, attempt_limit = said.attempt_limit, unknown_count = said.unknown_count, due_time = said.due_time,
                   lease_token = NULL, lease_expire_time = NULL, update_time = $10
               FROM said WHERE d.organization_id = $1 AND d.delivery_id = said.delivery_id AND d.lease_token = said.lease_token
               RETURNING d.delivery_id, d.attempt_count, said.outcome, said.smtp_code),
           attempt AS (
               UPDATE notifications.delivery_attempt AS a SET outcome = settled.outcome, smtp_code = settled.smtp_code, end_time = $10
               FROM settled WHERE a.organization_id = $1 AND a.delivery_id = settled.delivery_id AND a.number = settled.attempt_count)
           SELECT delivery_id AS "delivery_id!: DeliveryId" FROM settled"#,
        organization_id as _,
        delivery_ids as _,
        &lease_tokens,
        &states,
        &attempt_limits,
        &unknown_counts,
        due_times as _,
        &outcomes,
        smtp_codes as _,
        now,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(settled)
}

/// Writes what an admin may change of a delivery that this transaction has locked and nobody has in hand.
pub(crate) async fn update(tx: &mut Tx, delivery: &Delivery) -> db::Result<()> {
    sqlx::query!(
        "UPDATE notifications.delivery SET state = $3, attempt_limit = $4, unknown_count = $5, due_time = $6, update_time = $7
         WHERE organization_id = $1 AND delivery_id = $2",
        delivery.organization_id as _,
        delivery.delivery_id as _,
        delivery.state as _,
        delivery.attempt_limit,
        delivery.unknown_count,
        delivery.due_time,
        delivery.update_time,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// One delivery of the organization.
pub(crate) async fn get(tx: &mut Tx, id: DeliveryId) -> db::Result<Option<Delivery>> {
    one(tx, id, "").await
}

/// One delivery of the organization, locked until the transaction ends.
pub(crate) async fn lock(tx: &mut Tx, id: DeliveryId) -> db::Result<Option<Delivery>> {
    one(tx, id, " FOR NO KEY UPDATE").await
}

async fn one(tx: &mut Tx, id: DeliveryId, lock: &'static str) -> db::Result<Option<Delivery>> {
    let mut query = select(tx);
    query.push(" AND delivery_id = ").push_bind(id).push(lock);
    Ok(query.build_query_as::<Delivery>().fetch_optional(tx.conn()).await?)
}

/// The attempts of a delivery, the last 100, the first of them first.
pub(crate) async fn attempts(tx: &mut Tx, id: DeliveryId) -> db::Result<Vec<Attempt>> {
    let organization_id = tx.organization_id();
    let attempts = sqlx::query_as!(
        Attempt,
        r#"SELECT number, outcome AS "outcome: _", smtp_code, start_time, end_time FROM (
               SELECT * FROM notifications.delivery_attempt WHERE organization_id = $1 AND delivery_id = $2 ORDER BY number DESC LIMIT 100) AS a
           ORDER BY number"#,
        organization_id as _,
        id as _,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(attempts)
}

/// A page of the organization's deliveries that `filter` lets through, newest first.
pub(crate) async fn list(tx: &mut Tx, filter: &Filter, page: &PageRequest) -> db::Result<Page<Delivery>> {
    let mut query = select(tx);
    filter.push(&mut query);
    page.push(&mut query);
    let rows = query.build_query_as::<Delivery>().fetch_all(tx.conn()).await?;
    Ok(page.finish(rows, |delivery| Cursor::time(delivery.create_time, delivery.delivery_id)))
}

/// Lets at most `at_most` deliveries go that came to their end before `before`, and their attempts; says how many.
pub(crate) async fn forget(tx: &mut WorkTx, before: OffsetDateTime, at_most: i64) -> db::Result<u64> {
    let forgotten = sqlx::query!(
        "WITH over AS (
             SELECT organization_id, delivery_id FROM notifications.delivery
             WHERE create_time < $1 AND update_time < $1 AND state IN (3, 5, 6, 7) AND due_time IS NULL LIMIT $2 FOR UPDATE SKIP LOCKED),
         attempts AS (
             DELETE FROM notifications.delivery_attempt AS a USING over
             WHERE a.organization_id = over.organization_id AND a.delivery_id = over.delivery_id)
         DELETE FROM notifications.delivery AS d USING over WHERE d.organization_id = over.organization_id AND d.delivery_id = over.delivery_id",
        before,
        at_most,
    )
    .execute(tx.conn())
    .await?;
    Ok(forgotten.rows_affected())
}

fn select(tx: &Tx) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::<Postgres>::new(
        "SELECT organization_id, delivery_id, recipient_id, event_id, channel, category, template, data, state, attempt_count, attempt_limit,
                unknown_count, due_time, create_time, update_time
         FROM notifications.delivery WHERE organization_id = ",
    );
    query.push_bind(tx.organization_id());
    query
}

impl State {
    /// As a metric's label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Sending => "sending",
            State::Sent => "sent",
            State::RetryWait => "retry_wait",
            State::Unknown => "unknown",
            State::Dead => "dead",
            State::Obsolete => "obsolete",
        }
    }
}
