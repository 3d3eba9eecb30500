//! `muster up`: everything on this machine, from an empty folder to a signed-in call.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use devstack::{Options, Stack};
use runtime::{Shutdown, config::Secret, telemetry};

use crate::{cli::say, config::Config, keys, migrate, seed, serve::Serving, table};

/// How long everything together may take to become ready before `up` says what it waits for and gives up.
const READY_AT_MOST: Duration = Duration::from_secs(60);

/// Servers of this machine that `DATABASE_URL`, `NATS_URL` and `REDIS_URL` name in place of private ones.
struct Given {
    database: Option<String>,
    nats: Option<String>,
    redis: Option<String>,
}

/// Starts the stack in `folder`, migrates, serves, seeds, says where everything is, and runs until `shutdown`.
///
/// # Errors
/// Whatever keeps it from becoming ready, in words for whoever typed the command; a background task that dies later.
pub(crate) async fn run(folder: PathBuf, mut config: Config, metrics: telemetry::Metrics, shutdown: Shutdown) -> anyhow::Result<()> {
    let began = Instant::now();
    let given = Given::from_environment();
    let stack = start_stack(&folder, &given).await?;
    let (admin_url, url) = match &given.database {
        Some(url) => (url.clone(), url.clone()),
        None => (stack.postgres_url("postgres", "postgres"), stack.postgres_url("postgres", "muster")),
    };
    config.nats.url = given.nats.clone().unwrap_or_else(|| stack.nats_url());
    config.database.url = Secret::from(url.as_str());
    config.suite.key_directory = folder.join("keys");
    config.identity.own.first_admin.email = seed::ADMIN.to_owned();
    config.identity.own.first_admin.password = Secret::from(seed::PASSWORD);
    keys::make(&config.suite.key_directory)?;
    if given.database.is_none() {
        migrate::create_database(&Secret::from(admin_url.as_str()), "muster").await?;
    }
    migrate::bootstrap(&Secret::from(url.as_str()), &config.database).await?;
    migrate::up(&config.database, &[]).await?;
    let serving = Serving::start(&config, &[], Some(metrics)).await?;
    let outcome = serve_until(&serving, &stack, &given, &config, began, &shutdown).await;
    serving.stop().await;
    stack.stop().await;
    outcome
}

async fn serve_until(
    serving: &Serving,
    stack: &Stack,
    given: &Given,
    config: &Config,
    began: Instant,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let becoming_ready = async {
        serving.ready(READY_AT_MOST).await?;
        let addresses = serving.addresses();
        let edge =
            addresses.iter().find(|(name, ..)| *name == gateway::NAME).map(|(_, address, _)| *address).context("the gateway runs")?;
        let identity =
            addresses.iter().find(|(name, ..)| *name == identity::NAME).map(|(_, address, _)| *address).context("identity runs")?;
        let channel = rpc::client::channel(identity::NAME, &format!("http://{identity}"), &keys::operator(&config.suite.key_directory)?)?;
        seed::people(channel, seed::ADMIN).await.context("seeding")?;
        stack.set_address(&edge.to_string())?;
        anyhow::Ok(addresses)
    };
    tokio::select! {
        () = shutdown.requested() => return Ok(()),
        failure = serving.failed() => return Err(failure),
        addresses = becoming_ready => {
            let addresses = addresses?;
            say(&welcome(&addresses, stack, given, &events_status(config, &addresses), began.elapsed()));
        }
    }
    tokio::select! {
        () = shutdown.requested() => Ok(()),
        failure = serving.failed() => Err(failure),
        failure = stack.failed() => Err(failure.into()),
    }
}

async fn start_stack(folder: &Path, given: &Given) -> anyhow::Result<Stack> {
    let options =
        Options { postgres: given.database.is_none(), nats: given.nats.is_none(), redis: given.redis.is_none(), ..Options::at(folder) };
    Ok(Stack::start(options).await?)
}

impl Given {
    fn from_environment() -> Given {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Given { database: variable("DATABASE_URL"), nats: variable("NATS_URL"), redis: variable("REDIS_URL") }
    }
}

/// The command that shows the event logs: the short one where it finds services and keys by itself, else one that says where they are.
fn events_status(config: &Config, addresses: &[(&'static str, SocketAddr, SocketAddr)]) -> String {
    let (usual, keys) = (Config::default(), &config.suite.key_directory);
    let mut command = format!("{} events status", std::env::args().next().unwrap_or_else(|| "muster".to_owned()));
    if std::path::absolute(&usual.suite.key_directory).is_ok_and(|usual| usual != *keys) {
        command.push_str(&format!(" --keys '{}'", keys.display()));
    }
    let usual = usual.admin_addresses();
    let mut with_log = addresses.iter().filter(|(name, ..)| usual.iter().any(|(other, _)| other == name));
    if let Some((name, _, admin)) = with_log.find(|(name, _, admin)| !usual.contains(&(name, format!("http://{admin}")))) {
        command.push_str(&format!(" --service {name} --address {admin}"));
    }
    command
}

/// What a person wants to know when everything is ready.
fn welcome(
    addresses: &[(&'static str, SocketAddr, SocketAddr)],
    stack: &Stack,
    given: &Given,
    events_status: &str,
    took: Duration,
) -> String {
    let mut rows: Vec<[String; 3]> = addresses
        .iter()
        .map(|(name, address, admin)| [(*name).to_owned(), address.to_string(), format!("http://{admin}/metrics")])
        .collect();
    let mut server = |name: &str, given: &Option<String>, private: &dyn Fn() -> String| {
        let shown = if given.is_some() { "as given in the environment".to_owned() } else { private() };
        rows.push([name.to_owned(), shown, String::new()]);
    };
    server("postgres", &given.database, &|| stack.postgres_url("postgres", "muster"));
    server("nats", &given.nats, &|| stack.nats_url());
    server("redis", &given.redis, &|| stack.redis_url());
    let edge = addresses.first().map(|(_, address, _)| address.to_string()).unwrap_or_default();
    let moved = stack.moved().map(|moved| format!("data       in {} ({})\n", moved.to.display(), moved.why)).unwrap_or_default();
    format!(
        "\nMuster is ready after {:.1} s.\n\n{}\n{moved}sign-in    {}  {}\npeople     {}  (same password)\n\nTry:\n  \
         grpcurl -plaintext {edge} list\n  \
         grpcurl -plaintext -d '{{\"email\":\"{}\",\"password\":\"{}\"}}' {edge} muster.identity.v1.SessionService/CreateSession\n  \
         {events_status}\n\nCtrl-C stops everything; the data stays in {}.\n",
        took.as_secs_f64(),
        table::render(["service", "address", "admin"], &rows),
        seed::ADMIN,
        seed::PASSWORD,
        seed::PEOPLE.map(|(email, _)| email).join("  "),
        seed::PEOPLE[0].0,
        seed::PASSWORD,
        stack.dir().display(),
    )
}
