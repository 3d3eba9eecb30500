//! The messages that requests are made of: their bounds, and the code that normalises and validates them.

use std::{collections::BTreeMap, fmt::Write};

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, OneofDescriptor};

use super::{
    header, is_ours, names,
    options::Options,
    our_messages,
    place::Refusals,
    policy::Method,
    rules::{self, Pattern, Rules},
};

/// Messages of Google's that a request may hold: they are bounded by themselves, but for the mask, which must state its paths.
const FOREIGN: &[&str] = &["google.protobuf.Duration", "google.protobuf.FieldMask", "google.protobuf.Timestamp"];

/// A message that a request is, or holds.
#[derive(Debug, Default)]
pub(crate) struct Message {
    rust_type: String,
    /// There when the message is the request of an RPC.
    request: Option<Request>,
    /// The lines of `normalize_text`.
    normalize: String,
    /// The lines of `check`, and the patterns they name.
    check: String,
    patterns: Vec<Pattern>,
}

#[derive(Debug)]
struct Request {
    scope_field: String,
    has_request_id: bool,
}

/// Every message that a request of `methods` is or holds, sorted by name.
pub(crate) fn read(pool: &DescriptorPool, methods: &[Method], options: &Options, refusals: &mut Refusals) -> Vec<Message> {
    let mut reader = Reader { options, refusals, messages: BTreeMap::new() };
    for method in methods {
        reader.message(&method.descriptor.input());
    }
    for Method { descriptor, policy } in methods {
        let input = descriptor.input();
        let Some(message) = reader.messages.get_mut(input.full_name()) else { continue };
        let request = Request {
            scope_field: policy.scope_field.clone(),
            has_request_id: input
                .get_field_by_name("request_id")
                .is_some_and(|field| field.kind() == Kind::String && !names::is_optional(&field)),
        };
        if message.request.replace(request).is_some() {
            reader.refusals.add(descriptor, format_args!("its request {} is that of another RPC already", input.name()));
        }
    }
    reader.unreached(pool);
    reader.messages.into_values().collect()
}

struct Reader<'a> {
    options: &'a Options,
    refusals: &'a mut Refusals,
    messages: BTreeMap<String, Message>,
}

impl Reader<'_> {
    fn message(&mut self, message: &MessageDescriptor) {
        if self.messages.contains_key(message.full_name()) {
            return;
        }
        let mut read = Message { rust_type: names::message(message), ..Default::default() };
        self.messages.insert(message.full_name().to_owned(), Default::default());
        if self.options.message_rules(message).is_some() {
            self.refusals.add(message, "no code for rules about a whole message, CEL among them: build/requests.rs is where it goes");
        }
        for field in message.fields().filter(|field| !in_oneof(field)) {
            self.field(&field, &mut read);
        }
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            self.oneof(&oneof, &mut read);
        }
        self.messages.insert(message.full_name().to_owned(), read);
    }

    /// Refuses rules that nothing looks at: those of messages that no request holds.
    fn unreached(&mut self, pool: &DescriptorPool) {
        for message in our_messages(pool).filter(|message| !self.messages.contains_key(message.full_name())) {
            if self.options.message_rules(&message).is_some() {
                self.refusals.add(&message, "no request holds this message, so nothing would enforce its rules");
            }
            for field in message.fields().filter(|field| self.options.field_rules(field).is_some()) {
                self.refusals.add(&field, "no request holds this field, so nothing would enforce its rules");
            }
        }
    }

    /// A field that is no member of a oneof.
    fn field(&mut self, field: &FieldDescriptor, message: &mut Message) {
        let rules = self.rules(field, message);
        let (name, ident) = (field.name(), names::field(field.name()));
        if field.is_list() {
            return self.list(field, &rules, message);
        }
        if rules.required {
            let _ = writeln!(message.check, "        check.field({name:?}, self.{ident}.as_ref()).required();");
        }
        let at = format!("check.field({name:?}, ");
        if names::is_optional(field) {
            if let Some(code) = self.check(field, "value", &at, &rules) {
                let _ = writeln!(message.check, "        if let Some(value) = &self.{ident} {{\n            {code}\n        }}");
            }
            if let Some(code) = self.normalize(field, "value") {
                let _ = writeln!(message.normalize, "        if let Some(value) = &mut self.{ident} {{\n            {code}\n        }}");
            }
        } else {
            if let Some(code) = self.check(field, &format!("&self.{ident}"), &at, &rules) {
                let _ = writeln!(message.check, "        {code}");
            }
            if let Some(code) = self.normalize(field, &format!("&mut self.{ident}")) {
                let _ = writeln!(message.normalize, "        {code}");
            }
        }
    }

    fn list(&mut self, field: &FieldDescriptor, rules: &Rules, message: &mut Message) {
        let (name, ident) = (field.name(), names::field(field.name()));
        if !rules.calls.is_empty() {
            let _ = writeln!(message.check, "        check.field({name:?}, self.{ident}.as_slice()){};", rules.calls.concat());
        }
        let items = Rules::default();
        let at = format!("check.item({name:?}, index, ");
        if let Some(code) = self.check(field, "item", &at, rules.items.as_deref().unwrap_or(&items)) {
            let _ =
                writeln!(message.check, "        for (index, item) in self.{ident}.iter().enumerate() {{\n            {code}\n        }}");
        }
        if let Some(code) = self.normalize(field, "item") {
            let _ = writeln!(message.normalize, "        for item in &mut self.{ident} {{\n            {code}\n        }}");
        }
    }

    fn oneof(&mut self, oneof: &OneofDescriptor, message: &mut Message) {
        let (name, ident, rust_type) = (oneof.name(), names::field(oneof.name()), names::oneof(oneof));
        if self.options.is_required(oneof) {
            let _ = writeln!(message.check, "        check.field({name:?}, self.{ident}.as_ref()).required();");
        }
        let (mut checks, mut normalizes) = (String::new(), String::new());
        for field in oneof.fields() {
            let rules = self.rules(&field, message);
            if rules.required {
                self.refusals.add(&field, "`required` is for the oneof, not for a member of it");
            }
            let variant = format!("{rust_type}::{}", names::variant(field.name()));
            if let Some(code) = self.check(&field, "value", &format!("check.field({:?}, ", field.name()), &rules) {
                let _ = writeln!(checks, "            Some({variant}(value)) => {{\n                {code}\n            }}");
            }
            if let Some(code) = self.normalize(&field, "value") {
                let _ = writeln!(normalizes, "            Some({variant}(value)) => {{\n                {code}\n            }}");
            }
        }
        if !checks.is_empty() {
            let _ = writeln!(message.check, "        match &self.{ident} {{\n{checks}            _ => {{}}\n        }}");
        }
        if !normalizes.is_empty() {
            let _ = writeln!(message.normalize, "        match &mut self.{ident} {{\n{normalizes}            _ => {{}}\n        }}");
        }
    }

    /// Reads a field's rules, and refuses a field that could be of any size.
    fn rules(&mut self, field: &FieldDescriptor, message: &mut Message) -> Rules {
        let rules = rules::read(field, self.options, self.refusals);
        message.patterns.extend(rules.pattern.iter().chain(rules.items.iter().filter_map(|items| items.pattern.as_ref())).cloned());
        if field.is_map() {
            self.refusals.add(field, "a request holds no map: build/requests.rs has no code for it");
            return rules;
        }
        if field.is_list() && !rules.is_bounded {
            self.refusals.add(field, "a list of a request states its maximum: repeated.max_items");
        }
        let is_bounded = if field.is_list() { rules.items.as_ref().is_some_and(|items| items.is_bounded) } else { rules.is_bounded };
        match field.kind() {
            Kind::String if !is_bounded => {
                self.refusals.add(field, "text of a request states its maximum: string.max_len, max_bytes, uuid or a pattern that ends")
            }
            Kind::Bytes if !is_bounded => self.refusals.add(field, "bytes of a request state their maximum: bytes.max_len"),
            Kind::Message(inner) if inner.full_name() == "google.protobuf.FieldMask" && !is_bounded => {
                self.refusals.add(field, "a mask of a request states its paths: field_mask.in");
            }
            Kind::Message(inner) if is_ours(inner.package_name()) => self.message(&inner),
            Kind::Message(inner) if !FOREIGN.contains(&inner.full_name()) => {
                self.refusals.add(field, format_args!("a {} in a request has no maximum", inner.full_name()));
            }
            _ => {}
        }
        rules
    }

    /// The statement that checks one value; `at` begins it.
    fn check(&self, field: &FieldDescriptor, value: &str, at: &str, rules: &Rules) -> Option<String> {
        let mut calls = String::new();
        let value = match field.kind() {
            Kind::Message(inner) if is_ours(inner.package_name()) => {
                let at = at.replace("check.field(", "check.message(").replace("check.item(", "check.message_item(");
                return Some(format!("{at}{value});"));
            }
            Kind::String => {
                if rules.if_set {
                    calls.push_str(".if_set()");
                }
                if !self.options.is_exact(field) && !rules.is_uuid() {
                    calls.push_str(".plain()");
                }
                format!("{}.as_str()", value.trim_start_matches('&'))
            }
            Kind::Message(_) => value.to_owned(),
            _ => value.strip_prefix('&').map_or_else(|| format!("*{value}"), str::to_owned),
        };
        calls.push_str(&rules.calls.concat());
        (!calls.is_empty()).then(|| format!("{at}{value}){calls};"))
    }

    /// The statement that normalises one value.
    fn normalize(&self, field: &FieldDescriptor, value: &str) -> Option<String> {
        match field.kind() {
            Kind::String if !self.options.is_exact(field) => Some(format!("text::normalize({value});")),
            Kind::Message(inner) if is_ours(inner.package_name()) => {
                Some(format!("{}.normalize_text();", value.trim_start_matches("&mut ")))
            }
            _ => None,
        }
    }
}

fn in_oneof(field: &FieldDescriptor) -> bool {
    field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic())
}

pub(crate) fn render(messages: &[Message]) -> String {
    let mut out = header("requests");
    for message in messages {
        for Pattern { name, expression } in &message.patterns {
            let _ = writeln!(out, "static {name}: LazyLock<Regex> = LazyLock::new(|| field::compiled({expression:?}));\n");
        }
        render_checked(message, &mut out);
        if let Some(request) = &message.request {
            render_request(&message.rust_type, request, &mut out);
        }
    }
    out
}

fn render_checked(Message { rust_type, normalize, check, .. }: &Message, out: &mut String) {
    let mut functions = Vec::new();
    if !normalize.is_empty() {
        functions.push(format!("    fn normalize_text(&mut self) {{\n{normalize}    }}\n"));
    }
    if !check.is_empty() {
        functions.push(format!("    fn check(&self, check: &mut Check<'_>) {{\n{check}    }}\n"));
    }
    render_impl("Checked", rust_type, &functions, out);
}

fn render_request(rust_type: &str, request: &Request, out: &mut String) {
    let mut functions = Vec::new();
    if !request.scope_field.is_empty() {
        let field = names::field(&request.scope_field);
        functions.push(format!("    fn scope_id(&self) -> Option<&str> {{\n        Some(&self.{field})\n    }}\n"));
    }
    if request.has_request_id {
        functions.push(
            "    fn request_id(&self) -> Option<&str> {\n        (!self.request_id.is_empty()).then_some(self.request_id.as_str())\n    }\n".to_owned(),
        );
    }
    render_impl("RequestMessage", rust_type, &functions, out);
}

fn render_impl(name: &str, rust_type: &str, functions: &[String], out: &mut String) {
    let _ = if functions.is_empty() {
        writeln!(out, "impl {name} for {rust_type} {{}}\n")
    } else {
        writeln!(out, "impl {name} for {rust_type} {{\n{}}}\n", functions.join("\n"))
    };
}
