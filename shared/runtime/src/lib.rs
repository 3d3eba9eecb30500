//! What every process of the suite stands on: configuration, telemetry, clock, ids, tracked tasks, shutdown, and the client loop that
//! keeps a copy of another service's state.
//!
//! Deliberately absent: gRPC (shared/rpc), SQL beyond the column types of ids (shared/db), and the name of any service.

pub mod backoff;
pub mod clock;
pub mod config;
pub mod crash;
mod crypto;
pub mod feed;
pub mod file;
pub mod ids;
pub mod shutdown;
pub mod tasks;
pub mod telemetry;

pub use backoff::Backoff;
pub use clock::{Clock, ClockHandle};
pub use crypto::init_crypto;
pub use ids::{Ids, OrganizationId, SessionId, UserId, WorkspaceId};
pub use secrecy::SecretString;
pub use shutdown::Shutdown;
pub use tasks::{TaskFailure, Tasks};

/// What the macros of this crate expand to; not for use by name.
#[doc(hidden)]
pub mod __private {
    pub use serde;
    pub use sqlx;
    pub use uuid::Uuid;
}
