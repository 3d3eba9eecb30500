//! Every rule that a request states for its fields, and the one that holds for all text; and a request that breaks it.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value as Proto};
use serde_json::{Map, Value, json};

/// What follows the name of a list in a path, and in an answer: its first item is meant.
const FIRST: &str = "[0]";
/// `muster.annotations.v1.SENSITIVITY_SECRET`.
const SECRET: i32 = 2;

/// A request that breaks one rule.
#[derive(Debug)]
pub struct Broken {
    /// The rule, for the report: `string.max_len`.
    pub rule: String,
    /// The field that the answer must name: `question.assignee_ids[0]`.
    pub field: String,
    /// The request.
    pub request: Value,
}

/// For each rule of `message`, the valid request `valid` with that rule broken.
pub fn broken(message: &MessageDescriptor, valid: &Value) -> Vec<Broken> {
    let mut found = Vec::new();
    within(message, &[], &mut |path, rule, field, value, others| {
        let mut request = valid.clone();
        for other in others {
            put(&mut request, &[other], None);
        }
        put(&mut request, path, value);
        found.push(Broken { rule: rule.to_owned(), field, request });
    });
    for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic() && is_required(&oneof.options(), "buf.validate.oneof")) {
        let mut request = valid.clone();
        for field in oneof.fields() {
            put(&mut request, &[field.json_name().to_owned()], None);
        }
        found.push(Broken { rule: "required".to_owned(), field: oneof.name().to_owned(), request });
    }
    found
}

/// Path in JSON, rule, field, value, and the other members of the field's oneof.
type Found<'a> = dyn FnMut(&[String], &str, String, Option<Value>, Vec<String>) + 'a;

/// Walks the fields of `message`, which stands at `path` of the request. Of a list of messages the first is broken.
fn within(message: &MessageDescriptor, path: &[(String, String)], found: &mut Found<'_>) {
    for field in message.fields() {
        let mut path = path.to_vec();
        path.push((field.json_name().to_owned(), field.name().to_owned()));
        let json: Vec<String> = path.iter().map(|(json, _)| json.clone()).collect();
        let name = path.iter().map(|(_, proto)| proto.as_str()).collect::<Vec<_>>().join(".");
        if matches!(field.kind(), Kind::String) && !is_exact(&field) {
            let (suffix, value) = if field.is_list() { (FIRST, json!(["a\u{7}b"])) } else { ("", json!("a\u{7}b")) };
            found(&json, "string.control", format!("{name}{suffix}"), Some(value), others(&field));
        }
        if let Some(rules) = option(&field.options(), "buf.validate.field") {
            for (rule, suffix, value) in values(&field, &rules) {
                found(&json, &rule, format!("{name}{suffix}"), value, others(&field));
            }
        }
        if let Kind::Message(inner) = field.kind()
            && inner.package_name().starts_with("muster.")
        {
            if let Some((json, proto)) = path.last_mut().filter(|_| field.is_list()) {
                (*json, *proto) = (format!("{json}{FIRST}"), format!("{proto}{FIRST}"));
            }
            within(&inner, &path, found);
        }
    }
}

/// The other members of the field's oneof, by their names in JSON.
fn others(field: &FieldDescriptor) -> Vec<String> {
    let members = field.containing_oneof().into_iter().flat_map(|oneof| oneof.fields().collect::<Vec<_>>());
    members.filter(|other| other != field).map(|other| other.json_name().to_owned()).collect()
}

/// Whether text is taken byte for byte.
fn is_exact(field: &FieldDescriptor) -> bool {
    let policy = option(&field.options(), "muster.annotations.v1.field");
    let stated = |policy: &DynamicMessage, name: &str| policy.get_field_by_name(name).map(std::borrow::Cow::into_owned);
    policy.is_some_and(|policy| {
        stated(&policy, "exact").and_then(|exact| exact.as_bool()) == Some(true)
            || stated(&policy, "sensitivity").and_then(|level| level.as_enum_number()) == Some(SECRET)
    })
}

/// Rule, what follows the field's name in the answer, and a value that breaks it (`None`: the field is left out).
fn values(field: &FieldDescriptor, rules: &DynamicMessage) -> Vec<(String, &'static str, Option<Value>)> {
    let mut broken = Vec::new();
    for (rule, stated) in rules.fields() {
        let Proto::Message(group) = stated else {
            if rule.name() == "required" && stated.as_bool() == Some(true) {
                broken.push(("required".to_owned(), "", None));
            }
            continue;
        };
        for (name, limit) in group.fields() {
            let full = format!("{}.{}", rule.name(), name.name());
            if full == "repeated.items" {
                let items = limit.as_message().into_iter().flat_map(|items| values(field, items));
                broken.extend(items.map(|(rule, _, value)| (rule, FIRST, Some(json!([value])))));
            } else if let Some(value) = value(field, &full, limit) {
                broken.push((full, "", Some(value)));
            }
        }
    }
    broken
}

/// A value that breaks one rule. `None` for what is no rule of its own.
fn value(field: &FieldDescriptor, rule: &str, limit: &Proto) -> Option<Value> {
    let number = || limit.as_u64().or_else(|| limit.as_i64().map(i64::cast_unsigned)).unwrap_or_default();
    let count = || usize::try_from(number()).expect("a limit that fits in memory");
    Some(match rule {
        "string.uuid" => json!("none"),
        "string.email" => json!("none"),
        "string.pattern" => json!("!"),
        "string.min_len" => json!(""),
        "string.max_len" | "string.max_bytes" => json!("x".repeat(count() + 1)),
        "int32.gte" | "int32.lte" => json!(limit.as_i32()? + if rule.ends_with("gte") { -1 } else { 1 }),
        "int64.gte" => json!(limit.as_i64()? - 1),
        "enum.defined_only" => json!(9999),
        "enum.not_in" => json!(0),
        "repeated.min_items" => json!([]),
        "repeated.max_items" => Value::Array(vec![item(field); count() + 1]),
        "field_mask.in" => json!("noSuchField"),
        _ => panic!("{}: this guard does not know how to break {rule}", field.full_name()),
    })
}

/// An item of a list that is as good as any.
fn item(field: &FieldDescriptor) -> Value {
    match field.kind() {
        Kind::Message(message) => {
            let names = message.fields().filter(|field| field.name() == "permission").map(|field| field.json_name().to_owned());
            Value::Object(names.map(|name| (name, json!("tasks.work_item.get"))).collect::<Map<_, _>>())
        }
        _ => json!(uuid::Uuid::nil()),
    }
}

fn put(request: &mut Value, path: &[String], value: Option<Value>) {
    let Some((name, rest)) = path.split_first() else { return };
    let object = request.as_object_mut().expect("a message is an object");
    if let Some(list) = name.strip_suffix(FIRST) {
        let list = object.entry(list).or_insert_with(|| json!([]));
        let list = list.as_array_mut().expect("a list");
        if list.is_empty() {
            list.push(json!({}));
        }
        put(&mut list[0], rest, value);
    } else if !rest.is_empty() {
        put(object.entry(name).or_insert_with(|| json!({})), rest, value);
    } else if let Some(value) = value {
        object.insert(name.clone(), value);
    } else {
        object.remove(name);
    }
}

fn is_required(options: &DynamicMessage, extension: &str) -> bool {
    option(options, extension)
        .is_some_and(|rules| rules.get_field_by_name("required").is_some_and(|required| required.as_bool() == Some(true)))
}

/// The option `name` of something, if it states it.
pub fn option(options: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    let extension = options.descriptor().parent_pool().get_extension_by_name(name)?;
    options.has_extension(&extension).then(|| options.get_extension(&extension).as_message().cloned()).flatten()
}
