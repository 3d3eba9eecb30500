//! Tenant transactions over Postgres.

mod begin;
mod config;
mod connect;
#[expect(clippy::module_inception, reason = "the type Db stands in db.rs")]
mod db;
mod deadline;
mod error;
mod filter;
mod migrate;
mod once;
mod order;
mod outbox;
mod page;
mod pool;
pub mod roles;
mod seal;
mod startup;
mod statements;
mod tx;

pub use config::DbConfig;
pub use connect::migrator_connection;
pub use db::Db;
pub use error::{Error, OnConstraint, Result};
pub use filter::{Column, EnumValue, FILTER_DEPTH_MAX, FILTER_LENGTH_MAX, FILTER_TERMS_MAX, Filter, Kind};
pub use migrate::{MigrationStatus, Migrator};
pub use order::Order;
pub use outbox::{EVENT_BYTES_MAX, EVENTS_MAX};
pub use page::{Cursor, PAGE_SIZE, PAGE_SIZE_MAX, Page, PageRequest};
pub use seal::{DoesNotOpen, KeyFileError, Sealer};
pub use startup::StartupError;
pub use tx::{Tx, WorkTx};
