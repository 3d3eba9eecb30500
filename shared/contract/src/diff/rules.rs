//! The rules of requests, before and after: a request that was taken is taken still.

use std::collections::{BTreeMap, HashSet};

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use super::{Pair, is_ours};

/// Rules that refuse a field that is not set, whatever their value.
const REFUSE_ABSENCE: [&str; 8] = ["required", "uuid", "email", "pattern", "min_len", "min_bytes", "min_items", "not_in"];

impl Pair<'_> {
    /// Compares every message that a request of today is or holds, and that was released.
    pub(super) fn rules(&mut self) {
        for message in request_messages(self.today) {
            let Some(released) = self.released.get_message_by_name(message.full_name()) else { continue };
            let was = leaves(self.released_options.message_rules(&released));
            let is = leaves(self.today_options.message_rules(&message));
            self.compare(message.full_name(), &was, &is);
            for field in message.fields() {
                let is = leaves(self.today_options.field_rules(&field));
                match released.get_field_by_name(field.name()) {
                    Some(before) => self.compare(field.full_name(), &leaves(self.released_options.field_rules(&before)), &is),
                    None if refuses_absence(&field, &is) => self.add(field.full_name(), "is new, and a request without it is refused"),
                    None => {}
                }
            }
            for oneof in message.oneofs() {
                let before = released.oneofs().find(|before| before.name() == oneof.name());
                let was_required = before.is_some_and(|before| self.released_options.is_required(&before));
                if !was_required && self.today_options.is_required(&oneof) {
                    self.add(oneof.full_name(), "became required");
                }
            }
        }
    }

    fn compare(&mut self, what: &str, was: &BTreeMap<String, Value>, is: &BTreeMap<String, Value>) {
        let names: HashSet<_> = was.keys().chain(is.keys()).collect();
        for name in names.into_iter().filter(|name| is_tighter(name, was.get(*name), is.get(*name))) {
            self.add(what, format_args!("its rule {name} became tighter"));
        }
    }
}

/// Every message that the request of one of our RPCs is or holds.
fn request_messages(pool: &DescriptorPool) -> Vec<MessageDescriptor> {
    let services = pool.services().filter(|service| is_ours(service.package_name()));
    let mut waiting: Vec<_> = services.flat_map(|service| service.methods().map(|method| method.input()).collect::<Vec<_>>()).collect();
    let (mut seen, mut found) = (HashSet::new(), Vec::new());
    while let Some(message) = waiting.pop() {
        if is_ours(message.package_name()) && seen.insert(message.full_name().to_owned()) {
            waiting.extend(message.fields().filter_map(|field| if let Kind::Message(inner) = field.kind() { Some(inner) } else { None }));
            found.push(message);
        }
    }
    found
}

/// The rules with their values, by path: `repeated.items.string.max_len`.
fn leaves(rules: Option<DynamicMessage>) -> BTreeMap<String, Value> {
    fn collect(prefix: &str, rules: &DynamicMessage, leaves: &mut BTreeMap<String, Value>) {
        for (field, value) in rules.fields().filter(|(field, _)| field.name() != "example") {
            let name = format!("{prefix}{}", field.name());
            match value {
                Value::Message(inner) => collect(&format!("{name}."), inner, leaves),
                leaf => {
                    leaves.insert(name, leaf.clone());
                }
            }
        }
    }
    let mut found = BTreeMap::new();
    if let Some(rules) = rules {
        collect("", &rules, &mut found);
    }
    found
}

/// Whether the rule called `name` may refuse what it took.
fn is_tighter(name: &str, was: Option<&Value>, is: Option<&Value>) -> bool {
    let loosens = leaf(name) == "ignore";
    let (was, is) = match (was, is) {
        (Some(was), Some(is)) => (was, is),
        (None, Some(_)) => return !loosens,
        (Some(_), None) => return loosens,
        (None, None) => return false,
    };
    match leaf(name) {
        "max_len" | "max_bytes" | "max_items" | "max_pairs" | "lte" | "lt" => number(is) < number(was),
        "min_len" | "min_bytes" | "min_items" | "min_pairs" | "gte" | "gt" => number(is) > number(was),
        "in" => !contains_all(is, was),
        "not_in" => !contains_all(was, is),
        _ => was != is && *is != Value::Bool(false),
    }
}

/// Whether a field that old callers don't know is refused when they leave it out.
fn refuses_absence(field: &FieldDescriptor, rules: &BTreeMap<String, Value>) -> bool {
    let is_skipped = field.supports_presence() || rules.contains_key("ignore");
    let refuses = |name: &String| REFUSE_ABSENCE.contains(&leaf(name)) && !name.contains(".items.") && (!is_skipped || name == "required");
    rules.keys().any(refuses) || (!is_skipped && rules.iter().any(|(name, value)| leaf(name) == "gte" && number(value) > Some(0.0)))
}

fn leaf(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::I32(number) => Some(f64::from(*number)),
        Value::U32(number) => Some(f64::from(*number)),
        Value::I64(number) => Some(*number as f64),
        Value::U64(number) => Some(*number as f64),
        Value::F32(number) => Some(f64::from(*number)),
        Value::F64(number) => Some(*number),
        _ => None,
    }
}

fn contains_all(all: &Value, some: &Value) -> bool {
    let (all, some) = (all.as_list().unwrap_or_default(), some.as_list().unwrap_or_default());
    some.iter().all(|value| all.contains(value))
}
