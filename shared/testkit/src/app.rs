//! The service under test, and the end of the test.

use std::net::SocketAddr;
use std::sync::Arc;

use host::Deps;
use runtime::{Clock, ClockHandle, OrganizationId, WorkspaceId, feed::FeedFaults};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::{
    Authority, Bus, Setup,
    leftovers::{Expected, Processes},
    stage::{Stage, Subject, Up, World},
    wire::Wire,
};

/// One real service on free ports, with a database and a nats-server of its own, and the fixture authority as `identity` and `authorization`.
///
/// When it is dropped the test fails if it leaves an event that is not on the bus, a dead letter, an open transaction, a background task that
/// died, or a process that still runs.
pub struct App {
    pub(crate) subject: Subject,
    pub(crate) world: World,
    pub(crate) up: Up,
    pub(crate) wire: Wire,
    pub(crate) organization: OrganizationId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) bus: Bus,
    stage: Stage,
    clock: Option<ClockHandle>,
    expected: Expected,
    /// The last to be dropped, when everything that holds a process is gone.
    processes: Processes,
}

/// Another replica of the service under test.
#[derive(Clone, Debug)]
pub struct Replica {
    pub(crate) wire: Wire,
}

impl App {
    /// Starts `build`'s service, ready to take calls: `App::of(tasks::NAME, tasks::SCHEMA, &tasks::MIGRATIONS, async |deps|
    /// tasks::build(deps, &tasks::Config::default()).await).await`.
    ///
    /// # Panics
    /// When it does not become ready; says what it waits for.
    pub async fn of<F>(name: &'static str, schema: &'static str, migrations: &'static sqlx::migrate::Migrator, build: F) -> App
    where
        F: AsyncFn(&Deps) -> anyhow::Result<host::Service> + Send + 'static,
    {
        App::with(Setup::default(), name, schema, migrations, build).await
    }

    /// As [`App::of`], set up otherwise than usual.
    ///
    /// # Panics
    /// When it does not become ready; says what it waits for.
    pub async fn with<F>(
        setup: Setup,
        name: &'static str,
        schema: &'static str,
        migrations: &'static sqlx::migrate::Migrator,
        build: F,
    ) -> App
    where
        F: AsyncFn(&Deps) -> anyhow::Result<host::Service> + Send + 'static,
    {
        let (clock, handle, ids) = setup.time();
        let subject = Subject { name, schema, migrations };
        let (stage, world, up) = Stage::start(subject, setup, clock, ids.clone(), build).await;
        let (organization, workspace) = (ids.next_id(), ids.next_id());
        let (wire, bus) = (Wire::to(up.address, world.runtime.clone()), Bus::to(world.nats.url()));
        App {
            subject,
            world,
            up,
            wire,
            organization,
            workspace,
            bus,
            stage,
            clock: handle,
            expected: Expected::default(),
            processes: Processes::default(),
        }
    }

    /// The organization of this test's actors.
    pub fn organization(&self) -> OrganizationId {
        self.organization
    }

    /// Its workspace that every test has. [`App::add_workspace`] makes more.
    pub fn workspace(&self) -> WorkspaceId {
        self.workspace
    }

    /// What says who they are and what they may.
    pub fn authority(&self) -> &Arc<Authority> {
        &self.world.authority
    }

    /// Loses messages of the revocation feed, or silences it.
    pub fn faults(&self) -> &FeedFaults {
        &self.world.faults
    }

    /// Moves the clock of service and authority.
    ///
    /// # Panics
    /// When the test asked for the system's clock.
    pub fn clock(&self) -> &ClockHandle {
        self.clock.as_ref().expect("this test runs by the system's clock")
    }

    /// The time of service and authority.
    pub fn now(&self) -> OffsetDateTime {
        self.time().now()
    }

    pub(crate) fn time(&self) -> &Clock {
        &self.world.clock
    }

    /// What the host gave the service when it last started, for a look at its insides. What uses its database goes through [`App::inside`].
    pub fn deps(&self) -> &Deps {
        &self.up.deps
    }

    /// Runs `work` beside the service: `app.inside(|deps| async move { deps.db.read(&caller, ..).await }).await`. On the runtime of the test
    /// itself, a connection would not find back to its pool when the test ends.
    ///
    /// # Panics
    /// When `work` does.
    pub async fn inside<T, F>(&self, work: impl FnOnce(Deps) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let done = self.world.runtime.spawn(work(self.up.deps.clone())).await;
        done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    /// The nats-server, to pause, kill and restart it.
    pub fn nats(&self) -> &devstack::Nats {
        &self.world.nats
    }

    /// A superuser's connection to the test's database: sees every row of every tenant. A transaction left open on it fails the test too.
    ///
    /// # Panics
    /// When PostgreSQL is away.
    pub async fn sql(&self) -> PgConnection {
        self.world.database.superuser().await
    }

    /// Where the service answers now, for a client of the test's own; the actors' channels follow a restart, this does not.
    pub fn address(&self) -> SocketAddr {
        self.up.address
    }

    /// The URL of the test's database for `user`: `<schema>_app`, `<schema>_owner`, `postgres`.
    pub fn database_url(&self, user: &str) -> String {
        self.world.database.server().url(user, self.world.database.name())
    }

    /// Stops the service in good order and starts it again on the same database and bus. Actors reach it on its new port by themselves.
    ///
    /// # Panics
    /// When it does not become ready again.
    pub async fn restart(&mut self) {
        self.up = self.stage.restart().await;
        self.wire.redirect(self.up.address);
    }

    /// One more of the service, on the same database and bus and by the same clock, ready to take calls from those who are [at](crate::Actor::at) it. It
    /// stops with the test.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn replica(&self) -> Replica {
        let up = self.stage.replicate().await;
        Replica { wire: Wire::to(up.address, self.world.runtime.clone()) }
    }

    /// This test leaves dead letters.
    pub fn expect_dead_letters(&mut self) {
        self.expected.dead_letters = true;
    }

    /// This test leaves events that are not on the bus, since it took the bus away.
    pub fn expect_unpublished(&mut self) {
        self.expected.unpublished = true;
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.processes.expect_end_of(&self.world.nats);
        let failing = std::thread::panicking();
        let left = self.stage.end((!failing).then_some(self.expected));
        assert!(failing || left.is_empty(), "the test left behind: {}", left.join("; "));
    }
}
