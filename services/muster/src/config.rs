//! The configuration of the whole suite: one section for each crate that has settings.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use anyhow::Context;
use clap::Subcommand;
use host::{Hosted, ServiceConfig, SuiteConfig};
use runtime::config::{self, Faults, Loaded, SectionSpec, Sources, Tree};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    migrate::SCHEMAS,
    output::{Output, say},
};

/// What is done with the configuration.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Command {
    /// Say whether the configuration is in order, with every fault.
    Check {
        #[command(flatten)]
        output: Output,
    },
    /// Print the configuration in effect, without secrets.
    Show {
        #[command(flatten)]
        output: Output,
    },
    /// Print every setting with its default and what it does, as a file.
    Example,
}

/// Does what was typed with the configuration that `sources` make.
///
/// # Errors
/// Every fault of the configuration; the example has none.
pub(crate) fn run(sources: &Sources, command: Command) -> anyhow::Result<()> {
    match command {
        Command::Check { output } => {
            let Loaded { warnings, .. } = config::load::<Config>(sources)?;
            let warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
            output.answer(&json!({ "in_order": true, "warnings": warnings }), || {
                let warnings = warnings.iter().map(|warning| format!("warning: {warning}\n"));
                format!("{}the configuration is in order", warnings.collect::<String>())
            })
        }
        Command::Show { output } => {
            let shown = config::show(&config::load::<Config>(sources)?.config);
            let document: serde_json::Value = toml::from_str(&shown).context("what is shown is no TOML")?;
            output.answer(&document, || shown)
        }
        Command::Example => say(&config::example::<Config>()),
    }
}

/// The tree that file, environment and flags fill.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Logs and traces.
    pub telemetry: runtime::telemetry::Config,
    /// PostgreSQL.
    pub database: db::DbConfig,
    /// NATS.
    pub nats: events::NatsConfig,
    /// The event log.
    pub events: events::EventsConfig,
    /// Keys and peers.
    pub suite: SuiteConfig,
    /// The limits of each server.
    pub limits: rpc::server::Limits,
    /// The edge.
    pub gateway: Hosted<gateway::Config>,
    /// The identity service.
    pub identity: Hosted<identity::Config>,
    /// The authorization service.
    pub authorization: Hosted<authorization::Config>,
    /// The tasks service.
    pub tasks: Hosted<tasks::Config>,
    /// The audit service.
    pub audit: Hosted<audit::Config>,
    /// The notifications service.
    pub notifications: Hosted<notifications::Config>,
}

impl Tree for Config {
    fn sections() -> Vec<SectionSpec> {
        vec![
            SectionSpec::of::<runtime::telemetry::Config>("telemetry", "Logs and traces."),
            SectionSpec::of::<db::DbConfig>("database", "PostgreSQL: one database, a schema and logins of its own for each service."),
            SectionSpec::of::<events::NatsConfig>("nats", "NATS with JetStream."),
            SectionSpec::of::<events::EventsConfig>("events", "The event log of each service and its way to the bus."),
            SectionSpec::of::<SuiteConfig>("suite", "Keys and peers."),
            SectionSpec::of::<rpc::server::Limits>("limits", "The limits of each server."),
            SectionSpec::of::<Hosted<gateway::Config>>("gateway", "The edge: one address for what the suite shows to the outside."),
            SectionSpec::of::<Hosted<identity::Config>>("identity", "The identity service."),
            SectionSpec::of::<Hosted<authorization::Config>>("authorization", "The authorization service."),
            SectionSpec::of::<Hosted<tasks::Config>>("tasks", "The tasks service."),
            SectionSpec::of::<Hosted<audit::Config>>("audit", "The audit service."),
            SectionSpec::of::<Hosted<notifications::Config>>("notifications", "The notifications service."),
        ]
    }

    fn validate(&self, faults: &mut Faults) {
        let mut taken = BTreeMap::new();
        for (name, _, port, admin_port) in self.listening() {
            for (key, port) in [("port", port), ("admin_port", admin_port)] {
                if port != 0
                    && let Some(other) = taken.insert(port, name)
                {
                    faults.push(&format!("{name}.{key}"), format!("is {port}, which {other} has"));
                }
            }
        }
        // An event that comes again must find that it was told: what tells so goes no sooner than the event.
        let (kept, told) = (self.events.event_keep_days, &self.notifications.own);
        for (key, days) in [("inbox_days", told.inbox_days), ("delivery_days", told.delivery_days)] {
            if days < kept {
                faults.push(&format!("notifications.{key}"), format!("must be {kept} or more, by events.event_keep_days"));
            }
        }
    }
}

impl Config {
    /// Name, address, port and admin port of every service.
    fn listening(&self) -> [(&'static str, IpAddr, u16, u16); 6] {
        fn of<C: ServiceConfig>(name: &'static str, hosted: &Hosted<C>) -> (&'static str, IpAddr, u16, u16) {
            (name, hosted.address, hosted.port, hosted.admin_port)
        }
        [
            of(gateway::NAME, &self.gateway),
            of(identity::NAME, &self.identity),
            of(authorization::NAME, &self.authorization),
            of(tasks::NAME, &self.tasks),
            of(audit::NAME, &self.audit),
            of(notifications::NAME, &self.notifications),
        ]
    }

    /// Where identity answers, as this configuration has it.
    pub(crate) fn identity_address(&self) -> String {
        at(self.identity.address, self.identity.port)
    }

    /// Where the admin port of every service with an event log is, as this configuration has it.
    pub fn admin_addresses(&self) -> Vec<(&'static str, String)> {
        let with_log = self.listening().into_iter().filter(|(name, ..)| SCHEMAS.iter().any(|(other, ..)| other == name));
        with_log.map(|(name, address, _, admin_port)| (name, at(address, admin_port))).collect()
    }
}

fn at(address: IpAddr, port: u16) -> String {
    let reachable = if address.is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address };
    format!("http://{}", SocketAddr::new(reachable, port))
}
