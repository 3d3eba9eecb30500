//! The layers of a configuration laid over one another, each value with the place it came from.

use std::collections::BTreeMap;
use std::path::PathBuf;

use figment::Provider;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Tag, Value};

use super::Faults;

/// What the environment variables of the suite begin with. Two underscores, so that `MUSTER_TEST_LOG` and the like are none of it.
const PREFIX: &str = "MUSTER__";

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The TOML file; a file that is named must be there.
    pub file: Option<PathBuf>,
    /// Environment variables; those without the prefix `MUSTER__` are passed over.
    pub environment: Vec<(String, String)>,
    /// Dotted keys with values, from the command line: `("tasks.port", "7103")`.
    pub flags: Vec<(String, String)>,
}

impl Sources {
    /// `file`, the environment of this process, and `flags`.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(String, String)>) -> Self {
        let environment = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { file, environment: environment.collect(), flags }
    }
}

/// All layers merged.
#[derive(Debug, Default)]
pub(super) struct Layers {
    pub(super) values: Dict,
    leaves: BTreeMap<String, Leaf>,
}

#[derive(Debug)]
struct Leaf {
    origin: String,
    /// The text as it was typed, where a value came as text.
    raw: Option<String>,
}

impl Layers {
    /// Reads every source. `is_text` tells of which keys the value is text however it looks: a password of digits stays one.
    pub(super) fn read(sources: &Sources, is_text: impl Fn(&str) -> bool, faults: &mut Faults) -> Self {
        let mut layers = Layers::default();
        if let Some(file) = &sources.file {
            let origin = file.display().to_string();
            match std::fs::read_to_string(file) {
                Err(error) => faults.push_from(String::new(), format!("can't read the file: {error}"), Some(origin)),
                Ok(text) => match Toml::string(&text).data() {
                    Err(error) => faults.push_from(String::new(), format!("no TOML: {}", syntax(&text, &error)), Some(origin)),
                    Ok(data) => {
                        let values = data.into_values().next().unwrap_or_default();
                        layers.forget_replaced(&values, "", faults);
                        layers.lay(values, "", &origin);
                    }
                },
            }
        }
        let variables = sources.environment.iter().filter_map(|(name, value)| {
            let key = name.strip_prefix(PREFIX)?.to_lowercase().replace("__", ".");
            Some((key, value, name.clone()))
        });
        layers.lay_texts(variables, &is_text, faults);
        let flags = sources.flags.iter().map(|(key, value)| (key.to_lowercase(), value, format!("--set {key}")));
        layers.lay_texts(flags, &is_text, faults);
        layers
    }

    /// Where the value at `key` came from. A secret read from its file counts as coming from where the file was named.
    pub(super) fn origin(&self, key: &str) -> Option<String> {
        self.leaves.get(key).or_else(|| self.leaves.get(&format!("{key}_file"))).map(|leaf| leaf.origin.clone())
    }

    /// The text that was typed for `key` in the environment or in a flag.
    pub(super) fn raw(&self, key: &str) -> Option<&str> {
        self.leaves.get(key)?.raw.as_deref()
    }

    /// Every key with a value, dotted.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.leaves.keys().map(String::as_str)
    }

    fn lay_texts<'a>(
        &mut self,
        texts: impl Iterator<Item = (String, &'a String, String)>,
        is_text: impl Fn(&str) -> bool,
        faults: &mut Faults,
    ) {
        let mut layer = Dict::new();
        let mut origins = Vec::new();
        for (key, text, origin) in texts {
            if key.split('.').any(str::is_empty) {
                faults.push_from(key, "not a key: a part of it is empty".to_owned(), Some(origin));
                continue;
            }
            let value = if is_text(&key) { Value::from(text.clone()) } else { parsed(text) };
            set(&mut layer, &key, value);
            origins.push((key, origin, text.clone()));
        }
        self.forget_replaced(&layer, "", faults);
        for (key, origin, raw) in origins {
            if let Some(value) = find(&layer, &key).cloned() {
                self.leaves.retain(|leaf, _| leaf != &key && !leaf.starts_with(&format!("{key}.")));
                set(&mut self.values, &key, value);
                self.leaves.insert(key, Leaf { origin, raw: Some(raw) });
            }
        }
    }

    fn lay(&mut self, layer: Dict, prefix: &str, origin: &str) {
        for (key, value) in layer {
            let key = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
            match value {
                Value::Dict(_, inner) if !inner.is_empty() => self.lay(inner, &key, origin),
                value => {
                    set(&mut self.values, &key, value);
                    self.leaves.insert(key, Leaf { origin: origin.to_owned(), raw: None });
                }
            }
        }
    }

    /// A layer that gives `password` replaces a `password_file` from below, and the other way round; both in one layer is a fault.
    fn forget_replaced(&mut self, layer: &Dict, prefix: &str, faults: &mut Faults) {
        for (key, value) in layer {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            if let Value::Dict(_, inner) = value {
                self.forget_replaced(inner, &path, faults);
            }
            let (other, twin) = match key.strip_suffix("_file") {
                Some(plain) => (plain.to_owned(), path.trim_end_matches("_file").to_owned()),
                None => (format!("{key}_file"), format!("{path}_file")),
            };
            if layer.contains_key(&other) {
                if !key.ends_with("_file") {
                    faults.push_from(path, format!("given twice, also as `{other}`: keep one"), None);
                }
            } else if self.leaves.remove(&twin).is_some() {
                remove(&mut self.values, &twin);
            }
        }
    }
}

/// A number, a boolean, an array or a table when the text is one in TOML's notation, else the text itself.
fn parsed(text: &str) -> Value {
    text.parse().unwrap_or_else(|_: std::convert::Infallible| Value::from(text.to_owned()))
}

/// The place of a syntax fault without the line itself, which may hold a secret.
fn syntax(text: &str, error: &figment::Error) -> String {
    match toml::from_str::<toml::Table>(text) {
        Err(found) => {
            let line = found.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            format!("line {line}: {}", found.message())
        }
        Ok(_) => error.kind.to_string(),
    }
}

/// The value at a dotted key.
pub(super) fn find<'a>(dict: &'a Dict, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        None => dict.get(key),
        Some((first, rest)) => find(dict.get(first)?.as_dict()?, rest),
    }
}

/// Sets the value at a dotted key, making tables on the way; a value that stands in the way is replaced.
pub(super) fn set(dict: &mut Dict, key: &str, value: Value) {
    let Some((first, rest)) = key.split_once('.') else {
        dict.insert(key.to_owned(), value);
        return;
    };
    let slot = dict.entry(first.to_owned()).or_insert_with(|| Value::Dict(Tag::Default, Dict::new()));
    if !matches!(slot, Value::Dict(..)) {
        *slot = Value::Dict(Tag::Default, Dict::new());
    }
    if let Value::Dict(_, inner) = slot {
        set(inner, rest, value);
    }
}

/// Takes the value at a dotted key away.
pub(super) fn remove(dict: &mut Dict, key: &str) -> Option<Value> {
    match key.split_once('.') {
        None => dict.remove(key),
        Some((first, rest)) => match dict.get_mut(first)? {
            Value::Dict(_, inner) => remove(inner, rest),
            _ => None,
        },
    }
}
