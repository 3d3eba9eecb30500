//! The key directory of a process: one signing key and one sealing key for each service, and the file in which they trust one another.

use std::{collections::BTreeSet, path::PathBuf, sync::OnceLock};

use db::Sealer;
use rpc::authn::{PeerKeys, generate_keys};
use runtime::Clock;

use crate::postgres::Postgres;

/// Those who sign calls and own no method of the contract.
const CALLERS: [&str; 2] = ["gateway", OPERATOR];
/// The name under which testkit asks a service's admin port.
pub(crate) const OPERATOR: &str = "operator";

/// The directory, made when it is first asked for.
///
/// # Panics
/// When a key can't be written.
pub fn directory() -> &'static PathBuf {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let directory = Postgres::of_this_process().directory().join("keys");
        let owners: BTreeSet<&str> = contract::METHODS.iter().map(|method| method.owner).chain(CALLERS).collect();
        generate_keys(&directory, &owners.iter().copied().collect::<Vec<_>>()).expect("peer keys are made");
        for owner in owners {
            Sealer::generate(&directory.join(format!("{owner}.seal"))).expect("a sealing key is made");
        }
        directory
    })
}

/// The keys by which `service` signs its calls.
///
/// # Panics
/// When there is no such service in the contract.
pub fn of(service: &str, clock: &Clock) -> PeerKeys {
    let directory = directory();
    let loaded = PeerKeys::load(service, &directory.join(format!("{service}.key")), &directory.join("trust.json"), clock.clone());
    loaded.unwrap_or_else(|error| panic!("{service} has no keys: {error}"))
}
