//! Reads the contract out of descriptors, refuses what does not hold together, and writes the rest as Rust.
//!
//! Each module reads and checks one thing and renders it: `policy` the RPCs, `permissions` the catalogue that they make up, `requests` the
//! messages that they take (with the rules of `rules`), `events` what is told, `reasons` what errors are called. Every refusal names file
//! and line (`place`). The same code runs in the build script and, on small protos in memory, in `tests/refusals`.
//!
//! Deliberately absent: prost's and tonic's part (`build.rs`), and comparing with what was released (`src/diff`).

mod events;
mod names;
mod options;
mod permissions;
mod place;
mod policy;
mod reasons;
mod requests;
mod rules;

use prost_reflect::{DescriptorPool, MessageDescriptor};

use options::Options;
pub(crate) use place::Refusals;

/// A contract that holds together.
#[derive(Debug)]
pub(crate) struct Contract {
    methods: Vec<policy::Method>,
    permissions: Vec<permissions::Permission>,
    requests: Vec<requests::Message>,
    events: events::Events,
    reasons: Vec<reasons::ReasonEnum>,
}

/// Reads the packages `muster.*` of `pool`, or says everything that is wrong with them.
pub(crate) fn read(pool: &DescriptorPool) -> Result<Contract, Refusals> {
    let (options, mut refusals) = (Options::of(pool), Refusals::default());
    let reasons = reasons::read(pool, &mut refusals);
    let methods = policy::read(pool, &options, &reasons, &mut refusals);
    let contract = Contract {
        permissions: permissions::read(&methods, &mut refusals),
        requests: requests::read(pool, &methods, &options, &mut refusals),
        events: events::read(pool, &options, &mut refusals),
        methods,
        reasons,
    };
    if refusals.is_empty() { Ok(contract) } else { Err(refusals) }
}

impl Contract {
    /// The files that `src/` includes, by name.
    pub(crate) fn render(&self) -> [(&'static str, String); 5] {
        [
            ("methods.rs", policy::render(&self.methods)),
            ("permissions.rs", permissions::render(&self.permissions)),
            ("requests.rs", requests::render(&self.requests)),
            ("events.rs", events::render(&self.events)),
            ("reasons.rs", reasons::render(&self.reasons)),
        ]
    }
}

/// Whether the suite wrote this package.
fn is_ours(package: &str) -> bool {
    package.starts_with("muster.")
}

/// Every message of the suite, nested ones too.
fn our_messages(pool: &DescriptorPool) -> impl Iterator<Item = MessageDescriptor> + '_ {
    pool.all_messages().filter(|message| is_ours(message.package_name()) && !message.is_map_entry())
}

/// The first line of every generated file.
fn header(module: &str) -> String {
    format!("// Written from proto/ by shared/contract/build/{module}.rs when the crate is built.\n\n")
}
