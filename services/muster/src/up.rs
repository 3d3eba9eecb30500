//! `muster up`: everything on this machine, from an empty folder to a signed-in call.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use devstack::{Options, Stack};
use runtime::{Shutdown, config::Secret, telemetry};
use serde::Serialize;

use crate::{config::Config, keys, migrate, output::Output, progress::Progress, seed, serve::Serving, table};

/// How long everything together may take to become ready before `up` says what it waits for and gives up.
const READY_AT_MOST: Duration = Duration::from_secs(60);

/// Servers of this machine that `DATABASE_URL`, `NATS_URL` and `REDIS_URL` name in place of private ones.
struct Given {
    database: Option<String>,
    nats: Option<String>,
    redis: Option<String>,
}

/// Everything that runs.
struct Up {
    config: Config,
    given: Given,
    stack: Stack,
    serving: Serving,
}

/// What a script wants to know when everything is ready.
#[derive(Debug, Serialize)]
struct Ready {
    seconds: f64,
    services: Vec<Service>,
    servers: Servers,
    folder: PathBuf,
    keys: PathBuf,
    admin: &'static str,
    people: Vec<&'static str>,
    /// Everybody's.
    password: &'static str,
}

#[derive(Debug, Serialize)]
struct Service {
    service: &'static str,
    address: SocketAddr,
    admin_address: SocketAddr,
}

/// Where the private servers are; one that the environment names is none of them.
#[derive(Debug, Serialize)]
struct Servers {
    postgres: Option<String>,
    nats: Option<String>,
    redis: Option<String>,
}

/// Starts the stack in `folder`, migrates, serves, seeds, says where everything is, and runs until `shutdown`.
///
/// # Errors
/// Whatever keeps it from becoming ready, in words for whoever typed the command; a background task that dies later.
pub(crate) async fn run(
    folder: PathBuf,
    mut config: Config,
    output: Output,
    metrics: telemetry::Metrics,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let (began, mut progress) = (Instant::now(), output.progress());
    let given = Given::from_environment();
    let stack = match progress.during("starting servers", start_stack(&folder, &given)).await {
        // A terminal's Ctrl-C ends what makes the servers' data too.
        Err(_) if shutdown.is_requested() => return Ok(()),
        stack => stack?,
    };
    config.nats.url = given.nats.clone().unwrap_or_else(|| stack.nats_url());
    let url = given.database.clone().unwrap_or_else(|| stack.postgres_url("postgres", "muster"));
    config.database.url = Secret::from(url.as_str());
    config.suite.key_directory = folder.join("keys");
    config.identity.own.first_admin.email = seed::ADMIN.to_owned();
    config.identity.own.first_admin.password = Secret::from(seed::PASSWORD);
    keys::make(&config.suite.key_directory)?;
    tokio::select! {
        () = shutdown.requested() => {
            stack.stop().await;
            return Ok(());
        }
        migrated = progress.during("migrating", migrate(&stack, &given, &config)) => migrated?,
    }
    let serving = progress.during("starting services", Serving::start(&config, &[], Some(metrics))).await?;
    let up = Up { config, given, stack, serving };
    let outcome = up.until(shutdown, began, output, &mut progress).await;
    up.serving.stop().await;
    up.stack.stop().await;
    outcome
}

async fn start_stack(folder: &Path, given: &Given) -> anyhow::Result<Stack> {
    let options =
        Options { postgres: given.database.is_none(), nats: given.nats.is_none(), redis: given.redis.is_none(), ..Options::at(folder) };
    Ok(Stack::start(options).await?)
}

async fn migrate(stack: &Stack, given: &Given, config: &Config) -> anyhow::Result<()> {
    if given.database.is_none() {
        migrate::create_database(&Secret::from(stack.postgres_url("postgres", "postgres").as_str()), "muster").await?;
    }
    migrate::bootstrap(&config.database.url, &config.database).await?;
    migrate::up(&config.database, &[]).await?;
    Ok(())
}

impl Up {
    /// Becomes ready, says so, and goes on until `shutdown` or until something dies.
    async fn until(&self, shutdown: Shutdown, began: Instant, output: Output, progress: &mut Progress) -> anyhow::Result<()> {
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            failure = self.serving.failed() => return Err(failure),
            ready = progress.during("waiting for services to become ready", self.become_ready()) => {
                ready?;
                let ready = self.ready(began.elapsed());
                output.answer(&ready, || self.welcome(&ready))?;
            }
        }
        tokio::select! {
            () = shutdown.requested() => Ok(()),
            failure = self.serving.failed() => Err(failure),
            failure = self.stack.failed() => Err(failure.into()),
        }
    }

    async fn become_ready(&self) -> anyhow::Result<()> {
        self.serving.ready(READY_AT_MOST).await?;
        let identity = format!("http://{}", self.address(identity::NAME)?);
        let channel = rpc::client::channel(identity::NAME, &identity, &keys::operator(&self.config.suite.key_directory)?)?;
        seed::people(channel, seed::ADMIN).await.context("seeding")?;
        Ok(self.stack.set_address(&self.address(gateway::NAME)?.to_string())?)
    }

    fn address(&self, service: &str) -> anyhow::Result<SocketAddr> {
        let found = self.serving.addresses().into_iter().find(|(name, ..)| *name == service);
        found.map(|(_, address, _)| address).with_context(|| format!("{service} does not run"))
    }

    fn ready(&self, took: Duration) -> Ready {
        let services = self.serving.addresses().into_iter();
        let (stack, given) = (&self.stack, &self.given);
        Ready {
            seconds: (took.as_secs_f64() * 10.0).round() / 10.0,
            services: services.map(|(service, address, admin_address)| Service { service, address, admin_address }).collect(),
            servers: Servers {
                postgres: given.database.is_none().then(|| stack.postgres_url("postgres", "muster")),
                nats: given.nats.is_none().then(|| stack.nats_url()),
                redis: given.redis.is_none().then(|| stack.redis_url()),
            },
            folder: stack.dir().to_owned(),
            keys: self.config.suite.key_directory.clone(),
            admin: seed::ADMIN,
            people: seed::PEOPLE.map(|(email, _)| email).into(),
            password: seed::PASSWORD,
        }
    }

    /// What a person wants to know when everything is ready.
    fn welcome(&self, ready: &Ready) -> String {
        let services = ready
            .services
            .iter()
            .map(|one| [one.service.to_owned(), one.address.to_string(), format!("http://{}/metrics", one.admin_address)]);
        let server = |name: &str, url: &Option<String>| {
            [name.to_owned(), url.clone().unwrap_or_else(|| "as given in the environment".to_owned()), String::new()]
        };
        let Servers { postgres, nats, redis } = &ready.servers;
        let servers = [server("postgres", postgres), server("nats", nats), server("redis", redis)];
        let table = table::render(["service", "address", "admin"], &services.chain(servers).collect::<Vec<_>>());
        let edge = ready.services.first().map(|one| one.address.to_string()).unwrap_or_default();
        let moved = self.stack.moved().map(|moved| format!("data       in {} ({})\n", moved.to.display(), moved.why)).unwrap_or_default();
        let Ready { seconds, admin, people, password, .. } = ready;
        let (ana, events_status) = (people.first().copied().unwrap_or_default(), self.events_status(&ready.services));
        format!(
            "\nMuster is ready after {seconds:.1} s.\n\n{table}\n{moved}sign-in    {admin}  {password}\npeople     {}  (same password)\n\nTry:\n  \
             grpcurl -plaintext {edge} list\n  \
             grpcurl -plaintext -d '{{\"email\":\"{ana}\",\"password\":\"{password}\"}}' {edge} muster.identity.v1.SessionService/CreateSession\n  \
             {events_status}\n\nCtrl-C stops everything; the data stays in {}.",
            people.join("  "),
            ready.folder.display(),
        )
    }

    /// The command that shows the event logs: the short one where it finds services and keys by itself, else one that says where they are.
    fn events_status(&self, services: &[Service]) -> String {
        let (usual, keys) = (Config::default(), &self.config.suite.key_directory);
        let mut command = format!("{} events status", std::env::args().next().unwrap_or_else(|| "muster".to_owned()));
        if std::path::absolute(&usual.suite.key_directory).is_ok_and(|usual| usual != *keys) {
            command.push_str(&format!(" --keys '{}'", keys.display()));
        }
        let usual = usual.admin_addresses();
        let mut with_log = services.iter().filter(|one| usual.iter().any(|(other, _)| *other == one.service));
        if let Some(one) = with_log.find(|one| !usual.contains(&(one.service, format!("http://{}", one.admin_address)))) {
            command.push_str(&format!(" --service {} --address {}", one.service, one.admin_address));
        }
        command
    }
}

impl Given {
    fn from_environment() -> Given {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Given { database: variable("DATABASE_URL"), nats: variable("NATS_URL"), redis: variable("REDIS_URL") }
    }
}
