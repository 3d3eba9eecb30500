//! The audit record: one for each event of any service, written once.
//!
//! Here: what a record is. Deliberately absent: any way to change or delete one; the database refuses it too.

pub(crate) mod change;
mod convert;
pub(crate) mod grpc;
pub(crate) mod ops;
pub(crate) mod store;

use runtime::OrganizationId;
use time::OffsetDateTime;
use uuid::Uuid;

/// A row of `audit.record`.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct Record {
    /// The tenant; the nil UUID is the system organization.
    pub organization_id: OrganizationId,
    /// The id of the event it records.
    pub audit_event_id: Uuid,
    /// The service that wrote the event.
    pub service: String,
    /// The event's place in that service's log.
    pub source_position: i64,
    /// From the catalogue of audit actions, as `tasks.work_item.create`.
    pub action: String,
    /// The full name of the event's message.
    pub r#type: String,
    /// The kind of thing it was done to.
    pub resource_type: String,
    /// The thing.
    pub resource_id: String,
    /// `muster.common.v1.ActorKind`.
    pub actor_kind: i16,
    /// The user's id or the service's name.
    pub actor_id: String,
    /// Empty for services.
    pub session_id: String,
    /// The request that did it.
    pub request_id: String,
    /// The W3C trace it was done in, 32 hex digits.
    pub trace_id: String,
    /// Sealed; `None` when not known.
    pub client_address: Option<Vec<u8>>,
    /// Sealed; `None` when not known.
    pub user_agent: Option<Vec<u8>>,
    /// Fields that were cleared before the event was stored.
    pub redacted_paths: Vec<String>,
    /// The event as it was on the bus.
    pub body: Vec<u8>,
    /// When it happened.
    pub create_time: OffsetDateTime,
    /// When it was recorded.
    pub record_time: OffsetDateTime,
}
