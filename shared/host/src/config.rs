//! What every service is told: where to listen, where its peers are, where its keys lie.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use runtime::config::{Faults, Section};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The section of one service: its ports, and what only it needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, bound = "C: ServiceConfig")]
pub struct Hosted<C: ServiceConfig> {
    /// The address to listen on.
    pub address: IpAddr,
    /// The port of the service; 0 takes a free one.
    pub port: u16,
    /// The port of health, metrics and event administration, in plain text; 0 takes a free one.
    pub admin_port: u16,
    /// The service's own settings.
    #[serde(flatten)]
    pub own: C,
}

/// The settings that only one service has. Its keys stand beside `address`, `port` and `admin_port`.
pub trait ServiceConfig: Serialize + DeserializeOwned + Default + Clone + Send + Sync + 'static {
    /// The port unless said.
    const PORT: u16;
    /// The admin port unless said.
    const ADMIN_PORT: u16 = Self::PORT + 100;

    /// Each own key with one line on what it is, its unit and range.
    fn docs() -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Adds a fault for every value out of range.
    fn validate(&self, faults: &mut Faults) {
        let _ = faults;
    }
}

impl<C: ServiceConfig> Default for Hosted<C> {
    fn default() -> Self {
        Hosted { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port: C::PORT, admin_port: C::ADMIN_PORT, own: C::default() }
    }
}

impl<C: ServiceConfig> Section for Hosted<C> {
    fn docs() -> &'static [(&'static str, &'static str)] {
        const LISTEN: [(&str, &str); 3] = [
            ("address", "the address to listen on"),
            ("port", "the port of the service, 0..=65535; 0 takes a free one"),
            ("admin_port", "the port of health, metrics and event administration, in plain text, 0..=65535"),
        ];
        // A configuration is read once in the life of a process, so what leaks is bounded.
        LISTEN.iter().chain(C::docs()).copied().collect::<Vec<_>>().leak()
    }

    fn validate(&self, faults: &mut Faults) {
        faults.require("admin_port", self.port == 0 || self.port != self.admin_port, "must differ from port");
        self.own.validate(faults);
    }
}

/// The suite around a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SuiteConfig {
    /// The folder of `<service>.key`, `<service>.seal` and `trust.json`.
    pub key_directory: PathBuf,
    /// Where each service answers, by name; one that is not said is taken to be in this process.
    pub peers: BTreeMap<String, String>,
}

impl Default for SuiteConfig {
    fn default() -> Self {
        SuiteConfig { key_directory: PathBuf::from(".muster/keys"), peers: BTreeMap::new() }
    }
}

impl Section for SuiteConfig {
    fn docs() -> &'static [(&'static str, &'static str)] {
        &[
            ("key_directory", "the folder of <service>.key, <service>.seal and trust.json; `muster up` makes what is missing"),
            ("peers.*", "where each service answers, as http://host:port; unless said, in this process"),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        for (name, address) in &self.peers {
            faults.require(&format!("peers.{name}"), address.starts_with("http://"), "must begin with http://");
        }
    }
}
