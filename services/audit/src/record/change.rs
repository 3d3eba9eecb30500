//! What an event says of before and after, read from its bytes by the contract's descriptors.
//!
//! Reflection belongs here: audit knows no event type by name, so a new event of any service is recorded and shown without a change.

use std::sync::LazyLock;

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};

static POOL: LazyLock<Option<DescriptorPool>> = LazyLock::new(|| DescriptorPool::decode(contract::DESCRIPTORS).ok());

/// What an event changed.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Change {
    /// The thing before, of its own message; absent when it came to be.
    pub before: Option<prost_types::Any>,
    /// The thing after, of its own message; absent when it ceased to be.
    pub after: Option<prost_types::Any>,
    /// Top-level fields in which the two differ, by name; empty unless both are there.
    pub changed_paths: Vec<String>,
}

/// Reads the change out of an event's `body` of message `type_name`.
///
/// An event of a type this build does not know, or whose bytes it can't read, has an empty change: the record itself is kept whole.
pub(crate) fn of(type_name: &str, body: &[u8]) -> Change {
    let Some(event) = POOL.as_ref().and_then(|pool| pool.get_message_by_name(type_name)).and_then(|d| DynamicMessage::decode(d, body).ok())
    else {
        return Change::default();
    };
    let before = resource(&event, "before");
    let after = resource(&event, "after");
    let changed_paths = match (&before, &after) {
        (Some(before), Some(after)) => before
            .descriptor()
            .fields()
            .filter(|field| before.get_field(field) != after.get_field(field))
            .map(|field| field.name().to_owned())
            .collect(),
        _ => Vec::new(),
    };
    Change { before: before.map(any), after: after.map(any), changed_paths }
}

fn resource(event: &DynamicMessage, field: &str) -> Option<DynamicMessage> {
    if !event.has_field_by_name(field) {
        return None;
    }
    match event.get_field_by_name(field)?.into_owned() {
        Value::Message(message) => Some(message),
        _ => None,
    }
}

fn any(message: DynamicMessage) -> prost_types::Any {
    prost_types::Any { type_url: format!("type.googleapis.com/{}", message.descriptor().full_name()), value: message.encode_to_vec() }
}

#[cfg(test)]
mod tests {
    use contract::tasks::v1::{WorkItem, WorkItemCreated, WorkItemState, WorkItemTransitioned};

    use super::*;

    fn item(state: WorkItemState, etag: &str) -> WorkItem {
        WorkItem { title: "paint the shed".into(), state: state.into(), etag: etag.into(), ..WorkItem::default() }
    }

    #[test]
    fn a_transition_shows_both_sides_and_what_differs() {
        let (before, after) = (item(WorkItemState::NotStarted, "1"), item(WorkItemState::InProgress, "2"));
        let event = WorkItemTransitioned { work_item_id: "x".into(), before: Some(before.clone()), after: Some(after) };
        let change = of("muster.tasks.v1.WorkItemTransitioned", &event.encode_to_vec());
        let shown = change.before.unwrap();
        assert_eq!(shown.type_url, "type.googleapis.com/muster.tasks.v1.WorkItem");
        assert_eq!(WorkItem::decode(shown.value.as_slice()).unwrap(), before);
        assert_eq!(change.changed_paths, ["state", "etag"]);
    }

    #[test]
    fn a_creation_has_no_before_and_no_changed_paths() {
        let event = WorkItemCreated { work_item_id: "x".into(), after: Some(item(WorkItemState::NotStarted, "1")) };
        let change = of("muster.tasks.v1.WorkItemCreated", &event.encode_to_vec());
        assert!(change.before.is_none() && change.after.is_some() && change.changed_paths.is_empty());
    }

    #[test]
    fn an_event_of_a_later_build_is_shown_without_its_change() {
        assert_eq!(of("muster.tasks.v9.SomethingNew", b"\x0a\x01x"), Change::default());
        assert_eq!(of("muster.tasks.v1.WorkItemCreated", b"\xff\xff"), Change::default());
    }
}
