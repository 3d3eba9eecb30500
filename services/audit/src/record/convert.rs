//! Event to record, record to contract.

use contract::{
    audit::v1::AuditEvent,
    common::v1::{Actor, ActorKind, EventEnvelope},
    time::{datetime, timestamp},
};
use runtime::OrganizationId;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Record, change};
use crate::sealed::Sealed;

/// The record of an event, or what is wrong with its envelope.
pub(crate) fn record(envelope: &EventEnvelope, body: &[u8], sealed: &Sealed, now: OffsetDateTime) -> Result<Record, &'static str> {
    let audit_event_id: Uuid = envelope.event_id.parse().map_err(|_| "the event id is no UUID")?;
    let organization_id: OrganizationId = envelope.organization_id.parse().map_err(|_| "the organization id is no UUID")?;
    let create_time = envelope.create_time.as_ref().and_then(datetime).ok_or("the time can't be read")?;
    let actor = envelope.actor.clone().unwrap_or_default();
    let (client_address, user_agent) = sealed.seal(audit_event_id, &envelope.client_address, &envelope.user_agent);
    Ok(Record {
        organization_id,
        audit_event_id,
        service: envelope.service.clone(),
        source_position: envelope.position,
        action: envelope.audit_action.clone(),
        r#type: envelope.r#type.clone(),
        resource_type: envelope.aggregate.clone(),
        resource_id: envelope.aggregate_id.clone(),
        actor_kind: i16::try_from(actor.kind).unwrap_or_default(),
        actor_id: actor.actor_id,
        session_id: envelope.session_id.clone(),
        request_id: envelope.request_id.clone(),
        trace_id: trace_id(&envelope.traceparent).to_owned(),
        client_address,
        user_agent,
        redacted_paths: envelope.redacted_paths.clone(),
        body: body.to_vec(),
        create_time,
        record_time: now,
    })
}

/// The trace id inside a W3C traceparent `00-<trace>-<span>-<flags>`; empty when there is none.
fn trace_id(traceparent: &str) -> &str {
    traceparent.split('-').nth(1).unwrap_or_default()
}

/// A record as a list shows it: without before and after.
pub(super) fn summary(record: Record, sealed: &Sealed) -> AuditEvent {
    let (client_address, user_agent) = sealed.open(record.audit_event_id, record.client_address.as_deref(), record.user_agent.as_deref());
    let kind = ActorKind::try_from(i32::from(record.actor_kind)).unwrap_or_default();
    AuditEvent {
        audit_event_id: record.audit_event_id.to_string(),
        organization_id: record.organization_id.to_string(),
        service: record.service,
        action: record.action,
        r#type: record.r#type,
        resource_type: record.resource_type,
        resource_id: record.resource_id,
        actor: Some(Actor { kind: kind.into(), actor_id: record.actor_id }),
        session_id: record.session_id,
        request_id: record.request_id,
        trace_id: record.trace_id,
        client_address,
        user_agent,
        create_time: Some(timestamp(record.create_time)),
        record_time: Some(timestamp(record.record_time)),
        source_position: record.source_position,
        redacted_paths: record.redacted_paths,
        ..AuditEvent::default()
    }
}

/// A record with what was before and after.
pub(super) fn whole(record: Record, sealed: &Sealed) -> AuditEvent {
    let change = change::of(&record.r#type, &record.body);
    AuditEvent { before: change.before, after: change.after, changed_paths: change.changed_paths, ..summary(record, sealed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_is_found_in_a_traceparent_and_nowhere_else() {
        assert_eq!(trace_id("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(trace_id(""), "");
    }

    #[test]
    fn an_envelope_without_a_time_is_told_from_a_record() {
        let sealed = Sealed::new(db::Sealer::from_key(&[7; 32]));
        let envelope =
            EventEnvelope { event_id: Uuid::nil().to_string(), organization_id: Uuid::nil().to_string(), ..EventEnvelope::default() };
        assert_eq!(record(&envelope, b"", &sealed, OffsetDateTime::UNIX_EPOCH).unwrap_err(), "the time can't be read");
    }
}
