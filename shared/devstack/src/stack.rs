//! The three together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::home::Home;
use crate::{Error, Moved, Nats, Postgres, Redis, blocking};

/// What to start and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of the data; `None`: a folder of its own that goes with the stack.
    pub dir: Option<PathBuf>,
    /// Whether a commit survives the loss of power. `muster up` wants it, tests don't.
    pub durable: bool,
    /// Whether to start PostgreSQL.
    pub postgres: bool,
    /// A loopback port for PostgreSQL beside its socket, for operators' tools.
    pub postgres_port: Option<u16>,
    /// Whether to start NATS.
    pub nats: bool,
    /// Whether to start Redis.
    pub redis: bool,
    /// What a second start on the same folder is told about where this one answers.
    pub address: String,
}

impl Options {
    /// All three on the data in `dir`, durable.
    pub fn at(dir: impl AsRef<Path>) -> Self {
        Self { dir: Some(dir.as_ref().to_path_buf()), durable: true, ..Self::temporary() }
    }

    /// All three for a test: without fsync, in a folder that goes with them.
    pub fn temporary() -> Self {
        let address = "an address it has not said".to_owned();
        Self { dir: None, durable: false, postgres: true, postgres_port: None, nats: true, redis: true, address }
    }
}

/// How often [`Stack::failed`] looks.
const LOOK: Duration = Duration::from_millis(500);

/// Running servers. They end with it, in good order by [`stop`](Self::stop), else when it is dropped.
#[derive(Debug)]
pub struct Stack {
    postgres: Option<Postgres>,
    nats: Option<Nats>,
    redis: Option<Redis>,
    home: Arc<Home>,
}

impl Stack {
    /// Starts what `options` asks for, all at the same time, and returns when all of it answers.
    ///
    /// # Errors
    /// [`Error::Running`] when another process holds the folder; [`Error::Missing`], [`Error::TooOld`], [`Error::Failed`], [`Error::Io`].
    /// What did start is ended.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let Options { dir, durable, postgres, postgres_port, nats, redis, address } = options;
        let home = blocking(move || dir.map_or_else(Home::temporary, |dir| Home::at(&dir, &address))).await?;
        let home = Arc::new(home);
        let (for_postgres, for_nats, for_redis) = (home.clone(), home.clone(), home.clone());
        let (postgres, nats, redis) = tokio::join!(
            blocking(move || postgres.then(|| Postgres::start(&for_postgres, durable, postgres_port)).transpose()),
            blocking(move || nats.then(|| Nats::run(&for_nats, durable)).transpose()),
            blocking(move || redis.then(|| Redis::start(&for_redis)).transpose()),
        );
        Ok(Self { postgres: postgres?, nats: nats?, redis: redis?, home })
    }

    /// The URL of `database` for `user`.
    ///
    /// # Panics
    /// When PostgreSQL was not asked for.
    pub fn postgres_url(&self, user: &str, database: &str) -> String {
        self.postgres().url(user, database)
    }

    /// # Panics
    /// When NATS was not asked for.
    pub fn nats_url(&self) -> String {
        self.nats().url()
    }

    /// # Panics
    /// When Redis was not asked for.
    pub fn redis_url(&self) -> String {
        self.redis().url()
    }

    /// PostgreSQL itself, to pause, kill and restart it.
    ///
    /// # Panics
    /// When it was not asked for.
    pub fn postgres(&self) -> &Postgres {
        self.postgres.as_ref().unwrap_or_else(|| panic!("this stack was started without PostgreSQL"))
    }

    /// NATS itself, to pause, kill and restart it.
    ///
    /// # Panics
    /// When it was not asked for.
    pub fn nats(&self) -> &Nats {
        self.nats.as_ref().unwrap_or_else(|| panic!("this stack was started without NATS"))
    }

    /// Redis itself, to pause, kill and restart it.
    ///
    /// # Panics
    /// When it was not asked for.
    pub fn redis(&self) -> &Redis {
        self.redis.as_ref().unwrap_or_else(|| panic!("this stack was started without Redis"))
    }

    /// The servers that run, by name.
    pub fn pids(&self) -> Vec<(&'static str, u32)> {
        let postgres = self.postgres.as_ref().and_then(Postgres::pid).map(|pid| ("postgres", pid));
        let nats = self.nats.as_ref().and_then(Nats::pid).map(|pid| ("nats", pid));
        let redis = self.redis.as_ref().and_then(Redis::pid).map(|pid| ("redis", pid));
        postgres.into_iter().chain(nats).chain(redis).collect()
    }

    /// Waits until a server is down; call it while nobody stops one: [`Error::Failed`] with its name and the end of its log.
    pub async fn failed(&self) -> Error {
        loop {
            let ended = [
                self.postgres.as_ref().and_then(Postgres::ended),
                self.nats.as_ref().and_then(Nats::ended),
                self.redis.as_ref().and_then(Redis::ended),
            ];
            if let Some(error) = ended.into_iter().flatten().next() {
                return error;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The folder that holds the data.
    pub fn dir(&self) -> &Path {
        &self.home.dir
    }

    /// Tells, when the folder asked for could not serve, which one does and why; `muster up` prints it.
    pub fn moved(&self) -> Option<&Moved> {
        self.home.moved.as_ref()
    }

    /// Says where this process answers, for a second start on the same folder to quote.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn set_address(&self, address: &str) -> Result<(), Error> {
        self.home.set_address(address)
    }

    /// Ends all of them at the same time, in good order: at most 20 s, with SIGKILL after that. The folder is free when it returns, unless
    /// someone still holds a clone of a server.
    pub async fn stop(self) {
        let postgres = async {
            if let Some(postgres) = &self.postgres {
                postgres.stop().await;
            }
        };
        let nats = async {
            if let Some(nats) = &self.nats {
                nats.stop().await;
            }
        };
        let redis = async {
            if let Some(redis) = &self.redis {
                redis.stop().await;
            }
        };
        tokio::join!(postgres, nats, redis);
    }
}
