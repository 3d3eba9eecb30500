//! The RPCs and their policies.

use std::{collections::HashSet, fmt::Write};

use heck::ToSnakeCase;
use prost_reflect::{DescriptorPool, Kind, MessageDescriptor, MethodDescriptor};

use super::{
    header, is_ours, names,
    options::{Options, Policy, Sensitivity},
    place::Refusals,
    reasons::ReasonEnum,
    rules,
};

/// An RPC with its policy.
#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) descriptor: MethodDescriptor,
    pub(crate) policy: Policy,
}

impl Method {
    fn path(&self) -> String {
        format!("/{}/{}", self.descriptor.parent_service().full_name(), self.descriptor.name())
    }
}

/// Every RPC of the suite, sorted by path.
pub(crate) fn read(pool: &DescriptorPool, options: &Options, reasons: &[ReasonEnum], refusals: &mut Refusals) -> Vec<Method> {
    let mut methods = Vec::new();
    for service in pool.services().filter(|service| is_ours(service.package_name())) {
        for descriptor in service.methods() {
            let Some(policy) = options.policy(&descriptor) else {
                refusals.add(&descriptor, "an RPC states its policy: (muster.annotations.v1.method)");
                continue;
            };
            let method = Method { descriptor, policy };
            check(&method, options, refusals);
            check_reasons(&method, reasons, refusals);
            methods.push(method);
        }
    }
    methods.sort_by_key(Method::path);
    methods
}

fn check(method: &Method, options: &Options, refusals: &mut Refusals) {
    let Method { descriptor, policy } = method;
    let mut refuse = |why: &str| refusals.add(descriptor, why);
    for (name, value) in
        [("authn", &policy.authn), ("scope", &policy.scope), ("idempotency", &policy.idempotency), ("exposure", &policy.exposure)]
    {
        if value.is_empty() || value == "UNSPECIFIED" {
            refuse(&format!("its policy states no {name}"));
        }
    }
    if policy.deadline_default_ms == 0 || policy.deadline_default_ms > policy.deadline_max_ms {
        refuse("its deadline has 0 < default_ms <= max_ms");
    }
    if descriptor.is_client_streaming() {
        refuse("a client stream has no request to check; send one message");
    }

    let at_scope = matches!(policy.scope.as_str(), "SYSTEM" | "ORGANIZATION" | "WORKSPACE");
    if at_scope == policy.permission.is_empty() {
        refuse("a permission is stated exactly when the scope is SYSTEM, ORGANIZATION or WORKSPACE");
    }
    if policy.authn != "REQUIRED" && at_scope {
        refuse("a permission is held by a user: authn is REQUIRED");
    }
    if policy.authn == "SERVICE_ONLY" && policy.exposure != "INTERNAL" {
        refuse("a SERVICE_ONLY method is INTERNAL");
    }
    if (policy.authn == "SERVICE_ONLY") == policy.callers.is_empty() {
        refuse("callers are stated exactly when authn is SERVICE_ONLY");
    }
    if !policy.callers.is_sorted_by(|one, next| one < next) || policy.callers.iter().any(|caller| !is_word(caller)) {
        refuse("callers are names of services in snake_case, each once, in alphabetical order");
    }
    if let Some(step_up) = policy.step_up {
        if policy.authn != "REQUIRED" {
            refuse("a step_up is about a user's session: authn is REQUIRED");
        }
        if descriptor.is_server_streaming() {
            refuse("a step_up is seen when a call begins, and a stream outlives it");
        }
        if !(1..=2).contains(&step_up.aal) || !(60..=86_400).contains(&step_up.max_age_seconds) {
            refuse("its step_up has an aal of 1 or 2 and a max_age_seconds of 60 to 86400");
        }
    }
    let tenant = matches!(policy.scope.as_str(), "ORGANIZATION" | "WORKSPACE");
    if tenant && policy.grants.is_empty() {
        refuse("a permission of an ORGANIZATION or a WORKSPACE is granted to a role");
    }
    if !tenant && !policy.grants.is_empty() {
        refuse("grants are for the roles of an ORGANIZATION or a WORKSPACE");
    }
    if policy.grants.iter().any(|grant| grant.role == "UNSPECIFIED" || grant.reach == "UNSPECIFIED") {
        refuse("a grant states role and reach");
    }

    if policy.audit_action.is_empty() && policy.idempotency != "NO_SIDE_EFFECTS" {
        refuse("a method with side effects states its audit_action");
    }
    let owner = names::owner(descriptor.parent_service().package_name());
    for (name, value) in [("permission", &policy.permission), ("audit_action", &policy.audit_action)] {
        if !value.is_empty() && !is_dotted(value, owner) {
            refuse(&format!("{name} is `{owner}.<resource>.<verb>` in snake_case"));
        }
    }
    check_scope_field(method, options, refusals);
    check_request_id(method, options, refusals);
}

/// The scope of a call is named by a UUID that must be there; anything less could be left out to act elsewhere.
fn check_scope_field(Method { descriptor, policy }: &Method, options: &Options, refusals: &mut Refusals) {
    let name = &policy.scope_field;
    match policy.scope.as_str() {
        "WORKSPACE" if name.is_empty() => refusals.add(descriptor, "a method of a WORKSPACE names its scope_field"),
        "WORKSPACE" | "ORGANIZATION" if !name.is_empty() && !is_uuid(&descriptor.input(), name, options, false) => refusals.add(
            descriptor,
            format_args!("scope_field `{name}` is no top-level string field of {} with the rule string.uuid", descriptor.input().name()),
        ),
        "WORKSPACE" | "ORGANIZATION" => {}
        _ if name.is_empty() => {}
        _ => refusals.add(descriptor, "a scope_field is for the scopes ORGANIZATION and WORKSPACE"),
    }
}

/// A stored answer must be found again, and must hold nothing that may not be stored.
fn check_request_id(Method { descriptor, policy }: &Method, options: &Options, refusals: &mut Refusals) {
    if policy.idempotency != "REQUEST_ID" {
        return;
    }
    if !is_uuid(&descriptor.input(), "request_id", options, true) {
        let input = descriptor.input();
        refusals
            .add(descriptor, format_args!("IDEMPOTENCY_REQUEST_ID: {} has no `string request_id` with the rule string.uuid", input.name()));
    }
    if let Some(path) = sensitive_path(&descriptor.output(), options, Sensitivity::Secret) {
        refusals.add(descriptor, format_args!("IDEMPOTENCY_REQUEST_ID stores the response, and its `{path}` is SECRET"));
    }
}

fn check_reasons(Method { descriptor, policy }: &Method, reasons: &[ReasonEnum], refusals: &mut Refusals) {
    let package = descriptor.parent_service().package_name();
    for reason in &policy.reasons {
        let known =
            reasons.iter().any(|kind| (kind.package == package || kind.package == "muster.common.v1") && kind.wire.contains(reason));
        if !known {
            refusals.add(descriptor, format_args!("reason `{reason}` is in no reason enum of {package} nor of muster.common.v1"));
        }
    }
}

/// Whether `name` is a top-level string of `message` that must be a UUID; if `may_be_empty`, or nothing.
fn is_uuid(message: &MessageDescriptor, name: &str, options: &Options, may_be_empty: bool) -> bool {
    message.get_field_by_name(name).is_some_and(|field| {
        let rules = rules::read(&field, options, &mut Refusals::default());
        let plain = field.kind() == Kind::String && !field.is_list() && !field.supports_presence();
        plain && rules.is_uuid() && (may_be_empty || !rules.if_set)
    })
}

/// The path of the first field, of the message itself or of what it holds, that is at least so sensitive.
pub(crate) fn sensitive_path(message: &MessageDescriptor, options: &Options, at_least: Sensitivity) -> Option<String> {
    fn find(message: &MessageDescriptor, options: &Options, at_least: Sensitivity, seen: &mut HashSet<String>) -> Option<String> {
        if !seen.insert(message.full_name().to_owned()) {
            return None;
        }
        message.fields().find_map(|field| {
            if options.sensitivity(&field) >= at_least {
                return Some(field.name().to_owned());
            }
            let Kind::Message(inner) = field.kind() else { return None };
            find(&inner, options, at_least, seen).map(|path| format!("{}.{path}", field.name()))
        })
    }
    find(message, options, at_least, &mut HashSet::new())
}

/// Whether `name` is `owner` and two more words.
fn is_dotted(name: &str, owner: &str) -> bool {
    let words: Vec<_> = name.split('.').collect();
    words.len() == 3 && words[0] == owner && words.iter().all(|word| is_word(word))
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word == word.to_snake_case()
}

pub(crate) fn render(methods: &[Method]) -> String {
    let mut out = header("policy");
    out.push_str("/// Every RPC of the suite, sorted by path.\npub static METHODS: &[MethodPolicy] = &[\n");
    for method in methods {
        let Method { descriptor, policy } = method;
        let service = descriptor.parent_service();
        let permission = (!policy.permission.is_empty()).then(|| format!("Permission::{}", names::variant(&policy.permission)));
        let _ = write!(
            out,
            r#"    MethodPolicy {{
        path: "{path}",
        service: "{service}",
        name: "{name}",
        owner: "{owner}",
        authn: Authn::{authn},
        callers: &{callers:?},
        permission: {permission},
        scope: Scope::{scope},
        scope_field: {scope_field},
        audit_action: {audit_action},
        idempotency: Idempotency::{idempotency},
        deadline_default: Duration::from_millis({default_ms}),
        deadline_max: Duration::from_millis({max_ms}),
        exposure: Exposure::{exposure},
        reasons: &{reasons:?},
        server_streaming: {streaming},
        step_up: {step_up},
    }},
"#,
            path = method.path(),
            service = service.full_name(),
            name = descriptor.name(),
            owner = names::owner(service.package_name()),
            authn = names::variant(&policy.authn),
            callers = policy.callers,
            permission = permission.map_or("None".to_owned(), |permission| format!("Some({permission})")),
            scope = names::variant(&policy.scope),
            scope_field = optional(&policy.scope_field),
            audit_action = optional(&policy.audit_action),
            idempotency = names::variant(&policy.idempotency),
            default_ms = policy.deadline_default_ms,
            max_ms = policy.deadline_max_ms,
            exposure = names::variant(&policy.exposure),
            reasons = policy.reasons,
            streaming = descriptor.is_server_streaming(),
            step_up = policy.step_up.map_or("None".to_owned(), |step_up| {
                format!("Some(StepUp {{ max_age: Duration::from_secs({}), aal: {} }})", step_up.max_age_seconds, step_up.aal)
            }),
        );
    }
    out.push_str("];\n");
    out
}

fn optional(text: &str) -> String {
    if text.is_empty() { "None".to_owned() } else { format!("Some({text:?})") }
}
