//! What is wrong with a configuration, all of it at once, and never with the value: it may be a secret in the wrong place.

use std::fmt;
use std::ops::RangeInclusive;

/// One thing wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The dotted key, e.g. `tasks.port`; empty when the whole file is meant.
    pub key: String,
    /// What is wrong and what would be right.
    pub message: String,
    /// Where the value came from: a file's path, a variable's name, a flag. `None` for a default.
    pub origin: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)?;
        self.origin.as_ref().map_or(Ok(()), |origin| write!(f, " ({origin})"))
    }
}

/// The faults found so far. A section's `validate` adds to it with keys relative to the section.
#[derive(Debug, Default)]
pub struct Faults {
    prefix: String,
    found: Vec<Fault>,
}

impl Faults {
    /// Adds a fault at `key`.
    pub fn push(&mut self, key: &str, message: impl Into<String>) {
        let key = if self.prefix.is_empty() { key.to_owned() } else { format!("{}.{key}", self.prefix) };
        self.found.push(Fault { key, message: message.into(), origin: None });
    }

    /// Adds a fault unless `value` is within `range`.
    pub fn range<T: PartialOrd + fmt::Display>(&mut self, key: &str, value: T, range: RangeInclusive<T>) {
        if !range.contains(&value) {
            self.push(key, format!("must be {}..={}, is {value}", range.start(), range.end()));
        }
    }

    /// Adds a fault when `value` is empty.
    pub fn not_empty(&mut self, key: &str, value: &str) {
        if value.is_empty() {
            self.push(key, "must be set");
        }
    }

    /// Adds a fault unless `right`.
    pub fn require(&mut self, key: &str, right: bool, message: impl Into<String>) {
        if !right {
            self.push(key, message);
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn within(&mut self, prefix: &str, add: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.prefix, prefix.to_owned());
        add(self);
        self.prefix = before;
    }

    pub(super) fn push_from(&mut self, key: String, message: String, origin: Option<String>) {
        self.found.push(Fault { key, message, origin });
    }

    /// Everything found, in the order of the keys, with `origin` filled in where it was not known.
    pub(crate) fn into_sorted(self, origin: impl Fn(&str) -> Option<String>) -> Vec<Fault> {
        let mut found = self.found;
        for fault in &mut found {
            fault.origin = fault.origin.take().or_else(|| origin(&fault.key));
        }
        found.sort_by(|a, b| (&a.key, &a.message).cmp(&(&b.key, &b.message)));
        found
    }
}

/// A configuration that can't be started with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {}:{}", counted(faults), listed(faults))]
pub struct Invalid {
    /// Every fault, in the order of the keys.
    pub faults: Vec<Fault>,
}

fn counted(faults: &[Fault]) -> String {
    if faults.len() == 1 { "1 fault".to_owned() } else { format!("{} faults", faults.len()) }
}

fn listed(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("\n  - {fault}")).collect()
}
