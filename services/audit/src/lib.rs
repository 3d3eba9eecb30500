//! What happened: the audit service.
//!
//! It takes every event of every service and keeps one record of it for good. Nobody calls it on the way of a request: a service that writes an
//! event in its own transaction has written its audit record.
//!
//! [`build`] is all the wiring: read it first.

mod config;
mod error;
mod events;
mod record;
mod sealed;

use contract::audit::v1::audit_service_server::AuditServiceServer;

pub use config::Config;
pub use error::Error;

/// The service's name.
pub const NAME: &str = "audit";

/// Its schema.
pub const SCHEMA: &str = "audit";

/// Its migrations, after those of `shared/db`.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Wires the service: the trail to serve, the events of all services to take in.
///
/// # Errors
/// None of its own today.
pub async fn build(deps: &host::Deps, _config: &Config) -> anyhow::Result<host::Service> {
    let ops = record::ops::Ops::new(deps.db.clone());
    let inbox = deps.log.inbox(events::CONSUMER, events::SOURCES);
    deps.tasks.spawn("audit inbox", inbox.run(events::Recorder(ops.clone()), deps.tasks.shutdown().clone()));
    Ok(host::Service::new(NAME).add(AuditServiceServer::new(record::grpc::Grpc::new(ops))))
}
