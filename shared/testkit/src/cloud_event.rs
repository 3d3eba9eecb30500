//! CloudEvents as another service's relay writes them: written a second time on purpose, from the specification and not from `shared/events`, so
//! that a change of the wire shows.
//!
//! Source: CloudEvents 1.0.2, NATS binding (binary mode) and HTTP binding 3.1.3.2 for the encoding of values.

use async_nats::HeaderMap;
use contract::common::v1::{ActorKind, EventEnvelope};
use contract::time::datetime;
use time::format_description::well_known::Rfc3339;

/// `muster.<service>.v1.<aggregate>.<past_tense>.<organization>`; the past tense of an unknown type is `happened`.
pub(crate) fn subject(envelope: &EventEnvelope) -> String {
    let past_tense = contract::event_type(&envelope.r#type).map_or("happened", |known| known.past_tense);
    format!("muster.{}.v1.{}.{past_tense}.{}", envelope.service, envelope.aggregate, envelope.organization_id)
}

/// The headers of an event; those without a value are left out.
pub(crate) fn headers(envelope: &EventEnvelope) -> HeaderMap {
    let actor = envelope.actor.clone().unwrap_or_default();
    let kind = match actor.kind() {
        ActorKind::User => "USER",
        ActorKind::Service => "SERVICE",
        ActorKind::Anonymous => "ANONYMOUS",
        ActorKind::Unspecified => "",
    };
    let time = envelope.create_time.as_ref().and_then(datetime).and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default();
    let source = format!("/muster/{}", envelope.service);
    let (position, redacted) = (envelope.position.to_string(), envelope.redacted_paths.join(","));
    let values = [
        ("ce-specversion", "1.0"),
        ("ce-id", &envelope.event_id),
        ("ce-source", &source),
        ("ce-type", &envelope.r#type),
        ("ce-subject", &envelope.aggregate_id),
        ("ce-time", &time),
        ("ce-datacontenttype", "application/protobuf"),
        ("ce-organization", &envelope.organization_id),
        ("ce-aggregate", &envelope.aggregate),
        ("ce-position", &position),
        ("ce-auditaction", &envelope.audit_action),
        ("ce-actorkind", kind),
        ("ce-actor", &actor.actor_id),
        ("ce-session", &envelope.session_id),
        ("ce-request", &envelope.request_id),
        ("ce-traceparent", &envelope.traceparent),
        ("ce-causation", &envelope.causation_id),
        ("ce-clientaddress", &envelope.client_address),
        ("ce-useragent", &envelope.user_agent),
        ("ce-redacted", &redacted),
    ];
    let mut headers = HeaderMap::new();
    values.into_iter().filter(|(_, value)| !value.is_empty()).for_each(|(name, value)| headers.insert(name, encoded(value)));
    headers
}

/// Everything but visible ASCII without `"` and `%`, in percents.
fn encoded(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_graphic() && byte != b'"' && byte != b'%' {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_stand_in_a_header_is_in_percents() {
        assert_eq!(encoded("curl/8 (é) 100%\r\n\""), "curl/8%20(%C3%A9)%20100%25%0D%0A%22");
    }

    #[test]
    fn a_known_type_gives_its_past_tense() {
        let envelope = EventEnvelope {
            r#type: "muster.tasks.v1.WorkItemCreated".into(),
            service: "tasks".into(),
            aggregate: "work_item".into(),
            organization_id: "o".into(),
            ..EventEnvelope::default()
        };
        assert_eq!(subject(&envelope), "muster.tasks.v1.work_item.created.o");
    }
}
