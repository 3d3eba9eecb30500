//! `muster bench`: the figures, each beside the floor of the same run.
//!
//! Everything runs on this machine: the servers with fsync on, the services in this process, and the load. Ratios hold on another machine,
//! absolute figures don't; each comparison alternates its two sides and takes the median of the rounds.

mod actor;
mod empty;
mod figures;
mod floors;
mod load;
mod report;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use devstack::{Options, Stack};
use runtime::{Shutdown, Tasks, config::Secret};
use tonic::transport::{Channel, Endpoint};

use crate::{cli::say, config::Config, keys, migrate, seed, serve::Serving};
use actor::{Actor, Channels};
use figures::Run;

/// How a run is made.
#[derive(Debug, Clone, Args)]
pub(crate) struct Arguments {
    /// How long each round lasts, in seconds.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Rounds of each comparison.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Print JSON in place of a table.
    #[arg(long)]
    json: bool,
    /// Also write the figures into this README, between its markers.
    #[arg(long, value_name = "FILE")]
    readme: Option<PathBuf>,
    /// The machine, for the README.
    #[arg(long, default_value = "2 vCPU")]
    machine: String,
}

/// Runs every figure and prints them.
///
/// # Errors
/// A call that fails while it is measured: a figure with failures in it is none.
pub(crate) async fn run(arguments: Arguments, mut config: Config) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let stack = Stack::start(Options { dir: None, durable: true, ..Options::temporary() }).await?;
    let url = stack.postgres_url("postgres", "muster");
    config.database.url = Secret::from(url.as_str());
    config.nats.url = stack.nats_url();
    config.suite.key_directory = folder.path().join("keys");
    config.identity.own.first_admin.email = seed::ADMIN.to_owned();
    config.identity.own.first_admin.password = Secret::from(seed::PASSWORD);
    for (port, admin_port) in config.ports_mut() {
        (*port, *admin_port) = (0, 0);
    }
    keys::make(&config.suite.key_directory)?;
    migrate::create_database(&Secret::from(stack.postgres_url("postgres", "postgres").as_str()), "muster").await?;
    migrate::bootstrap(&config.database.url, &config.database).await?;
    migrate::up(&config.database, &[]).await?;

    let began = Instant::now();
    let serving = Serving::start(&config, &[], None).await?;
    serving.ready(Duration::from_secs(60)).await?;
    let ready = began.elapsed();
    let figures = measure(&arguments, &config, &serving, &url, ready).await;
    serving.stop().await;
    stack.stop().await;
    let figures = figures?;
    if arguments.json {
        say(&serde_json::to_string_pretty(&figures)?);
    } else {
        say(report::text(&figures).trim_end());
    }
    if let Some(path) = &arguments.readme {
        report::readme(path, &figures, &arguments.machine, &runtime::Clock::system().now().date().to_string())?;
    }
    Ok(())
}

async fn measure(
    arguments: &Arguments,
    config: &Config,
    serving: &Serving,
    url: &str,
    ready: Duration,
) -> anyhow::Result<Vec<report::Figure>> {
    let addresses = serving.addresses();
    let at = |name: &str| addresses.iter().find(|(service, ..)| *service == name).map(|(_, address, _)| *address).context("it runs");
    let operator = keys::operator(&config.suite.key_directory)?;
    let identity = rpc::client::channel(identity::NAME, &format!("http://{}", at(identity::NAME)?), &operator)?;
    let authorization = rpc::client::channel(authorization::NAME, &format!("http://{}", at(authorization::NAME)?), &operator)?;
    seed::people(identity.clone(), seed::ADMIN).await?;
    let channels =
        Channels { identity: open(at(identity::NAME)?)?, authorization: open(at(authorization::NAME)?)?, tasks: open(at(tasks::NAME)?)? };
    let tasks = Tasks::new("bench", Shutdown::new());
    let authorities = empty::Authorities { identity, authorization, peers: operator };
    let (stack, bare) = (empty::on_the_stack(&authorities, &tasks).await?, empty::on_bare_tonic(&tasks).await?);
    let run = Run {
        duration: Duration::from_secs(arguments.seconds),
        rounds: arguments.rounds.max(1),
        actor: Actor::prepare(&channels, 64).await?,
        channels,
        stack,
        bare,
        connections: config.database.app_connections,
        hashing: (config.identity.own.hashing.memory_kib, config.identity.own.hashing.passes),
        url: url.to_owned(),
        ready,
    };
    let figures = run.all().await;
    tasks.stop(Duration::from_secs(5)).await;
    figures
}

/// A plain channel, as any client has it.
fn open(address: std::net::SocketAddr) -> anyhow::Result<Channel> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect_lazy())
}
