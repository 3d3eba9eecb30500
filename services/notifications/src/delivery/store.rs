//! SQL of deliveries. `claim` and `forget` are of the worker role, which serves every organization; all else stands in one.

use std::collections::BTreeMap;
use std::time::Duration;

use db::{Column, Cursor, Filter, Kind, Page, PageRequest, Tx, WorkTx};
use runtime::OrganizationId;
use sqlx::types::Json;
use sqlx::{Postgres, QueryBuilder};
use time::OffsetDateTime;
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
    /// Whether somebody had it in hand before and did not say what became of it.
    pub lapsed: bool,
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

/// Takes the delivery that is due longest into hand for `lease`, and writes down that an attempt begins, before it does. One whose lease ran
/// out is taken too, so that somebody says what became of it; that is no attempt.
pub(crate) async fn claim(tx: &mut WorkTx, lease_token: Uuid, lease: Duration) -> db::Result<Option<Claimed>> {
    let now = tx.now();
    let row = sqlx::query!(
        r#"WITH due AS (
               SELECT organization_id, delivery_id, state = 2 AS lapsed FROM notifications.delivery WHERE due_time <= $1
               ORDER BY due_time LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED),
           taken AS (
               UPDATE notifications.delivery AS d
               SET state = 2, lease_token = $2, due_time = $3, update_time = $1, attempt_count = attempt_count + CASE WHEN due.lapsed THEN 0 ELSE 1 END
               FROM due WHERE d.organization_id = due.organization_id AND d.delivery_id = due.delivery_id
               RETURNING d.*, due.lapsed),
           attempt AS (
               INSERT INTO notifications.delivery_attempt (organization_id, delivery_id, number, start_time)
               SELECT organization_id, delivery_id, attempt_count, $1 FROM taken WHERE NOT lapsed)
           SELECT organization_id AS "organization_id!: OrganizationId", delivery_id AS "delivery_id!: DeliveryId", recipient_id AS "recipient_id!",
                  event_id AS "event_id!", channel AS "channel!: Channel", category AS "category!: Category", template AS "template!: Template",
                  data AS "data!: Json<BTreeMap<String, String>>", state AS "state!: State",
                  attempt_count AS "attempt_count!", attempt_limit AS "attempt_limit!", unknown_count AS "unknown_count!", due_time,
                  create_time AS "create_time!", update_time AS "update_time!", lapsed AS "lapsed!"
           FROM taken"#,
        now,
        lease_token,
        now + lease,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Claimed {
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
        lapsed: row.lapsed,
    }))
}

/// Writes what became of a delivery that was in hand by `lease_token`; false when it is in other hands by now.
pub(crate) async fn settle(tx: &mut Tx, after: &Delivery, lease_token: Uuid, outcome: Outcome, smtp_code: Option<u16>) -> db::Result<bool> {
    let smtp_code = smtp_code.and_then(|code| i16::try_from(code).ok());
    let settled = sqlx::query!(
        "WITH settled AS (
             UPDATE notifications.delivery SET state = $4, unknown_count = $5, due_time = $6, lease_token = NULL, update_time = $7
             WHERE organization_id = $1 AND delivery_id = $2 AND lease_token = $3
             RETURNING attempt_count)
         UPDATE notifications.delivery_attempt AS a SET outcome = $8, smtp_code = $9, end_time = $7
         FROM settled WHERE a.organization_id = $1 AND a.delivery_id = $2 AND a.number = settled.attempt_count",
        after.organization_id as _,
        after.delivery_id as _,
        lease_token,
        after.state as _,
        after.unknown_count,
        after.due_time,
        after.update_time,
        outcome as _,
        smtp_code,
    )
    .execute(tx.conn())
    .await?;
    Ok(settled.rows_affected() == 1)
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
