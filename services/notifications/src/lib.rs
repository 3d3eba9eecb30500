//! Who must hear of it: the notifications service.
//!
//! It takes the events of the other services, decides by a few rules who is told of what, and keeps an inbox for each person. Nobody calls it on
//! the way of a request.
//!
//! [`build`] is all the wiring: read it first.

mod category;
mod config;
mod error;
mod events;
mod inbox;
mod rule;

use contract::notifications::v1::inbox_service_server::InboxServiceServer;

pub use config::Config;
pub use error::Error;

/// The service's name.
pub const NAME: &str = "notifications";

/// Its schema.
pub const SCHEMA: &str = "notifications";

/// Its migrations, after those of `shared/db`.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Wires the service: inboxes to serve, the events of others to take in.
///
/// # Errors
/// None of its own today.
pub async fn build(deps: &host::Deps, config: &Config) -> anyhow::Result<host::Service> {
    let inbox = inbox::ops::Ops::new(deps.db.clone());
    let watcher = inbox::watch::Watcher::new(deps.log.clone(), deps.db.sealer().clone(), config.clone());
    let taken = deps.log.inbox(events::CONSUMER, events::SOURCES);
    let teller = events::Teller::new(deps.ids.clone());
    deps.tasks.spawn("notifications inbox", taken.run(teller, deps.tasks.shutdown().clone()));
    Ok(host::Service::new(NAME).add(InboxServiceServer::new(inbox::grpc::Grpc::new(inbox, watcher))))
}
