//! What every event is about, and how what may not leave is cleared from it.
//!
//! Deliberately absent: the envelope's making, subjects and streams; `events` does that.

use crate::path::Path;

/// A message that tells what happened, of a package's `*_events.proto`.
///
/// The trait can't be implemented outside the contract.
pub trait Event: prost::Message + prost::Name + Default + Redact {
    /// The service that tells it: `identity`.
    const SERVICE: &'static str;
    /// The kind of thing that changed: `organization_member`.
    const AGGREGATE: &'static str;
    /// What happened to it: `created`.
    const PAST_TENSE: &'static str;

    /// The id of the thing that changed. Events of one key keep their order.
    fn key(&self) -> &str;

    /// Clears the fields that tell who a person is (sensitivity PII), and returns the dotted paths of those that were set.
    fn redact(&mut self) -> Vec<String> {
        let mut paths = Vec::new();
        self.redact_fields(&mut Redaction { within: None, paths: &mut paths });
        paths
    }
}

/// One row of [`EVENTS`].
#[derive(Debug, PartialEq, Eq)]
pub struct EventType {
    /// The full name of its message: `muster.identity.v1.OrganizationMemberCreated`.
    pub type_name: &'static str,
    /// As [`Event::SERVICE`].
    pub service: &'static str,
    /// As [`Event::AGGREGATE`].
    pub aggregate: &'static str,
    /// As [`Event::PAST_TENSE`].
    pub past_tense: &'static str,
    /// The field that [`Event::key`] reads: `member_key`.
    pub key_field: &'static str,
}

/// The row of the event whose message has this full name.
pub fn event_type(type_name: &str) -> Option<&'static EventType> {
    EVENTS.binary_search_by(|event| event.type_name.cmp(type_name)).ok().map(|index| &EVENTS[index])
}

/// A message that an event is, or holds.
pub trait Redact {
    /// Clears its sensitive fields.
    fn redact_fields(&mut self, _redaction: &mut Redaction<'_>) {}
}

/// The clearing of one message.
pub struct Redaction<'a> {
    within: Option<&'a Path<'a>>,
    paths: &'a mut Vec<String>,
}

impl Redaction<'_> {
    /// Clears `value` and keeps its path, unless there is nothing to clear.
    fn clear<T: Default + PartialEq>(&mut self, field: &'static str, value: &mut T) {
        if *value != T::default() {
            self.paths.push(Path { within: self.within, field, index: None }.to_string());
            *value = T::default();
        }
    }

    /// Clears the message in `field`, if there is one.
    fn message<T: Redact>(&mut self, field: &'static str, message: Option<&mut T>) {
        if let Some(message) = message {
            self.inside(field, None, message);
        }
    }

    fn inside<T: Redact>(&mut self, field: &'static str, index: Option<usize>, message: &mut T) {
        let path = Path { within: self.within, field, index };
        message.redact_fields(&mut Redaction { within: Some(&path), paths: &mut *self.paths });
    }
}

include!(concat!(env!("OUT_DIR"), "/events.rs"));
