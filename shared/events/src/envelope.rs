//! What is known of an event beside its body, in its three shapes: a row of the log, CloudEvents headers on the bus (binary mode), and
//! `muster.common.v1.EventEnvelope` everywhere else.
//!
//! Header values are percent-encoded where CloudEvents asks for it, so that a user agent can't break a header.
//! Source: CloudEvents 1.0.2, HTTP binding 3.1.3.2 (the NATS binding takes its rules from there).
//!
//! Deliberately absent: how an envelope is first filled. `db::Tx::emit` does that, from the caller.

use async_nats::HeaderMap;
use bytes::Bytes;
use contract::common::v1::{Actor, ActorKind};
use contract::time::{datetime, timestamp};
use db::{Origin, Sealer};
use runtime::OrganizationId;
use sqlx::types::time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::Outcome;

/// What is known of an event beside its body.
pub use contract::common::v1::EventEnvelope as Envelope;

/// An event with its place in its service's log: what a tail yields and what a handler receives.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// What is known of it.
    pub envelope: Envelope,
    /// The protobuf message that `envelope.type` names, at most 256 KiB.
    pub body: Bytes,
}

/// What a handler receives: an event that came over the bus.
pub type Received = Logged;

/// Why a message of the bus is no event.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvelopeError {
    /// A header that every event has is missing.
    #[error("the header `{0}` is missing")]
    Missing(&'static str),
    /// A header does not hold what its name says. The value is left out: it may be anything.
    #[error("the header `{0}` can't be read")]
    Unreadable(&'static str),
}

impl Logged {
    /// The event's id. Nil only when the row or message was checked by nobody.
    pub fn event_id(&self) -> Uuid {
        self.envelope.event_id.parse().unwrap_or_default()
    }

    /// The tenant it belongs to.
    pub fn organization_id(&self) -> OrganizationId {
        self.envelope.organization_id.parse::<Uuid>().unwrap_or_default().into()
    }

    /// Its place in its service's log. It only grows, also for one aggregate: a projection guards its row with `source_version < position`.
    pub fn position(&self) -> i64 {
        self.envelope.position
    }

    /// The body, when this is an `E`; `None` when it is another event.
    ///
    /// # Errors
    /// [`Outcome::Poison`] when it says that it is an `E` and can't be decoded as one: no later try will do better.
    pub fn of<E: contract::Event>(&self) -> Result<Option<E>, Outcome> {
        if self.envelope.r#type != E::full_name() {
            return Ok(None);
        }
        E::decode(self.body.clone()).map(Some).map_err(|error| Outcome::Poison(format!("the body is no {}: {error}", E::full_name())))
    }
}

/// The columns of `outbox` and `event` beside `seq` and `position`, in the order the statements use them.
pub(crate) const COLUMNS: &str = "event_id, organization_id, type, aggregate, aggregate_id, create_time, audit_action, actor_kind, actor_id, \
     session_id, request_id, traceparent, causation_id, origin, redacted_paths, body";

/// A row of the log.
#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    position: i64,
    event_id: Uuid,
    organization_id: Uuid,
    r#type: String,
    aggregate: String,
    aggregate_id: String,
    create_time: OffsetDateTime,
    audit_action: Option<String>,
    actor_kind: String,
    actor_id: String,
    session_id: Option<Uuid>,
    request_id: String,
    traceparent: String,
    causation_id: Option<Uuid>,
    origin: Option<Vec<u8>>,
    redacted_paths: Vec<String>,
    body: Vec<u8>,
}

impl Row {
    /// The event, with its origin opened. One that does not open, sealed under another key file, is told as not known: it must not hold back
    /// the events behind it, which no address is worth.
    pub(crate) fn into_logged(self, service: &str, sealer: &Sealer) -> Logged {
        let origin = Origin::open(sealer, self.event_id, self.origin.as_deref());
        let Origin { client_address, user_agent } = origin.unwrap_or_else(|error| {
            tracing::warn!(service, event_id = %self.event_id, %error, "where the call of an event came from can't be read");
            Origin::default()
        });
        let envelope = Envelope {
            event_id: self.event_id.to_string(),
            r#type: self.r#type,
            service: service.to_owned(),
            position: self.position,
            organization_id: self.organization_id.to_string(),
            aggregate: self.aggregate,
            aggregate_id: self.aggregate_id,
            create_time: Some(timestamp(self.create_time)),
            audit_action: self.audit_action.unwrap_or_default(),
            actor: Some(Actor { kind: actor_kind(&self.actor_kind).into(), actor_id: self.actor_id }),
            session_id: self.session_id.map(|id| id.to_string()).unwrap_or_default(),
            request_id: self.request_id,
            traceparent: self.traceparent,
            causation_id: self.causation_id.map(|id| id.to_string()).unwrap_or_default(),
            client_address,
            user_agent,
            redacted_paths: self.redacted_paths,
        };
        Logged { envelope, body: Bytes::from(self.body) }
    }
}

/// `muster.<service>.v1.<aggregate>.<past_tense>.<organization>`.
///
/// The past tense is read off the type, not looked up: a relay must also publish what a newer build wrote.
pub(crate) fn subject(envelope: &Envelope) -> String {
    let name = envelope.r#type.rsplit('.').next().unwrap_or_default();
    let aggregate: String = envelope.aggregate.split('_').map(capitalized).collect();
    let past_tense = snake(name.strip_prefix(&aggregate).unwrap_or(name));
    format!("muster.{}.v1.{}.{past_tense}.{}", envelope.service, envelope.aggregate, envelope.organization_id)
}

fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

fn snake(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !text.is_empty() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// The CloudEvents headers of an event, and `Nats-Msg-Id`, by which the server drops the second of two.
pub(crate) fn to_headers(envelope: &Envelope) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: &str| {
        if !value.is_empty() {
            headers.insert(name, encoded(value));
        }
    };
    let actor = envelope.actor.clone().unwrap_or_default();
    let time = envelope.create_time.as_ref().and_then(datetime).and_then(|time| time.format(&Rfc3339).ok());
    set("ce-specversion", "1.0");
    set("ce-id", &envelope.event_id);
    set("ce-source", &format!("/muster/{}", envelope.service));
    set("ce-type", &envelope.r#type);
    set("ce-subject", &envelope.aggregate_id);
    set("ce-time", &time.unwrap_or_default());
    set("ce-datacontenttype", "application/protobuf");
    set("ce-organization", &envelope.organization_id);
    set("ce-aggregate", &envelope.aggregate);
    set("ce-position", &envelope.position.to_string());
    set("ce-auditaction", &envelope.audit_action);
    set("ce-actorkind", actor_kind_name(actor.kind()));
    set("ce-actor", &actor.actor_id);
    set("ce-session", &envelope.session_id);
    set("ce-request", &envelope.request_id);
    set("ce-traceparent", &envelope.traceparent);
    set("ce-causation", &envelope.causation_id);
    set("ce-clientaddress", &envelope.client_address);
    set("ce-useragent", &envelope.user_agent);
    set("ce-redacted", &envelope.redacted_paths.join(","));
    headers
}

/// Reads the headers of a message. What a handler relies on is checked here: ids are ids, the position is positive.
///
/// # Errors
/// The first header that is missing or can't be read.
pub(crate) fn from_headers(headers: &HeaderMap) -> Result<Envelope, EnvelopeError> {
    let text = |name: &'static str| match headers.get(name) {
        Some(value) => decoded(value.as_str()).ok_or(EnvelopeError::Unreadable(name)),
        None => Ok(String::new()),
    };
    let needed =
        |name: &'static str| text(name).and_then(|value| if value.is_empty() { Err(EnvelopeError::Missing(name)) } else { Ok(value) });
    let id = |name: &'static str| {
        needed(name).and_then(|value| if value.parse::<Uuid>().is_ok() { Ok(value) } else { Err(EnvelopeError::Unreadable(name)) })
    };
    if needed("ce-specversion")? != "1.0" {
        return Err(EnvelopeError::Unreadable("ce-specversion"));
    }
    let source = needed("ce-source")?;
    let service = source.strip_prefix("/muster/").ok_or(EnvelopeError::Unreadable("ce-source"))?;
    let position = needed("ce-position")?.parse().ok().filter(|position| *position > 0).ok_or(EnvelopeError::Unreadable("ce-position"))?;
    let time = OffsetDateTime::parse(&needed("ce-time")?, &Rfc3339).map_err(|_| EnvelopeError::Unreadable("ce-time"))?;
    let redacted = text("ce-redacted")?;
    Ok(Envelope {
        event_id: id("ce-id")?,
        r#type: needed("ce-type")?,
        service: service.to_owned(),
        position,
        organization_id: id("ce-organization")?,
        aggregate: needed("ce-aggregate")?,
        aggregate_id: needed("ce-subject")?,
        create_time: Some(timestamp(time)),
        audit_action: text("ce-auditaction")?,
        actor: Some(Actor { kind: actor_kind(&text("ce-actorkind")?).into(), actor_id: text("ce-actor")? }),
        session_id: text("ce-session")?,
        request_id: text("ce-request")?,
        traceparent: text("ce-traceparent")?,
        causation_id: text("ce-causation")?,
        client_address: text("ce-clientaddress")?,
        user_agent: text("ce-useragent")?,
        redacted_paths: redacted.split(',').filter(|path| !path.is_empty()).map(str::to_owned).collect(),
    })
}

fn actor_kind(name: &str) -> ActorKind {
    match name {
        "USER" => ActorKind::User,
        "SERVICE" => ActorKind::Service,
        "ANONYMOUS" => ActorKind::Anonymous,
        _ => ActorKind::Unspecified,
    }
}

fn actor_kind_name(kind: ActorKind) -> &'static str {
    match kind {
        ActorKind::User => "USER",
        ActorKind::Service => "SERVICE",
        ActorKind::Anonymous => "ANONYMOUS",
        ActorKind::Unspecified => "",
    }
}

fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'"' | b'%' => text.push_str(&format!("%{byte:02X}")),
            0x21..=0x7e => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
