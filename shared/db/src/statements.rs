//! The statements on the foundation's tables, rendered once for a schema. sqlx prepares each once a connection.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

/// A statement whose text holds nothing but constants and the schema's name.
#[derive(Clone, Debug)]
pub(crate) struct Text(Arc<str>);

impl Text {
    fn new(template: &str, schema: &str) -> Self {
        Text(template.replace(":schema", schema).into())
    }
}

impl SqlSafeStr for &Text {
    fn into_sql_str(self) -> SqlStr {
        AssertSqlSafe(self.0.clone()).into_sql_str()
    }
}

#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) claim: Text,
    pub(crate) answered: Text,
    pub(crate) outbox: Text,
    pub(crate) outbox_and_answer: Text,
    pub(crate) forget: Text,
    pub(crate) newest_migration: Text,
}

impl Statements {
    pub(crate) fn of(schema: &str) -> Self {
        Statements {
            claim: Text::new(CLAIM, schema),
            answered: Text::new(ANSWERED, schema),
            outbox: Text::new(OUTBOX, schema),
            outbox_and_answer: Text::new(&format!("{ANSWER} {OUTBOX}"), schema),
            forget: Text::new(FORGET, schema),
            newest_migration: Text::new("SELECT max(version) FROM :schema._sqlx_migrations", schema),
        }
    }
}

/// Waits for a transaction that holds the same row, and then takes part in what it did or did not.
const CLAIM: &str = "INSERT INTO :schema.request (organization_id, actor_id, method, request_id, body_sha256, create_time)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";

const ANSWERED: &str = "SELECT body_sha256, answer FROM :schema.request
    WHERE organization_id = $1 AND actor_id = $2 AND method = $3 AND request_id = $4";

/// Every event of a transaction, in the order in which they were emitted.
const OUTBOX: &str =
    "INSERT INTO :schema.outbox (event_id, organization_id, type, aggregate, aggregate_id, create_time, audit_action, actor_kind,
        actor_id, session_id, request_id, traceparent, causation_id, origin, redacted_paths, body)
    SELECT e.event_id, $1, e.type, e.aggregate, e.aggregate_id, $2, $3, $4, $5, $6, $7, $8, $9, e.origin,
        string_to_array(e.redacted_paths, ' '), e.body
    FROM unnest($10::uuid[], $11::text[], $12::text[], $13::text[], $14::bytea[], $15::text[], $16::bytea[])
        WITH ORDINALITY AS e (event_id, type, aggregate, aggregate_id, origin, redacted_paths, body, place)
    ORDER BY e.place";

/// Stands before [`OUTBOX`], so that a recorded call writes its answer and its events in one round trip.
const ANSWER: &str = "WITH answered AS (UPDATE :schema.request SET answer = $21
    WHERE organization_id = $1 AND actor_id = $17 AND method = $18 AND request_id = $19 AND body_sha256 = $20)";

const FORGET: &str = "DELETE FROM :schema.request WHERE (organization_id, actor_id, method, request_id) IN
    (SELECT organization_id, actor_id, method, request_id FROM :schema.request WHERE create_time < $1 ORDER BY create_time LIMIT $2)";
