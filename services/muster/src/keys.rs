//! The keys of a suite on this machine: which service may call which, and what each one seals with.

use std::path::Path;

use anyhow::Context;
use rpc::authn::PeerKeys;
use runtime::Clock;

use crate::{migrate::SCHEMAS, serve::SERVICES};

/// The name under which an operator's commands sign their calls to the services.
const OPERATOR: &str = "operator";

/// Makes the keys that are missing: one to sign with for each service, one to seal with for each that keeps something, and the file in which
/// they trust one another.
///
/// # Errors
/// `directory` can't be written, or holds keys that can't be used.
pub fn make(directory: &Path) -> anyhow::Result<()> {
    let names: Vec<&str> = SERVICES.into_iter().chain([OPERATOR]).collect();
    rpc::authn::generate_keys(directory, &names).context("making peer keys")?;
    for (name, ..) in SCHEMAS {
        let path = directory.join(format!("{name}.seal"));
        if !path.exists() {
            db::Sealer::generate(&path)?;
        }
    }
    Ok(())
}

/// The keys under which the operator's commands call the services.
///
/// # Errors
/// There are none in `directory`.
pub fn operator(directory: &Path) -> anyhow::Result<PeerKeys> {
    of(OPERATOR, directory)
}

/// What an operator's call to `service` carries as `muster-peer`, good for a minute.
///
/// # Errors
/// There are no keys in `directory`, or no such service.
pub(crate) fn peer_token(directory: &Path, service: &str) -> anyhow::Result<String> {
    anyhow::ensure!(SERVICES.contains(&service), "there is no service {service}; there are {}", SERVICES.join(", "));
    let token = operator(directory)?.sign(service).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(token.to_str().context("a token is ASCII")?.to_owned())
}

/// The keys under which `service` calls the others.
///
/// # Errors
/// There are none in `directory`.
pub fn of(service: &str, directory: &Path) -> anyhow::Result<PeerKeys> {
    let (key, trust) = (directory.join(format!("{service}.key")), directory.join("trust.json"));
    PeerKeys::load(service, &key, &trust, Clock::system()).with_context(|| format!("the keys of {service} in {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_operator_carries_is_believed_by_the_service_that_it_is_for_alone() {
        runtime::init_crypto();
        let folder = tempfile::tempdir().unwrap();
        make(folder.path()).unwrap();
        let carried = peer_token(folder.path(), "identity").unwrap().parse().unwrap();
        assert_eq!(&*of("identity", folder.path()).unwrap().verify(&carried).unwrap(), OPERATOR);
        assert!(of("tasks", folder.path()).unwrap().verify(&carried).is_err());
        assert!(peer_token(folder.path(), "nobody").unwrap_err().to_string().contains("there is no service nobody"));
    }
}
