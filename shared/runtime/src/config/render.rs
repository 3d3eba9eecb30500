//! The tree as TOML: the effective values for `config show`, the documented defaults for the example file.

use figment::value::{Dict, Empty, Value};

use super::layers::find;
use super::secret::{REDACTED, UNSET};
use super::{SectionSpec, Tree};
use crate::telemetry::redact;

/// The effective configuration as TOML, with `[redacted]` for every secret, for every value whose key names one, and for the password of a URL.
pub fn show<T: Tree>(config: &T) -> String {
    let tree = Value::serialize(config).ok().and_then(Value::into_dict).unwrap_or_default();
    let mut out = String::new();
    for section in T::sections() {
        if let Some(Value::Dict(_, values)) = tree.get(section.name) {
            Table { section: &section, values, documented: false }.write("", &mut out);
        }
    }
    out
}

/// An example file: every key with its doc and its default. It loads, and loads to the defaults.
pub fn example<T: Tree>() -> String {
    let mut out = String::new();
    for section in T::sections() {
        Table { section: &section, values: &(section.defaults)(), documented: true }.write("", &mut out);
    }
    out
}

/// Keys without a doc, and docs without a key, dotted. A test of the tree holds this empty.
pub fn undocumented<T: Tree>() -> Vec<String> {
    let mut found = Vec::new();
    for section in T::sections() {
        let (defaults, docs) = ((section.defaults)(), (section.docs)());
        let mut keys = Vec::new();
        leaves(&defaults, "", &mut keys);
        let open: Vec<&str> = docs.iter().filter_map(|(key, _)| key.strip_suffix(".*")).collect();
        keys.retain(|key| !open.iter().any(|table| key == table || key.starts_with(&format!("{table}."))));
        found.extend(keys.iter().filter(|key| !docs.iter().any(|(doc, _)| doc == key)).map(|key| format!("{}.{key}", section.name)));
        let stray = docs.iter().filter(|(key, _)| find(&defaults, key.trim_end_matches(".*")).is_none());
        found.extend(stray.map(|(key, _)| format!("{}.{key} (no such key)", section.name)));
    }
    found
}

fn leaves(dict: &Dict, prefix: &str, keys: &mut Vec<String>) {
    for (key, value) in dict {
        let path = join(prefix, key);
        match value {
            Value::Dict(_, inner) if !inner.is_empty() => leaves(inner, &path, keys),
            _ => keys.push(path),
        }
    }
}

struct Table<'a> {
    section: &'a SectionSpec,
    values: &'a Dict,
    documented: bool,
}

impl Table<'_> {
    /// Writes the table at `path` within the section: first its values, then its tables, as TOML wants.
    fn write(&self, path: &str, out: &mut String) {
        if self.documented && path.is_empty() {
            comment(self.section.doc, out);
        }
        *out += &format!("[{}]\n", join(self.section.name, path));
        let (tables, values): (Vec<_>, Vec<_>) = self.ordered(path).into_iter().partition(|(_, value)| matches!(value, Value::Dict(..)));
        for (key, value) in values {
            self.line(&join(path, key), key, value, out);
        }
        *out += "\n";
        for (key, value) in tables {
            if let Value::Dict(_, inner) = value {
                let full = join(path, key);
                if self.documented
                    && let Some(doc) = self.doc(&format!("{full}.*"))
                {
                    comment(doc, out);
                }
                Table { section: self.section, values: inner, documented: self.documented }.write(&full, out);
            }
        }
    }

    fn line(&self, path: &str, key: &str, value: &Value, out: &mut String) {
        if self.documented
            && let Some(doc) = self.doc(path)
        {
            comment(doc, out);
        }
        let secret = value.as_str().is_some_and(|shown| shown == UNSET || shown == REDACTED);
        if secret && self.documented {
            *out += &format!("# {key} = \"\"\n# {key}_file = \"\"\n");
        } else if matches!(value, Value::Empty(_, Empty::None | Empty::Unit)) {
            *out += &format!("# {key} =\n");
        } else {
            *out += &format!("{key} = {}\n", self.toml(path, value));
        }
    }

    fn toml(&self, path: &str, value: &Value) -> String {
        match value {
            Value::String(_, text) if self.documented => toml::Value::from(text.as_str()).to_string(),
            Value::String(_, text) if text == UNSET => toml::Value::from(UNSET).to_string(),
            Value::String(_, text) => toml::Value::from(redact::setting(path, text).as_ref()).to_string(),
            Value::Array(_, items) => format!("[{}]", items.iter().map(|item| self.toml(path, item)).collect::<Vec<_>>().join(", ")),
            other => toml::Value::try_from(other).map_or_else(|_| "\"\"".to_owned(), |value| value.to_string()),
        }
    }

    /// The entries in the order of the docs, what has none at the end.
    fn ordered(&self, path: &str) -> Vec<(&String, &Value)> {
        let docs = (self.section.docs)();
        let place = |key: &str| {
            let full = join(path, key);
            let within = |doc: &str| doc == full || doc.strip_prefix(&full).is_some_and(|rest| rest.starts_with('.'));
            docs.iter().position(|(doc, _)| within(doc)).unwrap_or(docs.len())
        };
        let mut entries: Vec<_> = self.values.iter().collect();
        entries.sort_by_key(|(key, _)| place(key));
        entries
    }

    fn doc(&self, path: &str) -> Option<&'static str> {
        (self.section.docs)().iter().find(|(key, _)| *key == path).map(|(_, doc)| *doc)
    }
}

fn comment(doc: &str, out: &mut String) {
    for line in doc.lines() {
        *out += &format!("# {line}\n");
    }
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() {
        key.to_owned()
    } else if key.is_empty() {
        prefix.to_owned()
    } else {
        format!("{prefix}.{key}")
    }
}
