//! What one can type, and what is answered.

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::{CommandFactory, Parser, Subcommand};
use runtime::{
    Shutdown, Tasks,
    config::{self, Loaded, Sources},
    telemetry,
};

use crate::{bench, config::Config, demo, events, import, keys, levels, migrate, seed, serve::Serving, table, token, up};

/// The multi-tenant back office: identity, authorization, tasks, audit and notifications, behind one gateway.
#[derive(Debug, Parser)]
#[command(name = "muster", version, propagate_version = true)]
pub struct Arguments {
    /// The configuration file, in TOML.
    #[arg(long, global = true, env = "MUSTER_CONFIG")]
    config: Option<PathBuf>,
    /// A setting, over file and environment: `--set tasks.port=7203`.
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = setting)]
    set: Vec<(String, String)>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole suite on this machine with private servers, for development.
    Up {
        /// The folder of all data.
        #[arg(long, default_value = ".muster")]
        folder: PathBuf,
    },
    /// Serve one service, several, or all.
    Serve {
        /// Names of services, or `all`.
        #[arg(required = true)]
        services: Vec<String>,
    },
    /// Make, bring up, roll back or show the schemas.
    #[command(subcommand)]
    Migrate(Migrate),
    /// Make the keys that a suite needs and a folder lacks: one to sign and one to seal with for each service, and whom each one trusts.
    Keys {
        /// The folder; `suite.key_directory` of each service holds its part of it.
        folder: PathBuf,
    },
    /// Check, show or exemplify the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Measure the figures, each beside the floor of the same run.
    Bench(bench::Arguments),
    /// Serve an empty RPC, for `bench`.
    #[command(hide = true)]
    BenchServer(bench::EmptyArguments),
    /// Sign in and print an access token.
    Token(token::Arguments),
    /// Import a Markdown plan as work items.
    Import(import::Arguments),
    /// Make two organizations to look around in: people in every role, workspaces, products, work items.
    Seed(seed::Arguments),
    /// Tell the story of a team through a running suite, every step an assertion.
    Demo(demo::Arguments),
    /// Print the completions of a shell: `source <(muster completions bash)`.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Look into event logs and dead letters.
    Events {
        #[command(flatten)]
        target: events::Target,
        #[command(subcommand)]
        command: events::Command,
    },
}

#[derive(Debug, Subcommand)]
enum Migrate {
    /// Make roles and schemas, as the superuser of DATABASE_URL.
    Bootstrap,
    /// Apply what is missing, in the named services or in all.
    Up {
        /// Names of services.
        services: Vec<String>,
    },
    /// Roll back the newest migration of one service.
    Down {
        /// The service.
        service: String,
    },
    /// Show every migration and whether the database has it.
    Status {
        /// Names of services.
        services: Vec<String>,
    },
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum ConfigCommand {
    /// Say whether the configuration is in order, with every fault.
    Check,
    /// Print the configuration in effect, without secrets.
    Show,
    /// Print every setting with its default and what it does.
    Example,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("not KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Does what was typed.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    if let Command::Config(ConfigCommand::Example) = arguments.command {
        say(config::example::<Config>().trim_end());
        return Ok(());
    }
    if let Command::Completions { shell } = arguments.command {
        clap_complete::generate(shell, &mut Arguments::command(), "muster", &mut std::io::stdout());
        return Ok(());
    }
    let sources = Sources::of_process(arguments.config, arguments.set);
    let Loaded { config, warnings } = config::load::<Config>(&sources)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.command {
            Command::Up { folder } => {
                let mut settings = config.telemetry.clone();
                settings.format = telemetry::Format::Pretty;
                // Who types `up` wants to read what it says; a call refused while services start is told to its caller.
                settings.levels = format!("warn,rpc::error=error,{}", settings.levels.split_once(',').map_or("", |(_, rest)| rest));
                let telemetry = telemetry::init(&settings, "muster")?;
                up::run(std::path::absolute(folder)?, config, telemetry.metrics(), background(&telemetry, None)?).await
            }
            Command::Serve { services } => {
                let telemetry = telemetry::init(&config.telemetry, "muster")?;
                for warning in warnings {
                    tracing::warn!(%warning, "configuration");
                }
                let services = if services == ["all"] { Vec::new() } else { services };
                serve(&config, &services, telemetry.metrics(), background(&telemetry, Some(sources))?).await
            }
            Command::Migrate(command) => migrate(&config, command).await,
            Command::Keys { folder } => keys::make(&folder),
            Command::Config(ConfigCommand::Check) => {
                warnings.iter().for_each(|warning| say(&format!("warning: {warning}")));
                say("the configuration is in order");
                Ok(())
            }
            Command::Config(_) => {
                say(config::show(&config).trim_end());
                Ok(())
            }
            Command::Bench(arguments) => bench::run(arguments, &config).await,
            Command::BenchServer(arguments) => {
                let telemetry = telemetry::init(&config.telemetry, "bench")?;
                bench::serve_empty(arguments, &config, background(&telemetry, Some(sources))?).await
            }
            Command::Token(arguments) => token::run(arguments).await,
            Command::Import(arguments) => import::run(arguments).await,
            Command::Seed(arguments) => seed::run(&config, arguments).await,
            Command::Demo(arguments) => demo::run(arguments).await,
            // Answered above: it needs no configuration.
            Command::Completions { .. } => Ok(()),
            Command::Events { target, command } => events::run(&config, target, command).await,
        }
    })
}

async fn serve(config: &Config, services: &[String], metrics: telemetry::Metrics, shutdown: Shutdown) -> anyhow::Result<()> {
    let serving = Serving::start(config, services, Some(metrics)).await?;
    let outcome = tokio::select! {
        () = shutdown.requested() => Ok(()),
        failure = serving.failed() => Err(failure),
    };
    serving.stop().await;
    outcome
}

async fn migrate(config: &Config, command: Migrate) -> anyhow::Result<()> {
    match command {
        Migrate::Bootstrap => {
            let url = std::env::var("DATABASE_URL").context("DATABASE_URL names the superuser's database and is not set")?;
            migrate::bootstrap(&url.as_str().into(), &config.database).await?;
            say("roles and schemas are there");
        }
        Migrate::Up { services } => {
            for (service, count) in migrate::up(&config.database, &services).await? {
                say(&format!("{service}: {count} applied"));
            }
        }
        Migrate::Down { service } => match migrate::down(&config.database, &service).await? {
            Some(version) => say(&format!("{service}: {version} rolled back")),
            None => say(&format!("{service}: nothing to roll back")),
        },
        Migrate::Status { services } => {
            let rows: Vec<[String; 3]> = migrate::status(&config.database, &services)
                .await?
                .into_iter()
                .map(|(service, m)| {
                    [service.to_owned(), format!("{:04} {}", m.version, m.name), if m.applied { "applied" } else { "pending" }.to_owned()]
                })
                .collect();
            say(table::render(["service", "migration", "state"], &rows).trim_end());
        }
    }
    Ok(())
}

/// Starts what the process itself does beside its services, and answers the flag that SIGTERM and Ctrl-C raise. A second signal ends the
/// process at once. With `sources`, SIGHUP reads the log levels anew; without, it ends the process, as it does when a terminal is closed.
fn background(telemetry: &telemetry::Guard, sources: Option<Sources>) -> anyhow::Result<Shutdown> {
    let shutdown = Shutdown::new();
    let tasks = Tasks::new("muster", Shutdown::new());
    tasks.spawn_once("signals", shutdown.on_signals()?);
    tasks.spawn_once("metrics", telemetry.metrics().keep(shutdown.clone()));
    if let Some(sources) = sources {
        tasks.spawn_once("levels", levels::follow(sources, telemetry.levels())?);
    }
    Ok(shutdown)
}

/// Prints a command's answer.
pub fn say(text: &str) {
    // Whoever closed the output (`| head`) does not want the rest; what runs goes on.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints why a command failed, cause by cause. A story that went wrong ends with the number of its step.
#[expect(clippy::print_stderr, reason = "a command's failure")]
pub fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("muster: {error:#}");
    error.downcast_ref().map_or(ExitCode::FAILURE, demo::Failed::exit_code)
}
