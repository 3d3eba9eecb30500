//! Configuration: a TOML file, the environment and flags over working defaults, checked as a whole before anything starts.
//!
//! Each crate owns its section, a documented struct that implements [`Section`]; `services/muster` composes the sections into one tree.
//! [`load`] reports every fault at once, because a deploy that fails five times for five typing errors is five deploys.
//!
//! Rules: a higher layer wins key by key (flags over environment over file over default). `MUSTER__TASKS__PORT=7103` sets `tasks.port`.
//! A key whose value is a [`Secret`] may be given as `<key>_file` instead. New code starts with an old file: new keys have defaults, and a
//! key that was taken away stays in [`Section::retired`], where it is a warning.
//!
//! Deliberately absent: reloading. A process reads its configuration once; what changes at run time (log levels) has its own way.

mod faults;
mod layers;
mod load;
mod render;
mod secret;
#[cfg(test)]
mod tests;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use faults::{Fault, Faults, Invalid};
pub use layers::Sources;
pub use load::{Loaded, load};
pub use render::{example, show, undocumented};
pub use secret::Secret;

use figment::value::{Dict, Value};

/// One section of the tree. The struct carries `#[serde(deny_unknown_fields, default)]`, and `Default` gives values that work.
pub trait Section: Serialize + DeserializeOwned + Default + 'static {
    /// Every key with one line on what it is, its unit and range; nested keys are dotted, a free-form table is `peers.*`. In this order the
    /// keys stand in the example file.
    fn docs() -> &'static [(&'static str, &'static str)];

    /// Adds a fault for every value out of range. Called when the types fit.
    fn validate(&self, faults: &mut Faults) {
        let _ = faults;
    }

    /// Keys that an old file may still carry, each with what became of it.
    fn retired() -> &'static [(&'static str, &'static str)] {
        &[]
    }
}

/// The whole configuration of a process: a struct whose fields are sections.
pub trait Tree: Serialize + DeserializeOwned + Default + 'static {
    /// One entry for each field.
    fn sections() -> Vec<SectionSpec>;

    /// Adds the faults that only two sections together have, such as one port used twice. Called when every section is in order.
    fn validate(&self, faults: &mut Faults) {
        let _ = faults;
    }
}

/// A section as the loader sees it, without its type.
#[derive(Clone, Copy, Debug)]
pub struct SectionSpec {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) docs: fn() -> &'static [(&'static str, &'static str)],
    pub(crate) retired: fn() -> &'static [(&'static str, &'static str)],
    pub(crate) defaults: fn() -> Dict,
    pub(crate) check: fn(&Value, &mut Faults) -> Result<(), Box<figment::Error>>,
}

impl SectionSpec {
    /// The section `S` under the key `name`, which `doc` explains in one line.
    pub fn of<S: Section>(name: &'static str, doc: &'static str) -> Self {
        Self { name, doc, docs: S::docs, retired: S::retired, defaults: defaults::<S>, check: check::<S> }
    }
}

/// The default values, as a tree. A value that can't be shown (a type that refuses to serialize) leaves its section without known keys.
fn defaults<S: Section>() -> Dict {
    Value::serialize(S::default()).ok().and_then(Value::into_dict).unwrap_or_default()
}

fn check<S: Section>(value: &Value, faults: &mut Faults) -> Result<(), Box<figment::Error>> {
    value.deserialize::<S>().map(|section| section.validate(faults)).map_err(Box::new)
}
