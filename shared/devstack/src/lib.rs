//! PostgreSQL, NATS and Redis as private children of this process: for `muster up` on a bare machine, and for tests.
//!
//! The children live in process groups of their own, without root's rights, and die with this process however it ends: each is started
//! through `setpriv --pdeathsig` by one thread that lives as long as the process. They listen on Unix sockets in a folder that only their
//! user and root can enter (NATS: on a loopback port of its own choice), so two stacks never meet.
//!
//! Everything here blocks in `std`; the `async` functions run it on blocking threads, so a paused clock of a test doesn't disturb it.
//!
//! Deliberately absent: schemas, roles, streams (those who own them make them), containers, and any download.

mod binaries;
mod child;
mod error;
mod home;
mod nats;
mod postgres;
mod proc;
mod redis;
mod server;
mod spawner;
mod stack;
mod user;
mod wait;

pub use error::Error;
pub use home::Moved;
pub use nats::Nats;
pub use postgres::Postgres;
pub use proc::left_behind;
pub use redis::Redis;
pub use stack::{Options, Stack};

/// Runs blocking work on a thread where it disturbs nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Error::Failed { what: "the devstack", why: error.to_string() }))
}
