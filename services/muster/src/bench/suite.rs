//! The suite as production runs it: processes of `muster serve`, with their logs on, on servers and a database of the bench's own.
//!
//! Deliberately absent: figures. Here stands only what they are measured on.

use std::{
    collections::BTreeMap,
    fs::File,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use anyhow::Context;
use contract::common::v1::{GetEventStatusRequest, event_admin_service_client::EventAdminServiceClient};
use contract::grpc::health::v1::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use devstack::{Options, Stack};
use runtime::config::Secret;
use tonic::transport::{Channel, Endpoint};

use super::process::Process;
use crate::{
    config::Config,
    keys, migrate, seed,
    serve::{self, SERVICES},
};

/// How long a process may take to become ready before the bench gives up.
const READY_AT_MOST: Duration = Duration::from_secs(60);

/// Servers, keys, a migrated database and free ports; the processes are the figures' to start.
pub(super) struct Suite {
    stack: Stack,
    ports: BTreeMap<&'static str, (u16, u16)>,
    environment: Vec<(String, String)>,
}

impl Suite {
    /// With fsync on.
    pub(super) async fn new(config: &Config) -> anyhow::Result<Suite> {
        let stack = Stack::start(Options { durable: true, redis: false, ..Options::temporary() }).await?;
        let mut database = config.database.clone();
        database.url = Secret::from(stack.postgres_url("postgres", "muster").as_str());
        keys::make(&stack.dir().join("keys"))?;
        migrate::create_database(&Secret::from(stack.postgres_url("postgres", "postgres").as_str()), "muster").await?;
        migrate::bootstrap(&database.url, &database).await?;
        migrate::up(&database, &[]).await?;
        let ports = free_ports()?;
        let mut environment = serve::environment(&stack, &ports);
        // Whoever gives a wrong password here, or asks for mails, does so from one address, and is not to wait for that.
        for limit in ["ADDRESS_ATTEMPTS", "MAILS_PER_ADDRESS"] {
            environment.push((format!("MUSTER__IDENTITY__THROTTLE__{limit}"), "1000000".to_owned()));
        }
        Ok(Suite { stack, ports, environment })
    }

    /// Starts `muster` with `arguments`, its log in a file.
    ///
    /// # Errors
    /// The process can't be started.
    pub(super) fn start(&self, arguments: &[&str]) -> anyhow::Result<Process> {
        let log = File::create(self.stack.dir().join(format!("{}.log", arguments.join("-").replace(['/', ':'], "_"))))?;
        // So that no process outlives the bench, however that ends.
        let mut command = std::process::Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(std::env::current_exe()?).args(arguments).envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Process::spawn(command).with_context(|| arguments.join(" "))
    }

    /// Waits until `service` takes calls.
    ///
    /// # Errors
    /// It doesn't, in a minute.
    pub(super) async fn ready(&self, service: &str) -> anyhow::Result<()> {
        serving(self.address(service)?).await.with_context(|| format!("{service} does not become ready"))
    }

    /// A further process of `service` on ports of its own, once it takes calls, and the way to it.
    ///
    /// # Errors
    /// It doesn't, in a minute.
    pub(super) async fn another(&self, service: &str) -> anyhow::Result<(Process, Channel)> {
        let (port, admin_port) = (free_port()?, free_port()?);
        let settings = [format!("{service}.port={port}"), format!("{service}.admin_port={admin_port}")];
        let process = self.start(&["serve", service, "--set", &settings[0], "--set", &settings[1]])?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        serving(address).await.with_context(|| format!("a further {service} does not become ready"))?;
        Ok((process, channel(address)?))
    }

    /// Whether the first process of `service` numbers and publishes its events.
    ///
    /// # Errors
    /// It can't be asked.
    pub(super) async fn leads(&self, service: &str) -> anyhow::Result<bool> {
        let (_, admin_port) = self.ports.get(service).context("a service of the suite")?;
        let admin = rpc::client::channel(service, &format!("http://127.0.0.1:{admin_port}"), &keys::operator(&self.keys())?)?;
        let status = EventAdminServiceClient::new(admin).get_event_status(GetEventStatusRequest::default()).await?;
        Ok(status.into_inner().leader)
    }

    /// Where `service` listens.
    ///
    /// # Errors
    /// There is no such service.
    pub(super) fn address(&self, service: &str) -> anyhow::Result<SocketAddr> {
        let (port, _) = self.ports.get(service).context("a service of the suite")?;
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, *port)))
    }

    /// A plain channel to `service`, as any client has it.
    ///
    /// # Errors
    /// There is no such service.
    pub(super) fn channel(&self, service: &str) -> anyhow::Result<Channel> {
        channel(self.address(service)?)
    }

    /// Registers the people of a development suite.
    ///
    /// # Errors
    /// The first RPC that is refused.
    pub(super) async fn seed(&self) -> anyhow::Result<()> {
        let operator = keys::operator(&self.keys())?;
        let identity = rpc::client::channel(identity::NAME, &format!("http://{}", self.address(identity::NAME)?), &operator)?;
        seed::people(identity, seed::ADMIN).await
    }

    /// Registers `count` more people who can sign in, and answers their addresses.
    ///
    /// # Errors
    /// The first RPC that is refused.
    pub(super) async fn crowd(&self, count: usize) -> anyhow::Result<Vec<String>> {
        let operator = keys::operator(&self.keys())?;
        let identity = rpc::client::channel(identity::NAME, &format!("http://{}", self.address(identity::NAME)?), &operator)?;
        let people: Vec<(String, String)> =
            (0..count).map(|number| (format!("crowd-{number}@muster.example"), format!("Person {number}"))).collect();
        seed::register(identity, seed::ADMIN, &people).await?;
        Ok(people.into_iter().map(|(email, _)| email).collect())
    }

    /// The database, for its superuser.
    pub(super) fn database_url(&self) -> String {
        self.stack.postgres_url("postgres", "muster")
    }

    /// Where the keys lie that the services and the operator sign with.
    pub(super) fn keys(&self) -> PathBuf {
        self.stack.dir().join("keys")
    }

    /// A folder beside the data, gone with it.
    pub(super) fn folder(&self, name: &str) -> PathBuf {
        self.stack.dir().join(name)
    }

    /// Ends the servers.
    pub(super) async fn stop(self) {
        self.stack.stop().await;
    }
}

/// A plain channel to `address`.
pub(super) fn channel(address: SocketAddr) -> anyhow::Result<Channel> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true).connect_lazy())
}

/// Waits until the server at `address` says that it serves.
pub(super) async fn serving(address: SocketAddr) -> anyhow::Result<()> {
    let asking = async {
        loop {
            let answer = HealthClient::new(channel(address)?).check(HealthCheckRequest::default()).await;
            if answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving) {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(READY_AT_MOST, asking).await?
}

/// A port that nobody listens on.
pub(super) fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn free_ports() -> anyhow::Result<BTreeMap<&'static str, (u16, u16)>> {
    SERVICES.into_iter().map(|service| Ok((service, (free_port()?, free_port()?)))).collect()
}
