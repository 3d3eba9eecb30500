//! The suite as an operator runs it: child processes of `muster serve`, on servers and a database of their own.
//!
//! Deliberately absent: services inside the test's own process, which is `tests/`: nothing there can be killed.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use db::DbConfig;
use devstack::{Options, Stack};
use muster::{
    keys, migrate, seed,
    serve::{self, SERVICES},
};
use rand::Rng;
use runtime::config::Secret;
use sqlx::{Connection, PgConnection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tonic::transport::{Channel, Endpoint};

/// No test waits longer for a process to become ready or to die, or for the suite to come to rest.
pub(crate) const AT_MOST: Duration = Duration::from_secs(60);
/// How often a test looks whether what it waits for has come.
pub(crate) const PERIOD: Duration = Duration::from_millis(20);
/// Below the ports that the kernel gives to whoever connects: a port that is free while its service is dead stays free.
const PORTS: std::ops::Range<u16> = 15_000..31_000;

/// Servers, keys, a migrated database and free ports; the processes are the test's to start.
pub(crate) struct Suite {
    stack: Stack,
    /// Port and admin port of each service.
    ports: BTreeMap<&'static str, (u16, u16)>,
    environment: Vec<(String, String)>,
}

impl Suite {
    pub(crate) async fn new() -> Suite {
        Suite::with(&[]).await
    }

    /// As `new`, with more variables in the environment of every process.
    pub(crate) async fn with(extra: &[(&str, String)]) -> Suite {
        runtime::init_crypto();
        let stack = Stack::start(Options { redis: false, ..Options::temporary() }).await.unwrap();
        keys::make(&stack.dir().join("keys")).unwrap();
        let database = DbConfig { url: Secret::from(stack.postgres_url("postgres", "muster").as_str()), ..DbConfig::default() };
        migrate::create_database(&Secret::from(stack.postgres_url("postgres", "postgres").as_str()), "muster").await.unwrap();
        migrate::bootstrap(&database.url, &database).await.unwrap();
        migrate::up(&database, &[]).await.unwrap();
        let ports = free_ports();
        let mut environment = serve::environment(&stack, &ports);
        environment.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        Suite { stack, ports, environment }
    }

    /// Starts `services` in a process of their own, with `extra` variables in its environment.
    pub(crate) fn start(&self, services: &[&'static str], extra: &[(&str, String)]) -> Process {
        let log = self.stack.dir().join(format!("{}.log", services.join("-")));
        let file = File::options().create(true).append(true).open(&log).unwrap();
        // So that no child outlives the test, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_muster"), "serve"]).args(services);
        command.env_clear().envs(self.environment.iter().cloned()).envs(extra.iter().cloned());
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Process { child: command.spawn().unwrap(), name: services.join(", "), log }
    }

    /// As `start`; each of `services` takes calls when it returns.
    pub(crate) async fn serve(&self, services: &[&'static str], extra: &[(&str, String)]) -> Process {
        let mut process = self.start(services, extra);
        for service in services {
            self.ready(&mut process, service).await;
        }
        process
    }

    /// Runs `muster` with `arguments` and the suite's settings, as an operator does, to its end.
    pub(crate) fn muster(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
        command.args(arguments).env_clear().envs(self.environment.iter().cloned()).output().unwrap()
    }

    /// Where the bus is.
    pub(crate) fn nats_url(&self) -> String {
        self.stack.nats_url()
    }

    /// Waits until `service`, which runs in `process`, takes calls.
    pub(crate) async fn ready(&self, process: &mut Process, service: &str) {
        let began = Instant::now();
        while !self.admin(service, "/readyz").await.is_some_and(|answer| answer.starts_with("HTTP/1.0 200")) {
            assert_eq!(process.ended(), None, "{} ended by itself: {}", process.name, process.last_words());
            assert!(began.elapsed() < AT_MOST, "{service} does not become ready: {}", process.last_words());
            sleep(PERIOD).await;
        }
    }

    /// What the admin port of `service` answers at `path`, with its head; `None` while nobody is there.
    pub(crate) async fn admin(&self, service: &str, path: &str) -> Option<String> {
        let ask = async {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.ports[service].1)).await?;
            stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        timeout(Duration::from_secs(5), ask).await.ok()?.ok()
    }

    /// A client's way to `service`; it connects again whenever it is called.
    pub(crate) fn channel(&self, service: &str) -> Channel {
        Endpoint::from_shared(self.address(service)).unwrap().tcp_nodelay(true).connect_lazy()
    }

    /// Registers the people of a development suite.
    pub(crate) async fn seed(&self) {
        let operator = keys::operator(&self.stack.dir().join("keys")).unwrap();
        let identity = rpc::client::channel(identity::NAME, &self.address(identity::NAME), &operator).unwrap();
        seed::people(identity, seed::ADMIN).await.unwrap();
    }

    /// The database, as its superuser.
    pub(crate) async fn database(&self) -> PgConnection {
        PgConnection::connect(&self.stack.postgres_url("postgres", "muster")).await.unwrap()
    }

    /// A file beside the data, gone with it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.stack.dir().join(name)
    }

    /// Ends the servers.
    pub(crate) async fn stop(self) {
        self.stack.stop().await;
    }

    /// Where `service` answers.
    pub(crate) fn address(&self, service: &str) -> String {
        format!("http://{}", SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports[service].0)))
    }
}

/// Ports that nobody listens on.
fn free_ports() -> BTreeMap<&'static str, (u16, u16)> {
    // Held until all are found, so that no port is found twice.
    let mut held = Vec::new();
    let mut port = || {
        let mut tried = std::iter::repeat_with(|| rand::rng().random_range(PORTS)).take(1_000);
        let listener = tried.find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()).unwrap();
        let port = listener.local_addr().unwrap().port();
        held.push(listener);
        port
    };
    SERVICES.into_iter().map(|service| (service, (port(), port()))).collect()
}

/// A running `muster serve`; killed when dropped.
pub(crate) struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Pulls the plug: SIGKILL.
    ///
    /// It must still have run: a process that ends by itself is a fault that a kill would hide.
    pub(crate) fn kill(mut self) {
        assert_eq!(self.ended(), None, "{} ended by itself: {}", self.name, self.last_words());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// How it ended; `None` while it runs.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it ended by itself.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(began.elapsed() < AT_MOST, "{} goes on: {}", self.name, self.last_words());
            sleep(PERIOD).await;
        }
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It fails when the process is gone already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
