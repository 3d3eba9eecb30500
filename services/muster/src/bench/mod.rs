//! `muster bench`: the figures, each beside the floor of the same run.
//!
//! Everything runs on this machine: the servers with fsync on, a process for each service with its log on, and the load, in this process. Ratios
//! hold on another machine, absolute figures don't; each comparison alternates its two sides and takes the median of the rounds.

mod actor;
mod cores;
mod distinguish;
mod empty;
mod engine;
mod events;
mod figures;
mod floors;
mod frames;
mod gateway;
mod identity;
mod isolation;
mod load;
mod nginx;
mod notifications;
mod process;
mod refreshes;
mod report;
mod revocation;
mod sign_in;
mod start;
mod suite;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

use crate::{config::Config, output::say, serve::SERVICES};
use actor::Actor;
use cores::Cores;
use figures::Run;
use suite::Suite;

pub(crate) use empty::{Arguments as EmptyArguments, serve as serve_empty};

/// Figures that are measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    /// The empty RPC, and remote Check against it.
    Calls,
    /// The hop through the gateway.
    Gateway,
    /// Creating work items.
    Create,
    /// What row security costs.
    Isolation,
    /// Relay, consumer, and the way of one event.
    Events,
    /// What people are told: a change to a watcher's inbox, and mails.
    Notifications,
    /// Sign-in.
    SignIn,
    /// What else identity answers, and how it answers when more sign in than it can hash.
    Identity,
    /// The embedded engine.
    Engine,
    /// Revocation.
    Revocation,
    /// Start and memory at rest.
    Start,
}

/// How a run is made.
#[derive(Debug, Clone, Args)]
pub(crate) struct Arguments {
    /// How long each round lasts, in seconds.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Rounds of each comparison.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Measure these alone.
    #[arg(long, value_name = "GROUP")]
    only: Vec<Group>,
    /// Print JSON in place of a table.
    #[arg(long)]
    json: bool,
    /// Also write the figures into this README, between its markers.
    #[arg(long, value_name = "FILE")]
    readme: Option<PathBuf>,
    /// The machine, for the README; what the kernel says of it when none is given.
    #[arg(long)]
    machine: Option<String>,
}

impl Arguments {
    /// What is measured, in words.
    fn groups(&self) -> String {
        let name = |group: &Group| group.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
        if self.only.is_empty() { "all".to_owned() } else { self.only.iter().map(name).collect::<Vec<_>>().join(", ") }
    }
}

/// Runs every figure and prints them.
///
/// # Errors
/// A call that fails while it is measured: a figure with failures in it is none.
pub(crate) async fn run(arguments: Arguments, config: &Config) -> anyhow::Result<()> {
    let cores = Cores::by_thread();
    let suite = Suite::new(config).await?;
    let figures = measure(&arguments, config, &suite).await;
    suite.stop().await;
    let figures = figures?;
    if arguments.json {
        say(&serde_json::to_string(&figures)?)?;
    } else {
        say(report::text(&figures).trim_end())?;
    }
    if let Some(path) = &arguments.readme {
        let machine = arguments.machine.clone().unwrap_or_else(report::machine);
        report::readme(
            path,
            &figures,
            &report::Heading {
                machine,
                date: runtime::Clock::system().now().date(),
                commit: report::commit(),
                cores: cores.to_string(),
                groups: arguments.groups(),
                rounds: arguments.rounds.max(1),
                seconds: arguments.seconds,
            },
        )?;
    }
    Ok(())
}

async fn measure(arguments: &Arguments, config: &Config, suite: &Suite) -> anyhow::Result<Vec<report::Figure>> {
    let wants = |group| arguments.only.is_empty() || arguments.only.contains(&group);
    let at_rest = if wants(Group::Start) { start::at_rest(suite).await? } else { seed_alone(suite).await? };
    let mut services = BTreeMap::new();
    for service in SERVICES {
        services.insert(service, suite.start(&["serve", service])?);
    }
    for service in SERVICES {
        suite.ready(service).await?;
    }
    let alone = if wants(Group::Identity) { Some(start::identity_alone(&services[::identity::NAME]).await?) } else { None };
    let run = Run {
        duration: Duration::from_secs(arguments.seconds),
        rounds: arguments.rounds.max(1),
        actor: Actor::prepare(&suite.channel(::identity::NAME)?, &suite.channel(tasks::NAME)?, 64).await?,
        tasks: suite.channel(tasks::NAME)?,
        suite,
        services,
        connections: config.database.app_connections,
        hashing: (config.identity.own.hashing.memory_kib, config.identity.own.hashing.passes),
    };
    let mut figures = run.all(wants).await?;
    figures.extend(alone);
    figures.extend(at_rest);
    Ok(figures)
}

/// What [`start::at_rest`] leaves behind, without its figures.
async fn seed_alone(suite: &Suite) -> anyhow::Result<Vec<report::Figure>> {
    let _process = suite.start(&["serve", "all"])?;
    for service in SERVICES {
        suite.ready(service).await?;
    }
    suite.seed().await?;
    Ok(Vec::new())
}
