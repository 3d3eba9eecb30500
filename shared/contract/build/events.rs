//! The events: messages with the option `muster.annotations.v1.event`, and the clearing of personal data in what they hold.

use std::{collections::BTreeMap, fmt::Write};

use heck::{ToSnakeCase, ToUpperCamelCase};
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use super::{
    header, is_ours, names,
    options::{Options, Sensitivity},
    our_messages,
    place::Refusals,
    policy::sensitive_path,
};

/// The events, and the messages they hold that may need clearing.
#[derive(Debug, Default)]
pub(crate) struct Events {
    events: Vec<Event>,
    /// By full name: the type and the lines of its `redact_fields`.
    redactions: BTreeMap<String, (String, String)>,
}

#[derive(Debug)]
struct Event {
    type_name: String,
    rust_type: String,
    service: String,
    aggregate: String,
    past_tense: String,
    key_field: String,
}

/// Every event, sorted by type.
pub(crate) fn read(pool: &DescriptorPool, options: &Options, refusals: &mut Refusals) -> Events {
    let mut read = Events::default();
    for message in our_messages(pool) {
        let Some(policy) = options.event(&message) else { continue };
        let subject = policy.aggregate.to_upper_camel_case();
        let past_tense =
            message.name().strip_prefix(&subject).filter(|rest| !rest.is_empty() && !subject.is_empty()).map(|rest| rest.to_snake_case());
        if past_tense.is_none() || policy.aggregate != policy.aggregate.to_snake_case() {
            refusals.add(&message, format_args!("an event is named <Aggregate><PastTense>, and its aggregate is `{}`", policy.aggregate));
        }
        let key = message.get_field_by_name(&policy.key_field);
        if !key.is_some_and(|key| {
            key.kind() == Kind::String && !key.is_list() && !key.supports_presence() && options.sensitivity(&key) == Sensitivity::None
        }) {
            refusals.add(&message, format_args!("key_field `{}` is no top-level string field, or a sensitive one", policy.key_field));
        }
        if let Some(path) = sensitive_path(&message, options, Sensitivity::Secret) {
            refusals.add(&message, format_args!("an event holds no SECRET, and its `{path}` is one"));
        }
        read_redaction(&message, options, &mut read.redactions, refusals);
        read.events.push(Event {
            type_name: message.full_name().to_owned(),
            rust_type: names::message(&message),
            service: names::owner(message.package_name()).to_owned(),
            aggregate: policy.aggregate,
            past_tense: past_tense.unwrap_or_default(),
            key_field: policy.key_field,
        });
    }
    read.events.sort_by(|a, b| a.type_name.cmp(&b.type_name));
    read
}

/// Reads how a message is cleared, and each that it holds.
fn read_redaction(message: &MessageDescriptor, options: &Options, known: &mut BTreeMap<String, (String, String)>, refusals: &mut Refusals) {
    if known.contains_key(message.full_name()) {
        return;
    }
    known.insert(message.full_name().to_owned(), Default::default());
    let lines = message.fields().filter_map(|field| redaction(&field, options, known, refusals)).collect();
    known.insert(message.full_name().to_owned(), (names::message(message), lines));
}

/// The line that clears a field, or what it holds.
fn redaction(
    field: &FieldDescriptor,
    options: &Options,
    known: &mut BTreeMap<String, (String, String)>,
    refusals: &mut Refusals,
) -> Option<String> {
    let (name, ident) = (field.name(), names::field(field.name()));
    let sensitive = options.sensitivity(field) != Sensitivity::None;
    let mut holds = false;
    if let Kind::Message(inner) = field.kind() {
        if inner.full_name() == "google.protobuf.Any" {
            refusals.add(field, "an event holds no Any: what is in it can't be cleared");
        } else if is_ours(inner.package_name()) {
            holds = sensitive_path(&inner, options, Sensitivity::Pii).is_some();
            read_redaction(&inner, options, known, refusals);
        }
    }
    if (sensitive || holds) && (field.is_map() || field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic())) {
        refusals.add(field, "a sensitive field of an event is in no oneof or map: build/events.rs has no code to clear it there");
    }
    match (sensitive, holds, field.is_list()) {
        (true, ..) => Some(format!("        redaction.clear({name:?}, &mut self.{ident});\n")),
        (false, true, true) => Some(format!(
            "        for (index, message) in self.{ident}.iter_mut().enumerate() {{\n            redaction.inside({name:?}, Some(index), message);\n        }}\n"
        )),
        (false, true, false) => Some(format!("        redaction.message({name:?}, self.{ident}.as_mut());\n")),
        _ => None,
    }
}

pub(crate) fn render(events: &Events) -> String {
    let mut out = header("events");
    out.push_str("/// Every event of the suite, sorted by type.\npub static EVENTS: &[EventType] = &[\n");
    for Event { type_name, service, aggregate, past_tense, key_field, .. } in &events.events {
        let _ = write!(
            out,
            r#"    EventType {{
        type_name: "{type_name}",
        service: "{service}",
        aggregate: "{aggregate}",
        past_tense: "{past_tense}",
        key_field: "{key_field}",
    }},
"#
        );
    }
    out.push_str("];\n\n");
    for Event { rust_type, service, aggregate, past_tense, key_field, .. } in &events.events {
        let _ = write!(
            out,
            r#"impl Event for {rust_type} {{
    const SERVICE: &'static str = "{service}";
    const AGGREGATE: &'static str = "{aggregate}";
    const PAST_TENSE: &'static str = "{past_tense}";

    fn key(&self) -> &str {{
        &self.{key}
    }}
}}

"#,
            key = names::field(key_field)
        );
    }
    for (type_name, (rust_type, lines)) in &events.redactions {
        let _ = if !lines.is_empty() {
            writeln!(
                out,
                "impl Redact for {rust_type} {{\n    fn redact_fields(&mut self, redaction: &mut Redaction<'_>) {{\n{lines}    }}\n}}\n"
            )
        } else if events.events.iter().any(|event| event.type_name == *type_name) {
            writeln!(out, "impl Redact for {rust_type} {{}}\n")
        } else {
            Ok(())
        };
    }
    out
}
