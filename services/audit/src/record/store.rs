//! SQL of the audit record.

use db::{Column, Cursor, EnumValue, Filter, Kind, OnConstraint, Page, PageRequest, Tx};
use events::Outcome;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use super::Record;

/// What a filter may name.
pub(crate) static COLUMNS: &[Column] = &[
    Column::new("service", "service", Kind::Text),
    Column::new("action", "action", Kind::Text),
    Column::new("type", "type", Kind::Text),
    Column::new("resource_type", "resource_type", Kind::Text),
    Column::new("resource_id", "resource_id", Kind::Text),
    Column::new(
        "actor_kind",
        "actor_kind",
        Kind::Enum(&[("USER", EnumValue::Int(1)), ("SERVICE", EnumValue::Int(2)), ("ANONYMOUS", EnumValue::Int(3))]),
    ),
    Column::new("actor_id", "actor_id", Kind::Text),
    Column::new("session_id", "session_id", Kind::Text),
    Column::new("request_id", "request_id", Kind::Text),
    Column::new("trace_id", "trace_id", Kind::Text),
    Column::new("create_time", "create_time", Kind::Time),
];

/// Writes a record; a second one of the same event changes nothing.
///
/// # Errors
/// [`Outcome::Poison`] for another event at a position that is recorded: two logs of one service are mixed up, and somebody must look.
pub(crate) async fn insert(tx: &mut Tx, record: &Record) -> Result<(), Outcome> {
    sqlx::query!(
        "INSERT INTO audit.record (organization_id, audit_event_id, service, source_position, action, type, resource_type, resource_id,
                                   actor_kind, actor_id, session_id, request_id, trace_id, client_address, user_agent, redacted_paths,
                                   body, create_time, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
         ON CONFLICT (organization_id, audit_event_id) DO NOTHING",
        record.organization_id as _,
        record.audit_event_id,
        record.service,
        record.source_position,
        record.action,
        record.r#type,
        record.resource_type,
        record.resource_id,
        record.actor_kind,
        record.actor_id,
        record.session_id,
        record.request_id,
        record.trace_id,
        record.client_address,
        record.user_agent,
        &record.redacted_paths,
        record.body,
        record.create_time,
        record.record_time,
    )
    .execute(tx.conn())
    .await
    .on_constraint("record_service_source_position_key", || Outcome::Poison("another event is recorded at this position".to_owned()))?;
    Ok(())
}

/// One record of the caller's organization.
pub(crate) async fn get(tx: &mut Tx, audit_event_id: Uuid) -> db::Result<Option<Record>> {
    let organization_id = tx.organization_id();
    let record = sqlx::query_as!(
        Record,
        r#"SELECT organization_id AS "organization_id: _", audit_event_id, service, source_position, action, type AS "type!", resource_type,
                  resource_id, actor_kind, actor_id, session_id, request_id, trace_id, client_address, user_agent, redacted_paths, body,
                  create_time, record_time
           FROM audit.record WHERE organization_id = $1 AND audit_event_id = $2"#,
        organization_id as _,
        audit_event_id,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(record)
}

/// A page of the organization's records that `filter` lets through.
pub(crate) async fn list(tx: &mut Tx, filter: &Filter, page: &PageRequest) -> db::Result<Page<Record>> {
    let mut query = QueryBuilder::<Postgres>::new(
        "SELECT organization_id, audit_event_id, service, source_position, action, type, resource_type, resource_id, actor_kind, actor_id,
                session_id, request_id, trace_id, client_address, user_agent, redacted_paths, body, create_time, record_time
         FROM audit.record WHERE organization_id = ",
    );
    query.push_bind(tx.organization_id());
    filter.push(&mut query);
    page.push(&mut query);
    let rows = query.build_query_as::<Record>().fetch_all(tx.conn()).await?;
    Ok(page.finish(rows, |record| Cursor::time(record.create_time, record.audit_event_id)))
}
