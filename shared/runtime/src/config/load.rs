//! From layers to a typed tree, or to every fault in them.

use std::collections::BTreeMap;

use figment::error::{Actual, Kind};
use figment::value::{Dict, Tag, Value};

use super::layers::{Layers, find, remove, set};
use super::secret::{REDACTED, UNSET};
use super::{Fault, Faults, Invalid, SectionSpec, Sources, Tree};

/// A configuration in order.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The typed tree.
    pub config: T,
    /// What works today and should be changed, such as a retired key; for the log of the start.
    pub warnings: Vec<Fault>,
}

/// Reads `sources` over the defaults of `T`.
///
/// # Errors
/// [`Invalid`] with every unknown key, every unreadable secret file, every value out of range, and the first type fault of each section
/// (serde stops there).
pub fn load<T: Tree>(sources: &Sources) -> Result<Loaded<T>, Invalid> {
    let sections = T::sections();
    let mut known = Dict::new();
    for section in &sections {
        known.insert(section.name.to_owned(), Value::Dict(Tag::Default, (section.defaults)()));
    }
    let known = Known { defaults: known, open: open_tables(&sections), retired: retired(&sections) };
    let (mut faults, mut warnings) = (Faults::default(), Faults::default());
    let mut layers = Layers::read(sources, |key| known.is_text(key), &mut faults);
    known.sift(&mut layers, &mut faults, &mut warnings);
    for section in &sections {
        check(section, &mut layers, &mut faults);
    }
    let mut config = None;
    if faults.is_empty() {
        match Value::from(layers.values.clone()).deserialize::<T>() {
            Ok(tree) => {
                tree.validate(&mut faults);
                config = Some(tree);
            }
            Err(error) => faults.push_from(error.path.join("."), in_words(&error.kind), None),
        }
    }
    match config {
        Some(config) if faults.is_empty() => Ok(Loaded { config, warnings: warnings.into_sorted(|key| layers.origin(key)) }),
        _ => Err(Invalid { faults: faults.into_sorted(|key| layers.origin(key)) }),
    }
}

/// The keys that there are.
struct Known {
    defaults: Dict,
    open: Vec<String>,
    retired: BTreeMap<String, &'static str>,
}

impl Known {
    fn is_secret(&self, key: &str) -> bool {
        find(&self.defaults, key).and_then(Value::as_str).is_some_and(|shown| shown == UNSET || shown == REDACTED)
    }

    fn is_text(&self, key: &str) -> bool {
        let secret_file = key.strip_suffix("_file").is_some_and(|plain| self.is_secret(plain));
        secret_file || matches!(find(&self.defaults, key), Some(Value::String(..)))
    }

    fn is_known(&self, key: &str) -> bool {
        find(&self.defaults, key).is_some()
            || self.open.iter().any(|table| key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.')))
    }

    /// Takes out of `layers` what is no key: reads secrets from their files, warns of the retired, reports the unknown.
    fn sift(&self, layers: &mut Layers, faults: &mut Faults, warnings: &mut Faults) {
        let keys: Vec<String> = layers.keys().map(str::to_owned).collect();
        for key in keys {
            if let Some(instead) = self.retired.get(&key) {
                remove(&mut layers.values, &key);
                warnings.push(&key, format!("no longer read: {instead}"));
            } else if let Some(plain) = key.strip_suffix("_file").filter(|plain| self.is_secret(plain)) {
                match read_secret(remove(&mut layers.values, &key).as_ref()) {
                    Ok(secret) => set(&mut layers.values, plain, Value::from(secret)),
                    Err(fault) => faults.push(&key, fault),
                }
            } else if self.is_within_a_value(&key) {
                // `port.x = 1`: the type fault of the section says it better.
            } else if !self.is_known(&key) {
                remove(&mut layers.values, &key);
                faults.push(&key, self.unknown(&key));
            }
        }
    }

    /// Whether `key` continues a known key that is no table.
    fn is_within_a_value(&self, key: &str) -> bool {
        let mut parent = key;
        while let Some((shorter, _)) = parent.rsplit_once('.') {
            parent = shorter;
            match find(&self.defaults, parent) {
                Some(Value::Dict(..)) | None => {}
                Some(_) => return true,
            }
        }
        false
    }

    fn unknown(&self, key: &str) -> String {
        let (table, last) = key.rsplit_once('.').map_or((&self.defaults, key), |(parent, last)| {
            (find(&self.defaults, parent).and_then(Value::as_dict).unwrap_or(&self.defaults), last)
        });
        let near = table.keys().filter(|known| distance(known, last) <= 2).min_by_key(|known| distance(known, last));
        near.map_or_else(|| "unknown key".to_owned(), |near| format!("unknown key; did you mean `{near}`?"))
    }
}

fn open_tables(sections: &[SectionSpec]) -> Vec<String> {
    let open = |section: &SectionSpec| {
        let name = section.name;
        (section.docs)()
            .iter()
            .filter_map(move |(key, _)| key.strip_suffix(".*").map(|table| format!("{name}.{table}")))
            .collect::<Vec<_>>()
    };
    sections.iter().flat_map(open).collect()
}

fn retired(sections: &[SectionSpec]) -> BTreeMap<String, &'static str> {
    let of = |section: &SectionSpec| {
        let name = section.name;
        (section.retired)().iter().map(move |(key, instead)| (format!("{name}.{key}"), *instead)).collect::<Vec<_>>()
    };
    sections.iter().flat_map(of).collect()
}

fn read_secret(path: Option<&Value>) -> Result<String, String> {
    let path = path.and_then(Value::as_str).ok_or("must be the path of a file")?;
    let text = std::fs::read_to_string(path).map_err(|error| format!("can't read {path}: {error}"))?;
    let secret = text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if secret.is_empty() { Err(format!("{path} is empty")) } else { Ok(secret.to_owned()) }
}

/// Checks one section. A value from the environment that was read as a number where text is wanted is read again as text.
fn check(section: &SectionSpec, layers: &mut Layers, faults: &mut Faults) {
    for _ in 0..=layers.keys().count() {
        let value = layers.values.get(section.name).cloned().unwrap_or_else(|| Value::from(Dict::new()));
        let mut found = Ok(());
        faults.within(section.name, |faults| found = (section.check)(&value, faults));
        let Err(error) = found else { return };
        let key = std::iter::once(section.name).chain(error.path.iter().map(String::as_str)).collect::<Vec<_>>().join(".");
        let as_text = layers.raw(&key).map(str::to_owned).map(Value::from);
        match as_text {
            Some(text) if wants_text(&error.kind) && find(&layers.values, &key) != Some(&text) => set(&mut layers.values, &key, text),
            _ => return faults.push_from(key, in_words(&error.kind), None),
        }
    }
}

fn wants_text(kind: &Kind) -> bool {
    matches!(kind, Kind::InvalidType(actual, _) if !matches!(actual, Actual::Str(_)))
}

/// The type fault without the value.
fn in_words(kind: &Kind) -> String {
    match kind {
        Kind::InvalidType(actual, expected) => format!("must be {expected}, is {}", kind_of(actual)),
        Kind::InvalidValue(actual, expected) => format!("must be {expected}, and the {} given is not", kind_of(actual)),
        Kind::InvalidLength(length, expected) => format!("must be {expected}, has {length} elements"),
        Kind::UnknownVariant(_, expected) => format!("must be one of {}", expected.join(", ")),
        Kind::UnknownField(_, expected) => format!("holds an unknown key; known are {}", expected.join(", ")),
        Kind::MissingField(name) => format!("must hold `{name}`"),
        Kind::DuplicateField(name) => format!("holds `{name}` twice"),
        Kind::ISizeOutOfRange(_) | Kind::USizeOutOfRange(_) => "is out of range".to_owned(),
        Kind::Unsupported(actual) | Kind::UnsupportedKey(actual, _) => format!("can't be {}", kind_of(actual)),
        Kind::Message(text) => text.clone(),
    }
}

fn kind_of(actual: &Actual) -> &'static str {
    match actual {
        Actual::Bool(_) => "a boolean",
        Actual::Unsigned(_) | Actual::Signed(_) => "a whole number",
        Actual::Float(_) => "a fraction",
        Actual::Char(_) | Actual::Str(_) => "a text",
        Actual::Seq => "an array",
        Actual::Map => "a table",
        Actual::Unit | Actual::Option => "nothing",
        _ => "something else",
    }
}

/// The edit distance of two keys, where two neighbours swapped count as one edit: `prot` is nearer to `port` than to `pool`.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substituted = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = substituted.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before_last[j - 2] + 1);
            }
            row.push(least);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}
