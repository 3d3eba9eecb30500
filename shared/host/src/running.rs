//! Starting, gating and stopping a service, and the edge, which is one without a schema.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use authz::Authorizer;
use db::{Db, DbConfig, Migrator, Sealer};
use events::{Bus, EventAdmin, EventsConfig, Log, NatsConfig};
use rpc::{
    authn::{PeerKeys, Verifier},
    health::{HealthHandle, ServingStatus},
    server::{Callers, Front, Limits, Server},
};
use runtime::{Clock, Ids, Shutdown, TaskFailure, Tasks, feed::FeedFaults, telemetry::Metrics};
use tonic::service::Routes;

use crate::{Bound, Deps, EdgeDeps, Peers, Service, SuiteConfig, dependencies, replicas::Replicas};

/// How long background tasks may take to end once calls are drained.
const TASKS_AT_MOST: Duration = Duration::from_secs(5);
/// How long the gate waits for a permission snapshot that somebody vouches for, once there is one.
const CURRENT_AT_MOST: Duration = Duration::from_secs(5);
/// The full name of the event administration, on the admin port.
const EVENT_ADMIN: &str = "muster.common.v1.EventAdminService";

/// What the services of one process share.
#[derive(Clone, Debug)]
pub struct Suite {
    /// PostgreSQL.
    pub database: DbConfig,
    /// NATS.
    pub nats: NatsConfig,
    /// The event log.
    pub events: EventsConfig,
    /// Keys and peers.
    pub suite: SuiteConfig,
    /// The limits of each server.
    pub limits: Limits,
    /// The time.
    pub clock: Clock,
    /// Fresh ids.
    pub ids: Ids,
    /// What `/metrics` shows; `None` shows nothing.
    pub metrics: Option<Metrics>,
    /// Lets a test lose messages of the revocation feed.
    pub revocation_faults: FeedFaults,
    /// The same of the permission feed.
    pub permission_faults: FeedFaults,
}

/// A service that serves.
pub struct Running {
    name: &'static str,
    address: SocketAddr,
    admin_address: SocketAddr,
    health: HealthHandle,
    gate: Gate,
    tasks: Tasks,
    stopping: Shutdown,
    serving: Shutdown,
    drain_delay: Duration,
    server: tokio::sync::watch::Receiver<bool>,
    db: Option<Db>,
}

/// What a service waits for before it takes calls; the edge, which verifies nobody, for nothing.
#[derive(Clone, Debug)]
struct Gate {
    verifier: Option<Verifier>,
    authorizer: Authorizer,
}

/// Starts the service of `bound` with the schema `schema`: connects, replicates, builds it, and listens. It takes calls from subjects once its
/// gate opens; [`Running::ready`] waits for that.
///
/// # Errors
/// Keys that are missing, a database that is away or not migrated, a login with too much power, an error of `build`.
pub async fn start<F>(
    suite: &Suite,
    bound: Bound,
    schema: &'static str,
    migrations: &'static sqlx::migrate::Migrator,
    build: F,
) -> anyhow::Result<Running>
where
    F: AsyncFnOnce(&Deps) -> anyhow::Result<Service>,
{
    let name = bound.name();
    let keys = &suite.suite.key_directory;
    let peer_keys = suite.peer_keys(name)?;
    let sealer = Sealer::open_file(&keys.join(format!("{name}.seal")))?;
    let db = Db::connect(&suite.database, name, schema, sealer, suite.clock.clone(), suite.ids.clone()).await?;
    require_migrated(&db, schema, migrations).await?;
    let bus = Bus::connect(&suite.nats, name).await?;

    let tasks = Tasks::new(name, Shutdown::new());
    let log = Log::open(db.clone(), bus.clone(), name, suite.clock.clone(), suite.ids.clone(), suite.events.clone());
    let authorizer = Authorizer::new();
    let peers = Peers::new(&bound, &suite.suite, &peer_keys);
    let replicas = Replicas::new(suite, &bound, &peers, &peer_keys);
    let verifier = replicas.verifier();
    let deps = Deps {
        db: db.clone(),
        log: log.clone(),
        peers: peers.clone(),
        verifier: verifier.clone(),
        authorizer: authorizer.clone(),
        tasks: tasks.clone(),
        clock: suite.clock.clone(),
        ids: suite.ids.clone(),
    };
    let service = build(&deps).await?;
    replicas.start(&tasks, (!service.feeds_authorizer).then_some(&authorizer))?;
    tasks.spawn("event log", log.clone().run(tasks.shutdown().child()));
    let health = HealthHandle::new();
    tasks.spawn("dependencies", dependencies::watch(health.clone(), db.clone(), bus, tasks.shutdown().clone()));
    let hosting = Hosting {
        gate: Gate { verifier: Some(verifier.clone()), authorizer },
        callers: Callers::Verified(verifier),
        health,
        tasks,
        limits: suite.limits.clone(),
        admin_routes: Routes::new(EventAdmin::server(log)),
        admin_services: vec![EVENT_ADMIN],
        db: Some(db),
    };
    hosting.listen(suite, bound, service)
}

/// Starts the edge, which has no schema, no log and no gate: it passes calls on, within `limits`. `build` makes it, and what sees requests first and passes
/// them on.
///
/// # Errors
/// Keys that are missing, an error of `build`.
pub async fn start_edge<F>(suite: &Suite, bound: Bound, limits: Limits, build: F) -> anyhow::Result<Running>
where
    F: AsyncFnOnce(&EdgeDeps) -> anyhow::Result<(Service, Arc<dyn Front>)>,
{
    let name = bound.name();
    let tasks = Tasks::new(name, Shutdown::new());
    let health = HealthHandle::new();
    let peers = Peers::new(&bound, &suite.suite, &suite.peer_keys(name)?);
    let deps = EdgeDeps { peers, tasks: tasks.clone(), health: health.clone(), limits: limits.clone() };
    let (service, front) = build(&deps).await?;
    let hosting = Hosting {
        gate: Gate { verifier: None, authorizer: Authorizer::new() },
        callers: Callers::PassedOn(front),
        health,
        tasks,
        limits,
        admin_routes: Routes::default(),
        admin_services: Vec::new(),
        db: None,
    };
    hosting.listen(suite, bound, service)
}

/// What a service is served with, whatever it is.
struct Hosting {
    gate: Gate,
    callers: Callers,
    health: HealthHandle,
    tasks: Tasks,
    limits: Limits,
    admin_routes: Routes,
    admin_services: Vec<&'static str>,
    db: Option<Db>,
}

impl Hosting {
    /// Serves `service` on the ports of `bound`, and opens its gate when that is time.
    fn listen(self, suite: &Suite, bound: Bound, service: Service) -> anyhow::Result<Running> {
        let Self { gate, callers, health, tasks, limits, admin_routes, admin_services, db } = self;
        let name = bound.name();
        anyhow::ensure!(service.name == name, "{} was built where {name} is hosted", service.name);
        let (address, admin_address) = (bound.address(), bound.admin_listener.local_addr()?);
        if matches!(callers, Callers::Verified(_)) {
            for full_name in &service.services {
                health.set(full_name, ServingStatus::NotServing);
            }
        }
        let (stopping, serving) = (Shutdown::new(), Shutdown::new());
        tasks.spawn_once("gate", open(name, gate.clone(), health.clone(), stopping.clone()));
        let drain_delay = Duration::from_millis(limits.drain_delay_ms);
        let server = Server {
            service: name,
            listener: bound.listener,
            admin_listener: Some(bound.admin_listener),
            routes: service.routes,
            services: service.services,
            admin_routes,
            admin_services,
            request_limits: service.request_limits,
            health: health.clone(),
            callers,
            authorizer: gate.authorizer.clone(),
            metrics: suite.metrics.clone(),
            ids: suite.ids.clone(),
            limits,
        };
        let (served, server_ended) = tokio::sync::watch::channel(false);
        let until = serving.clone();
        tasks.spawn_once("server", async move {
            rpc::server::serve(server, until).await;
            // Whoever stops the service waits for this; nobody else does.
            served.send_replace(true);
        });
        tracing::info!(service = name, %address, %admin_address, "listening");
        Ok(Running { name, address, admin_address, health, gate, tasks, stopping, serving, drain_delay, server: server_ended, db })
    }
}

/// Says SERVING once the gate is open, unless the stop comes first.
async fn open(name: &'static str, gate: Gate, health: HealthHandle, stopping: Shutdown) {
    if stopping.or(gate.opens()).await.is_some() {
        health.set_serving(true);
        tracing::info!(service = name, "ready");
    }
    if stopping.is_requested() {
        // The stop came in between, and what it said stands.
        health.set_serving(false);
    }
}

impl Suite {
    /// The keys under which the service `name` calls others.
    fn peer_keys(&self, name: &'static str) -> anyhow::Result<PeerKeys> {
        let keys = &self.suite.key_directory;
        Ok(PeerKeys::load(name, &keys.join(format!("{name}.key")), &keys.join("trust.json"), self.clock.clone())?)
    }
}

async fn require_migrated(db: &Db, schema: &str, migrations: &'static sqlx::migrate::Migrator) -> anyhow::Result<()> {
    let newest = Migrator::new(schema, migrations)?.newest();
    let applied = db.migrated_to().await?;
    anyhow::ensure!(
        applied.is_some_and(|applied| applied >= newest),
        "schema {schema} is at migration {}, this build needs {newest}: run `muster migrate up`",
        applied.unwrap_or_default()
    );
    Ok(())
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("name", &self.name).field("address", &self.address).finish_non_exhaustive()
    }
}

impl Gate {
    async fn opens(&self) {
        let Some(verifier) = &self.verifier else { return };
        verifier.ready().await;
        self.authorizer.ready().await;
        // So that nobody's first call finds a suite that has just started stale. Longer than that, the fault lies with NATS or identity, and
        // what asks no decision is served.
        let _ = tokio::time::timeout(CURRENT_AT_MOST, self.authorizer.current()).await;
    }
}

impl Running {
    /// The service.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where health, metrics and event administration answer.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// What health answers.
    pub fn health(&self) -> &HealthHandle {
        &self.health
    }

    /// The embedded decision engine, for whoever waits until it knows of a change. The edge decides nothing, and its own stays empty.
    pub fn authorizer(&self) -> &Authorizer {
        &self.gate.authorizer
    }

    /// Waits until the gate is open.
    pub async fn ready(&self) {
        self.gate.opens().await;
    }

    /// What the gate still waits for, in words; empty when it is open.
    pub fn waits_for(&self) -> String {
        let Some(verifier) = &self.gate.verifier else { return String::new() };
        let keys = (!verifier.is_ready()).then_some("keys and revocations");
        let permissions = (!self.gate.authorizer.is_ready()).then_some("the permission snapshot");
        keys.into_iter().chain(permissions).collect::<Vec<_>>().join(" and ")
    }

    /// Waits for the first background task that dies.
    pub async fn failed(&self) -> TaskFailure {
        self.tasks.failed().await
    }

    /// Says NOT_SERVING and serves on for the drain delay, then drains calls, ends background tasks, closes connections. Bounded by
    /// `drain_delay_ms`, `drain_ms` and 10 seconds together.
    pub async fn stop(mut self) {
        self.stopping.request();
        self.health.set_serving(false);
        tokio::time::sleep(self.drain_delay).await;
        self.serving.request();
        // The sender lives in the server's task: an error says that it is gone, which is what is waited for.
        let _ = self.server.wait_for(|ended| *ended).await;
        let unfinished = self.tasks.stop(TASKS_AT_MOST).await;
        if !unfinished.is_empty() {
            tracing::warn!(service = self.name, ?unfinished, "background tasks were aborted");
        }
        if let Some(db) = self.db {
            db.close().await;
        }
    }
}
