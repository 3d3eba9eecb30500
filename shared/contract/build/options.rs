//! Reads the custom options of `muster.annotations.v1` and `buf.validate` from raw descriptors.
//!
//! Used by the build script and, by the same file, by `src/diff`: both must read a policy the same way. Enum values are kept by name
//! without their prefix (`REQUIRED`): the build can't use the enums that it is about to generate.

use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, OneofDescriptor,
    ReflectMessage, Value,
};

/// The option of an RPC, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) authn: String,
    pub(crate) permission: String,
    pub(crate) scope: String,
    pub(crate) scope_field: String,
    pub(crate) audit_action: String,
    pub(crate) idempotency: String,
    pub(crate) deadline_default_ms: u32,
    pub(crate) deadline_max_ms: u32,
    pub(crate) exposure: String,
    pub(crate) reasons: Vec<String>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) callers: Vec<String>,
    pub(crate) step_up: Option<StepUp>,
}

/// How the caller's session must have been authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StepUp {
    pub(crate) max_age_seconds: u32,
    pub(crate) aal: u32,
}

/// The lowest base role that holds a permission, and its reach.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Grant {
    pub(crate) role: String,
    pub(crate) reach: String,
}

/// The option of an event, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventPolicy {
    pub(crate) aggregate: String,
    pub(crate) key_field: String,
}

/// How far the value of a field may travel. A higher one travels less far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sensitivity {
    None,
    Pii,
    Secret,
}

/// The extensions of one pool. One that no file of the pool declares is never set.
pub(crate) struct Options {
    method: Option<ExtensionDescriptor>,
    event: Option<ExtensionDescriptor>,
    field: Option<ExtensionDescriptor>,
    field_rules: Option<ExtensionDescriptor>,
    oneof_rules: Option<ExtensionDescriptor>,
    message_rules: Option<ExtensionDescriptor>,
}

impl Options {
    pub(crate) fn of(pool: &DescriptorPool) -> Self {
        Self {
            method: pool.get_extension_by_name("muster.annotations.v1.method"),
            event: pool.get_extension_by_name("muster.annotations.v1.event"),
            field: pool.get_extension_by_name("muster.annotations.v1.field"),
            field_rules: pool.get_extension_by_name("buf.validate.field"),
            oneof_rules: pool.get_extension_by_name("buf.validate.oneof"),
            message_rules: pool.get_extension_by_name("buf.validate.message"),
        }
    }

    /// The policy of an RPC, if it states one.
    pub(crate) fn policy(&self, method: &MethodDescriptor) -> Option<Policy> {
        let option = set(self.method.as_ref(), &method.options())?;
        let deadline = value(&option, "deadline").as_message().cloned();
        let limit = |name| deadline.as_ref().and_then(|deadline| value(deadline, name).as_u32()).unwrap_or_default();
        Some(Policy {
            authn: enum_name(&option, "authn"),
            permission: text(&option, "permission"),
            scope: enum_name(&option, "scope"),
            scope_field: text(&option, "scope_field"),
            audit_action: text(&option, "audit_action"),
            idempotency: enum_name(&option, "idempotency"),
            deadline_default_ms: limit("default_ms"),
            deadline_max_ms: limit("max_ms"),
            exposure: enum_name(&option, "exposure"),
            reasons: texts(&option, "reasons"),
            grants: messages(&option, "grants")
                .iter()
                .map(|grant| Grant { role: enum_name(grant, "role"), reach: enum_name(grant, "reach") })
                .collect(),
            callers: texts(&option, "callers"),
            step_up: option.has_field_by_name("step_up").then(|| value(&option, "step_up").as_message().map(step_up)).flatten(),
        })
    }

    /// The event option of a message, if it is an event.
    pub(crate) fn event(&self, message: &MessageDescriptor) -> Option<EventPolicy> {
        let option = set(self.event.as_ref(), &message.options())?;
        Some(EventPolicy { aggregate: text(&option, "aggregate"), key_field: text(&option, "key_field") })
    }

    pub(crate) fn sensitivity(&self, field: &FieldDescriptor) -> Sensitivity {
        let option = set(self.field.as_ref(), &field.options());
        match option.map(|option| enum_name(&option, "sensitivity")).as_deref() {
            Some("SECRET") => Sensitivity::Secret,
            Some("PII") => Sensitivity::Pii,
            _ => Sensitivity::None,
        }
    }

    /// Whether the text of a field is taken byte for byte: it says so, or it is a secret.
    pub(crate) fn is_exact(&self, field: &FieldDescriptor) -> bool {
        let option = set(self.field.as_ref(), &field.options());
        self.sensitivity(field) == Sensitivity::Secret || option.is_some_and(|option| value(&option, "exact").as_bool() == Some(true))
    }

    /// The `buf.validate` rules of a field, if it states any.
    pub(crate) fn field_rules(&self, field: &FieldDescriptor) -> Option<DynamicMessage> {
        set(self.field_rules.as_ref(), &field.options())
    }

    /// Whether `buf.validate` requires one member of a oneof.
    pub(crate) fn is_required(&self, oneof: &OneofDescriptor) -> bool {
        let option = set(self.oneof_rules.as_ref(), &oneof.options());
        option.is_some_and(|option| value(&option, "required").as_bool() == Some(true))
    }

    /// The `buf.validate` rules about a message as a whole, if it states any.
    pub(crate) fn message_rules(&self, message: &MessageDescriptor) -> Option<DynamicMessage> {
        set(self.message_rules.as_ref(), &message.options())
    }
}

fn step_up(option: &DynamicMessage) -> StepUp {
    let number = |name| value(option, name).as_u32().unwrap_or_default();
    StepUp { max_age_seconds: number("max_age_seconds"), aal: number("aal") }
}

/// The message of an extension that is set on `options`.
fn set(extension: Option<&ExtensionDescriptor>, options: &DynamicMessage) -> Option<DynamicMessage> {
    let extension = extension?;
    if !options.has_extension(extension) {
        return None;
    }
    options.get_extension(extension).as_message().cloned()
}

fn value(message: &DynamicMessage, name: &str) -> Value {
    message.get_field_by_name(name).map_or(Value::Bool(false), |value| value.into_owned())
}

fn text(message: &DynamicMessage, name: &str) -> String {
    value(message, name).as_str().unwrap_or_default().to_owned()
}

fn texts(message: &DynamicMessage, name: &str) -> Vec<String> {
    value(message, name).as_list().unwrap_or_default().iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn messages(message: &DynamicMessage, name: &str) -> Vec<DynamicMessage> {
    value(message, name).as_list().unwrap_or_default().iter().filter_map(Value::as_message).cloned().collect()
}

/// The name of an enum value without the prefix that it shares with the zero value: `AUTHN_REQUIRED` is `REQUIRED`.
fn enum_name(message: &DynamicMessage, name: &str) -> String {
    let Some(Kind::Enum(kind)) = message.descriptor().get_field_by_name(name).map(|field| field.kind()) else { return String::new() };
    let number = value(message, name).as_enum_number().unwrap_or_default();
    let prefix = kind.default_value().name().trim_end_matches("UNSPECIFIED").to_owned();
    kind.get_value(number).map(|value| value.name().strip_prefix(&prefix).unwrap_or(value.name()).to_owned()).unwrap_or_default()
}
