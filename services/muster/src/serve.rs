//! Services in this process: bound, started together, stopped together.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use anyhow::Context;
use devstack::Stack;
use host::{Bound, Running, Suite};
use runtime::{Clock, Ids, feed::FeedFaults, telemetry};

use crate::{config::Config, seed};

/// The services this binary holds, in the order they start in; those of them that keep something are [`SCHEMAS`](crate::migrate::SCHEMAS).
pub const SERVICES: [&str; 6] = [gateway::NAME, identity::NAME, authorization::NAME, tasks::NAME, audit::NAME, notifications::NAME];

/// The settings of processes of `muster serve` that make one suite over `stack`, as their environment. `ports`: port and admin port of each service.
pub fn environment(stack: &Stack, ports: &BTreeMap<&'static str, (u16, u16)>) -> Vec<(String, String)> {
    let mut settings = vec![
        ("DATABASE__URL".to_owned(), stack.postgres_url("postgres", "muster")),
        ("NATS__URL".to_owned(), stack.nats_url()),
        ("SUITE__KEY_DIRECTORY".to_owned(), stack.dir().join("keys").display().to_string()),
        ("IDENTITY__FIRST_ADMIN__EMAIL".to_owned(), seed::ADMIN.to_owned()),
        ("IDENTITY__FIRST_ADMIN__PASSWORD".to_owned(), seed::PASSWORD.to_owned()),
        // Whoever fills it registers a crowd from one address.
        ("IDENTITY__THROTTLE__MAILS_PER_ADDRESS".to_owned(), "10000".to_owned()),
    ];
    for (service, (port, admin_port)) in ports {
        let section = service.to_uppercase();
        settings.push((format!("{section}__PORT"), port.to_string()));
        settings.push((format!("{section}__ADMIN_PORT"), admin_port.to_string()));
        settings.push((format!("SUITE__PEERS__{section}"), format!("http://127.0.0.1:{port}")));
    }
    settings.into_iter().map(|(key, value)| (format!("MUSTER__{key}"), value)).collect()
}

/// What a test may set that a person can't.
#[derive(Debug, Clone)]
pub struct Conditions {
    /// The time.
    pub clock: Clock,
    /// Loses messages of the revocation feed.
    pub revocation_faults: FeedFaults,
    /// Loses messages of the permission feed.
    pub permission_faults: FeedFaults,
}

impl Default for Conditions {
    fn default() -> Self {
        Conditions { clock: Clock::system(), revocation_faults: FeedFaults::default(), permission_faults: FeedFaults::default() }
    }
}

/// Running services of this process.
pub struct Serving {
    running: Vec<Running>,
}

impl Serving {
    /// Starts `services` (all when none is named) as `config` says. Returns when their ports are bound and their databases answer; they may
    /// not be ready yet.
    ///
    /// # Errors
    /// An unknown service, a port in use, a database that is not migrated, a key that is missing: whatever keeps one from starting.
    pub async fn start(config: &Config, services: &[String], metrics: Option<telemetry::Metrics>) -> anyhow::Result<Serving> {
        Serving::start_with(config, services, metrics, Conditions::default()).await
    }

    /// As [`start`](Serving::start), under conditions of a test.
    ///
    /// # Errors
    /// As `start`.
    pub async fn start_with(
        config: &Config,
        services: &[String],
        metrics: Option<telemetry::Metrics>,
        conditions: Conditions,
    ) -> anyhow::Result<Serving> {
        for service in services {
            anyhow::ensure!(SERVICES.contains(&service.as_str()), "there is no service {service}; there are {}", SERVICES.join(", "));
        }
        let mut bound = Vec::new();
        for name in SERVICES.into_iter().filter(|name| services.is_empty() || services.iter().any(|service| service == name)) {
            let section = format!("MUSTER__{}", name.to_uppercase());
            let other_ports = || format!("{name} can't listen ({section}__PORT and {section}__ADMIN_PORT choose other ports)");
            bound.push(bind(config, name).await.with_context(other_ports)?);
        }
        let mut suite = Suite {
            database: config.database.clone(),
            nats: config.nats.clone(),
            events: config.events.clone(),
            suite: config.suite.clone(),
            limits: config.limits.clone(),
            ids: Ids::at(conditions.clock.clone()),
            clock: conditions.clock,
            metrics,
            revocation_faults: conditions.revocation_faults,
            permission_faults: conditions.permission_faults,
        };
        for bound in &bound {
            let address = format!("http://{}", bound.reachable());
            suite.suite.peers.entry(bound.name().to_owned()).or_insert(address);
        }
        let mut running = Vec::new();
        for bound in bound {
            let name = bound.name();
            running.push(run(&suite, config, bound).await.with_context(|| format!("{name} can't start"))?);
        }
        Ok(Serving { running })
    }

    /// Waits until every service is ready to take calls, at most `at_most`.
    ///
    /// # Errors
    /// What a service still waits for when the time is up.
    pub async fn ready(&self, at_most: Duration) -> anyhow::Result<()> {
        for running in &self.running {
            let waiting = tokio::time::timeout(at_most, running.ready()).await;
            waiting
                .map_err(|_| anyhow::anyhow!("{} is not ready after {} s: {}", running.name(), at_most.as_secs(), running.waits_for()))?;
        }
        Ok(())
    }

    /// Name, address and admin address of each service.
    pub fn addresses(&self) -> Vec<(&'static str, SocketAddr, SocketAddr)> {
        self.running.iter().map(|running| (running.name(), running.address(), running.admin_address())).collect()
    }

    /// Each service.
    pub fn running(&self) -> &[Running] {
        &self.running
    }

    /// Waits for the first background task that dies; answers which and why.
    pub async fn failed(&self) -> anyhow::Error {
        let failures =
            self.running.iter().map(|running| Box::pin(async move { anyhow::anyhow!("{}: {}", running.name(), running.failed().await) }));
        futures::future::select_all(failures).await.0
    }

    /// Drains every service at the same time and stops it.
    pub async fn stop(self) {
        futures::future::join_all(self.running.into_iter().map(Running::stop)).await;
    }
}

async fn bind(config: &Config, name: &'static str) -> anyhow::Result<Bound> {
    match name {
        gateway::NAME => Bound::bind(name, &config.gateway).await,
        identity::NAME => Bound::bind(name, &config.identity).await,
        authorization::NAME => Bound::bind(name, &config.authorization).await,
        tasks::NAME => Bound::bind(name, &config.tasks).await,
        audit::NAME => Bound::bind(name, &config.audit).await,
        _ => Bound::bind(name, &config.notifications).await,
    }
}

async fn run(suite: &Suite, config: &Config, bound: Bound) -> anyhow::Result<Running> {
    match bound.name() {
        gateway::NAME => {
            let own = &config.gateway.own;
            host::start_edge(suite, bound, own.limits(&config.limits), async |deps| gateway::build(deps, own).await).await
        }
        identity::NAME => {
            let own = &config.identity.own;
            host::start(suite, bound, identity::SCHEMA, &identity::MIGRATIONS, async |deps| identity::build(deps, own).await).await
        }
        authorization::NAME => {
            let own = &config.authorization.own;
            host::start(suite, bound, authorization::SCHEMA, &authorization::MIGRATIONS, async |deps| authorization::build(deps, own).await)
                .await
        }
        tasks::NAME => {
            let own = &config.tasks.own;
            host::start(suite, bound, tasks::SCHEMA, &tasks::MIGRATIONS, async |deps| tasks::build(deps, own).await).await
        }
        audit::NAME => {
            let own = &config.audit.own;
            host::start(suite, bound, audit::SCHEMA, &audit::MIGRATIONS, async |deps| audit::build(deps, own).await).await
        }
        _ => {
            let own = &config.notifications.own;
            host::start(suite, bound, notifications::SCHEMA, &notifications::MIGRATIONS, async |deps| notifications::build(deps, own).await)
                .await
        }
    }
}
