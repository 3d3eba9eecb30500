//! Where the service under test runs: a thread and a runtime of its own, so that it goes on while a test blocks, and can be stopped and looked at
//! when the test is over.

use std::{
    net::SocketAddr,
    sync::{Arc, mpsc as blocking},
    thread::JoinHandle,
    time::Duration,
};

use anyhow::Context;
use devstack::Nats;
use events::NatsConfig;
use futures::{FutureExt, future::join_all};
use host::{Bound, Deps, Hosted, Running, ServiceConfig, Suite, SuiteConfig};
use runtime::{Clock, Ids, feed::FeedFaults};
use serde::{Deserialize, Serialize};
use tokio::{
    runtime::{Builder, Handle},
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{Authority, Setup, keys, leftovers, leftovers::Expected, postgres::Database, postgres::Postgres};

/// How long a service may take to become ready.
const READY: Duration = Duration::from_secs(60);
/// How long a service may take to stop: its drain, its tasks, its connections.
const STOPPED: Duration = Duration::from_secs(8);
/// How long its tasks may hold the thread up when everything is over.
const RUNTIME_END: Duration = Duration::from_secs(2);

/// Which service it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) schema: &'static str,
    pub(crate) migrations: &'static sqlx::migrate::Migrator,
}

/// What stands around it, as long as the test lasts.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) database: Arc<Database>,
    pub(crate) nats: Nats,
    pub(crate) authority: Arc<Authority>,
    pub(crate) faults: FeedFaults,
    pub(crate) clock: Clock,
    pub(crate) ids: Ids,
    /// Where connections to the service live too: they hear its farewell while the test blocks.
    pub(crate) runtime: Handle,
}

/// What is known of the service since it last started.
#[derive(Clone)]
pub(crate) struct Up {
    pub(crate) address: SocketAddr,
    pub(crate) admin_address: SocketAddr,
    pub(crate) deps: Deps,
}

enum Command {
    Restart(oneshot::Sender<Result<Up, String>>),
    /// Start one more beside it.
    Replicate(oneshot::Sender<Result<Up, String>>),
    /// The test is over: say what it left behind, and stop.
    End(Option<Expected>, blocking::Sender<Vec<String>>),
}

/// The handle on the thread.
#[derive(Debug)]
pub(crate) struct Stage {
    commands: mpsc::UnboundedSender<Command>,
    thread: Option<JoinHandle<()>>,
}

/// Ports that the system chooses.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct AnyPort {}

impl ServiceConfig for AnyPort {
    const PORT: u16 = 0;
}

impl Stage {
    /// Starts everything and answers when the service is ready.
    pub(crate) async fn start<F>(subject: Subject, setup: Setup, clock: Clock, ids: Ids, build: F) -> (Stage, World, Up)
    where
        F: AsyncFn(&Deps) -> anyhow::Result<host::Service> + Send + 'static,
    {
        let (commands, received) = mpsc::unbounded_channel();
        let (tell, told) = oneshot::channel();
        let play = move || {
            let runtime =
                Builder::new_multi_thread().worker_threads(2).thread_name("service under test").enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let world = World::make(subject, clock, ids).await;
                let play = Play { subject, setup, world: world.clone(), build };
                match play.begin().await {
                    Ok((running, up)) => {
                        let up = Ok((world, up));
                        // A test that gave up waiting is told nothing; the end follows at once.
                        let _ = tell.send(up);
                        play.go_on(running, received).await;
                    }
                    Err(error) => drop(tell.send(Err(format!("{error:#}")))),
                }
            });
            runtime.shutdown_timeout(RUNTIME_END);
        };
        let thread = std::thread::Builder::new().name("testkit stage".to_owned()).spawn(play).expect("a thread");
        let (world, up) =
            told.await.expect("the stage panicked: see above").unwrap_or_else(|error| panic!("{} does not start: {error}", subject.name));
        (Stage { commands, thread: Some(thread) }, world, up)
    }

    pub(crate) async fn restart(&self) -> Up {
        let (tell, told) = oneshot::channel();
        self.commands.send(Command::Restart(tell)).unwrap_or_else(|_| panic!("the service under test is gone"));
        told.await.expect("an answer").unwrap_or_else(|error| panic!("the service does not start again: {error}"))
    }

    pub(crate) async fn replicate(&self) -> Up {
        let (tell, told) = oneshot::channel();
        self.commands.send(Command::Replicate(tell)).unwrap_or_else(|_| panic!("the service under test is gone"));
        told.await.expect("an answer").unwrap_or_else(|error| panic!("the replica does not start: {error}"))
    }

    /// Ends everything and answers what was left behind that should not have been; looks at nothing without `expected`.
    pub(crate) fn end(&mut self, expected: Option<Expected>) -> Vec<String> {
        let Some(thread) = self.thread.take() else { return Vec::new() };
        let (tell, told) = blocking::channel();
        let asked = self.commands.send(Command::End(expected, tell)).is_ok();
        let left = if asked { told.recv().ok() } else { None };
        let ended = thread.join().is_ok();
        left.filter(|_| ended).unwrap_or_else(|| vec!["the thread of the service panicked".to_owned()])
    }
}

impl World {
    async fn make(subject: Subject, clock: Clock, ids: Ids) -> World {
        let postgres = tokio::task::spawn_blocking(Postgres::of_this_process).await.expect("PostgreSQL starts");
        let (database, nats, authority) =
            tokio::join!(postgres.database(vec![(subject.schema, subject.migrations)]), Nats::temporary(), Authority::start());
        let nats = nats.unwrap_or_else(|error| panic!("nats-server does not start: {error}"));
        World {
            database: Arc::new(database),
            nats,
            authority: Arc::new(authority),
            faults: FeedFaults::default(),
            clock,
            ids,
            runtime: Handle::current(),
        }
    }
}

struct Play<F> {
    subject: Subject,
    setup: Setup,
    world: World,
    build: F,
}

impl<F: AsyncFn(&Deps) -> anyhow::Result<host::Service>> Play<F> {
    /// Starts the service and waits until it is ready.
    async fn begin(&self) -> anyhow::Result<(Running, Up)> {
        let bound = Bound::bind(self.subject.name, &Hosted::<AnyPort> { port: 0, admin_port: 0, ..Hosted::default() }).await?;
        let mut given = None;
        let build = async |deps: &Deps| {
            given = Some(deps.clone());
            (self.build)(deps).await
        };
        let running = host::start(&self.suite(), bound, self.subject.schema, self.subject.migrations, build).await?;
        let waited = timeout(READY, running.ready()).await;
        waited.map_err(|_| anyhow::anyhow!("not ready after {} s: it waits for {}", READY.as_secs(), running.waits_for()))?;
        let deps = given.context("the service was not built")?;
        let up = Up { address: running.address(), admin_address: running.admin_address(), deps };
        Ok((running, up))
    }

    async fn go_on(&self, mut running: Running, mut commands: mpsc::UnboundedReceiver<Command>) {
        let (mut died, mut replicas) = (Vec::new(), Vec::<Running>::new());
        loop {
            let command = commands.recv().await;
            for running in std::iter::once(&running).chain(&replicas) {
                died.extend(running.failed().now_or_never().map(|failure| failure.to_string()));
            }
            match command {
                Some(Command::Restart(tell)) => {
                    running.stop().await;
                    match self.begin().await {
                        Ok((again, up)) => {
                            running = again;
                            // A test that gave up waiting drops the app next.
                            let _ = tell.send(Ok(up));
                        }
                        Err(error) => return drop(tell.send(Err(format!("{error:#}")))),
                    }
                }
                Some(Command::Replicate(tell)) => {
                    let replica = self.begin().await.map_err(|error| format!("{error:#}"));
                    let up = replica.map(|(replica, up)| {
                        replicas.push(replica);
                        up
                    });
                    // A test that gave up waiting drops the app next.
                    let _ = tell.send(up);
                }
                Some(Command::End(expected, tell)) => {
                    let mut left = died;
                    if let Some(expected) = &expected {
                        left.extend(leftovers::find(&self.world.database, self.subject.schema, expected).await);
                    }
                    // A transaction that the test itself holds open would hold up the pools for ever.
                    let all = join_all(std::iter::once(running).chain(replicas).map(Running::stop));
                    if timeout(STOPPED, all).await.is_err() && expected.is_some() {
                        left.push(format!(
                            "the service does not stop within {} s (was its database used outside of `App::inside`?)",
                            STOPPED.as_secs()
                        ));
                    }
                    return drop(tell.send(left));
                }
                None => return drop(join_all(std::iter::once(running).chain(replicas).map(Running::stop)).await),
            }
        }
    }

    fn suite(&self) -> Suite {
        let authority = format!("http://{}", self.world.authority.address());
        // Both are the fixture's, unless the service under test is one of them: that one is its own peer.
        let peers = ["identity", "authorization"].map(|name| (name.to_owned(), authority.clone()));
        Suite {
            database: self.world.database.config(),
            nats: NatsConfig { url: self.world.nats.url(), ..NatsConfig::default() },
            events: self.setup.events.clone(),
            suite: SuiteConfig { key_directory: keys::directory().clone(), peers: peers.into() },
            limits: self.setup.limits.clone(),
            clock: self.world.clock.clone(),
            ids: self.world.ids.clone(),
            metrics: None,
            revocation_faults: self.world.faults.clone(),
            permission_faults: FeedFaults::default(),
        }
    }
}
