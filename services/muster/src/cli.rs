//! What one can type, and what is answered.

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use runtime::{
    Shutdown, Tasks,
    config::{Loaded, Sources, load},
    telemetry,
};

use crate::{
    bench,
    config::{self, Config},
    demo, events, import, keys, levels, migrate,
    output::{Output, say},
    seed,
    serve::Serving,
    token, up,
};

/// What every command's help ends with, but that of `demo`.
const EXIT_CODES: &str = "Exit codes: 0, it went well; 1, it did not, and standard error says why; 2, the arguments are wrong.";
/// What the help of `demo` ends with.
const STORY_EXIT_CODES: &str = "Exit codes: 0, every step passed; else the number of the first that did not; 1 also before the first step, and 2 \
                                also for wrong arguments. Standard error says why.";

/// The multi-tenant back office: identity, authorization, tasks, audit and notifications, behind one gateway.
#[derive(Debug, Parser)]
#[command(name = "muster", version, propagate_version = true)]
pub struct Arguments {
    /// The configuration file, in TOML.
    #[arg(long, global = true, env = "MUSTER_CONFIG", value_name = "FILE", help_heading = "Configuration")]
    config: Option<PathBuf>,
    /// A setting, over file and environment: `--set tasks.port=7203`.
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = setting, help_heading = "Configuration")]
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
        #[command(flatten)]
        output: Output,
    },
    /// Serve one service, several, or all.
    Serve {
        /// Names of services, or `all`.
        #[arg(required = true)]
        services: Vec<String>,
    },
    /// Make, bring up, roll back or show the schemas.
    #[command(subcommand)]
    Migrate(migrate::Command),
    /// Make the keys that a suite needs and a folder lacks: one to sign and one to seal with for each service, and whom each one trusts.
    Keys {
        /// The folder; `suite.key_directory` of each service holds its part of it.
        folder: PathBuf,
    },
    /// Check, show or exemplify the configuration.
    #[command(subcommand)]
    Config(config::Command),
    /// Measure the figures, each beside the floor of the same run.
    Bench(bench::Arguments),
    /// Serve an empty RPC, for `bench`.
    #[command(hide = true)]
    BenchServer(bench::EmptyArguments),
    /// Sign in and print an access token.
    Token(token::Arguments),
    /// Print what an operator calls `service` with for a minute: `grpcurl -H "muster-peer: $(muster peer-token identity)"`.
    PeerToken {
        /// The service that is called.
        service: String,
    },
    /// Import a Markdown plan as work items.
    Import(import::Arguments),
    /// Make two organizations to look around in: people in every role, workspaces, products, work items.
    Seed(seed::Arguments),
    /// Tell the story of a team through a running suite, every step an assertion.
    #[command(after_help = STORY_EXIT_CODES)]
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

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("not KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// What was typed. Who asks for help is answered here, and so is who typed what can't be read.
pub fn arguments() -> Arguments {
    Arguments::from_arg_matches(&command().get_matches()).unwrap_or_else(|error| error.exit())
}

/// Every command, with its exit codes in its help.
fn command() -> clap::Command {
    fn with_exit_codes(command: clap::Command) -> clap::Command {
        let command = if command.get_after_help().is_none() { command.after_help(EXIT_CODES) } else { command };
        command.mut_subcommands(with_exit_codes)
    }
    with_exit_codes(Arguments::command())
}

/// Does what was typed.
pub fn run(arguments: Arguments) -> anyhow::Result<()> {
    let sources = Sources::of_process(arguments.config, arguments.set);
    match arguments.command {
        Command::Config(command) => return config::run(&sources, command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command(), "muster", &mut script);
            return say(&String::from_utf8_lossy(&script));
        }
        _ => {}
    }
    let Loaded { config, warnings } = load::<Config>(&sources)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.command {
            Command::Up { folder, output } => {
                let mut settings = config.telemetry.clone();
                settings.format = telemetry::Format::Pretty;
                // Who types `up` wants to read what it says; a call refused while services start is told to its caller.
                settings.levels = format!("warn,rpc::error=error,{}", settings.levels.split_once(',').map_or("", |(_, rest)| rest));
                let telemetry = telemetry::init(&settings, "muster")?;
                let shutdown = background(&telemetry, None)?;
                up::run(std::path::absolute(folder)?, config, output, telemetry.metrics(), shutdown).await
            }
            Command::Serve { services } => {
                let telemetry = telemetry::init(&config.telemetry, "muster")?;
                for warning in warnings {
                    tracing::warn!(%warning, "configuration");
                }
                let services = if services == ["all"] { Vec::new() } else { services };
                serve(&config, &services, telemetry.metrics(), background(&telemetry, Some(sources))?).await
            }
            Command::Migrate(command) => migrate::run(&config.database, command).await,
            Command::Keys { folder } => keys::make(&folder),
            Command::Bench(arguments) => bench::run(arguments, &config).await,
            Command::BenchServer(arguments) => {
                let telemetry = telemetry::init(&config.telemetry, "bench")?;
                bench::serve_empty(arguments, &config, background(&telemetry, Some(sources))?).await
            }
            Command::Token(arguments) => token::run(arguments).await,
            Command::PeerToken { service } => say(&keys::peer_token(&config.suite.key_directory, &service)?),
            Command::Import(arguments) => import::run(arguments).await,
            Command::Seed(arguments) => seed::run(&config, arguments).await,
            Command::Demo(arguments) => demo::run(arguments).await,
            // Answered above.
            Command::Config(_) | Command::Completions { .. } => Ok(()),
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

/// Prints why a command failed. A story that went wrong ends with the number of its step.
#[expect(clippy::print_stderr, reason = "a command's failure")]
pub fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("muster: {}", told(error));
    error.downcast_ref().map_or(ExitCode::FAILURE, demo::Failed::exit_code)
}

/// Cause after cause, but for what the one before has said already.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text.push_str(&format!(": {cause}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_cause_by_cause_and_nothing_twice() {
        let away = || anyhow::Error::msg("connection refused (111)");
        assert_eq!(told(&away().context("nobody answers")), "nobody answers: connection refused (111)");
        assert_eq!(
            told(&away().context("trust.json: connection refused (111)").context("the keys")),
            "the keys: trust.json: connection refused (111)"
        );
    }

    #[test]
    fn the_help_of_every_command_tells_its_exit_codes() {
        fn check(command: &clap::Command) {
            let told = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(told.starts_with("Exit codes: 0"), "{}", command.get_name());
            command.get_subcommands().for_each(check);
        }
        command().debug_assert();
        check(&command());
    }
}
