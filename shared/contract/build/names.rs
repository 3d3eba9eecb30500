//! What prost calls the things of a `.proto` file in Rust.

use heck::{ToSnakeCase, ToUpperCamelCase};
use prost_reflect::{EnumDescriptor, FieldDescriptor, MessageDescriptor, OneofDescriptor};

/// Words that a field may be called by and Rust has another use for.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else", "enum", "extern", "false",
    "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub",
    "ref", "return", "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while",
    "yield",
];

/// The service of the suite that a package belongs to: `tasks` for `muster.tasks.v1`.
pub(crate) fn owner(package: &str) -> &str {
    package.split('.').nth(1).unwrap_or_default()
}

/// The type of a message of ours, from the crate's root: `crate::tasks::v1::WorkItem`.
pub(crate) fn message(message: &MessageDescriptor) -> String {
    type_path(message.package_name(), message.full_name())
}

/// The type of an enum of ours.
pub(crate) fn enumeration(kind: &EnumDescriptor) -> String {
    type_path(kind.package_name(), kind.full_name())
}

/// The enum that holds the members of a oneof.
pub(crate) fn oneof(oneof: &OneofDescriptor) -> String {
    let parent = oneof.parent_message();
    let (modules, name) =
        message(parent).rsplit_once("::").map(|(modules, name)| (modules.to_owned(), name.to_snake_case())).unwrap_or_default();
    format!("{modules}::{name}::{}", oneof.name().to_upper_camel_case())
}

/// The variant of a word, or of several with dots between: `TasksWorkItemCreate`.
pub(crate) fn variant(name: &str) -> String {
    let name: String = name.split('.').map(ToUpperCamelCase::to_upper_camel_case).collect();
    if name == "Self" { "Self_".to_owned() } else { name }
}

/// The struct field of a field or oneof.
pub(crate) fn field(name: &str) -> String {
    let name = name.to_snake_case();
    if KEYWORDS.contains(&name.as_str()) { format!("r#{name}") } else { name }
}

/// Whether prost keeps a field in an `Option`.
pub(crate) fn is_optional(field: &FieldDescriptor) -> bool {
    !field.is_list() && field.supports_presence()
}

fn type_path(package: &str, full_name: &str) -> String {
    let package_path = package.trim_start_matches("muster.").replace('.', "::");
    let mut names: Vec<_> = full_name[package.len() + 1..].split('.').collect();
    let name = names.pop().unwrap_or_default().to_upper_camel_case();
    let modules: String = names.iter().map(|parent| format!("{}::", parent.to_snake_case())).collect();
    format!("crate::{package_path}::{modules}{name}")
}
