//! The `buf.validate` rules of one field, as the calls that check them.
//!
//! A rule without a method in `src/request/field.rs` is refused, CEL among them: a rule that nothing enforces is worse than none.

use heck::ToShoutySnakeCase;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};
use regex_syntax::hir::Look;

use super::{names, options::Options, place::Refusals};

/// `buf.validate.IGNORE_IF_ZERO_VALUE`.
const IGNORE_IF_ZERO_VALUE: i32 = 1;

/// The rules of a field, or of the items of a list.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// `ignore: IGNORE_IF_ZERO_VALUE`.
    pub(crate) if_set: bool,
    pub(crate) required: bool,
    /// The calls, as `.min_len(1)`.
    pub(crate) calls: Vec<String>,
    /// Whether a rule bounds the size of the value.
    pub(crate) is_bounded: bool,
    /// The expression of a `string.pattern` rule, and the static that its call names.
    pub(crate) pattern: Option<Pattern>,
    /// The rules of a list's items.
    pub(crate) items: Option<Box<Rules>>,
}

/// A regular expression that is compiled once in the process.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) name: String,
    pub(crate) expression: String,
}

impl Rules {
    /// Whether the value must be a UUID.
    pub(crate) fn is_uuid(&self) -> bool {
        self.calls.iter().any(|call| call == ".uuid()")
    }
}

/// Reads the rules of a field.
pub(crate) fn read(field: &FieldDescriptor, options: &Options, refusals: &mut Refusals) -> Rules {
    let mut reader = Reader { field, refusals };
    match options.field_rules(field) {
        Some(rules) => reader.read(&rules, field.is_list()),
        None => Rules::default(),
    }
}

struct Reader<'a> {
    field: &'a FieldDescriptor,
    refusals: &'a mut Refusals,
}

impl Reader<'_> {
    fn read(&mut self, stated: &DynamicMessage, is_list: bool) -> Rules {
        let mut rules = Rules::default();
        let kind = self.field.kind();
        for (rule, value) in stated.fields() {
            match (rule.name(), value, &kind) {
                ("required", Value::Bool(required), Kind::Message(_)) if !is_list => rules.required = *required,
                ("ignore", Value::EnumNumber(IGNORE_IF_ZERO_VALUE), Kind::String) if !is_list => rules.if_set = true,
                ("repeated", Value::Message(list), _) if is_list && !self.field.is_map() => self.list(list, &mut rules),
                ("string", Value::Message(text), Kind::String) if !is_list => self.string(text, &mut rules),
                ("int32", Value::Message(range), Kind::Int32) if !is_list => self.number("int32", range, &mut rules),
                ("int64", Value::Message(range), Kind::Int64) if !is_list => self.number("int64", range, &mut rules),
                ("enum", Value::Message(values), Kind::Enum(kind)) if !is_list => {
                    self.enumeration(values, &names::enumeration(kind), &mut rules)
                }
                ("field_mask", Value::Message(mask), Kind::Message(message))
                    if !is_list && message.full_name() == "google.protobuf.FieldMask" =>
                {
                    self.mask(mask, &mut rules);
                }
                (name, ..) => self.refuse(name),
            }
        }
        rules
    }

    fn refuse(&mut self, rule: &str) {
        self.refusals
            .add(self.field, format_args!("no code for the rule `{rule}` here: src/request/field.rs and build/rules.rs are where it goes"));
    }

    /// The rules stated in one group, without its extensions: predefined CEL rules.
    fn stated<'m>(&mut self, group: &'m DynamicMessage) -> Vec<(String, &'m Value)> {
        if let Some((extension, _)) = group.extensions().next() {
            self.refuse(extension.full_name());
        }
        group.fields().map(|(rule, value)| (rule.name().to_owned(), value)).collect()
    }

    fn string(&mut self, group: &DynamicMessage, rules: &mut Rules) {
        for (rule, value) in self.stated(group) {
            let call = match (rule.as_str(), value) {
                ("uuid", Value::Bool(true)) => ".uuid()".to_owned(),
                ("email", Value::Bool(true)) => ".email()".to_owned(),
                ("min_len", Value::U64(min)) => format!(".min_len({min})"),
                ("max_len", Value::U64(max)) => format!(".max_len({max})"),
                ("max_bytes", Value::U64(max)) => format!(".max_bytes({max})"),
                ("pattern", Value::String(pattern)) => {
                    self.pattern(pattern, rules);
                    continue;
                }
                _ => {
                    self.refuse(&format!("string.{rule}"));
                    continue;
                }
            };
            rules.is_bounded |= matches!(rule.as_str(), "uuid" | "max_len" | "max_bytes");
            rules.calls.push(call);
        }
    }

    /// An expression that compiles here compiles in the process; one that matches no endless text bounds it.
    fn pattern(&mut self, pattern: &str, rules: &mut Rules) {
        match regex_syntax::parse(pattern) {
            Ok(expression) => {
                let properties = expression.properties();
                let is_whole = properties.look_set_prefix().contains(Look::Start) && properties.look_set_suffix().contains(Look::End);
                rules.is_bounded |= is_whole && properties.maximum_len().is_some();
                let (package, message) = (self.field.parent_message().package_name(), self.field.parent_message().name());
                let name = [names::owner(package), message, self.field.name()].map(|word| word.to_shouty_snake_case()).join("_");
                rules.calls.push(format!(".pattern(&{name})"));
                rules.pattern = Some(Pattern { name, expression: pattern.to_owned() });
            }
            Err(error) => self.refusals.add(self.field, format_args!("string.pattern is no regular expression: {error}")),
        }
    }

    fn number(&mut self, kind: &str, group: &DynamicMessage, rules: &mut Rules) {
        let stated = self.stated(group);
        let limit = |name: &str| stated.iter().find(|(rule, _)| rule == name).and_then(|(_, value)| integer(value));
        match (limit("gte"), limit("lte"), stated.len()) {
            (Some(min), Some(max), 2) if min <= max => rules.calls.push(format!(".between(\"{kind}.gte_lte\", {min}, {max})")),
            (Some(min), None, 1) => rules.calls.push(format!(".at_least(\"{kind}.gte\", {min})")),
            _ => {
                let names: Vec<_> = stated.iter().map(|(rule, _)| format!("{kind}.{rule}")).collect();
                self.refuse(&names.join(", "));
            }
        }
    }

    fn enumeration(&mut self, group: &DynamicMessage, rust_type: &str, rules: &mut Rules) {
        for (rule, value) in self.stated(group) {
            match (rule.as_str(), value) {
                ("defined_only", Value::Bool(true)) => rules.calls.push(format!(".defined({rust_type}::is_valid)")),
                ("not_in", Value::List(values)) => {
                    let values: Vec<_> = values.iter().filter_map(integer).map(|value| value.to_string()).collect();
                    rules.calls.push(format!(".not_in(&[{}])", values.join(", ")));
                }
                _ => self.refuse(&format!("enum.{rule}")),
            }
        }
    }

    fn list(&mut self, group: &DynamicMessage, rules: &mut Rules) {
        for (rule, value) in self.stated(group) {
            match (rule.as_str(), value) {
                ("min_items", Value::U64(min)) => rules.calls.push(format!(".min_items({min})")),
                ("max_items", Value::U64(max)) => {
                    rules.is_bounded = true;
                    rules.calls.push(format!(".max_items({max})"));
                }
                ("items", Value::Message(items)) => {
                    let items = self.read(items, false);
                    if items.required {
                        self.refuse("repeated.items.required");
                    }
                    rules.items = Some(Box::new(items));
                }
                _ => self.refuse(&format!("repeated.{rule}")),
            }
        }
    }

    fn mask(&mut self, group: &DynamicMessage, rules: &mut Rules) {
        for (rule, value) in self.stated(group) {
            match (rule.as_str(), value) {
                ("in", Value::List(paths)) => {
                    let paths: Vec<_> = paths.iter().filter_map(Value::as_str).collect();
                    rules.is_bounded = true;
                    rules.calls.push(format!(".only(&{paths:?})"));
                }
                _ => self.refuse(&format!("field_mask.{rule}")),
            }
        }
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::I32(number) => Some(i64::from(*number)),
        Value::I64(number) => Some(*number),
        _ => None,
    }
}
