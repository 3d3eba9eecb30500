//! What they may do: the authorization service.
//!
//! It knows who holds which role where, as identity tells it, and feeds the authorizers that every service embeds. Decisions fall in those;
//! the RPCs here answer whoever has no authorizer of its own.
//!
//! [`build`] is all the wiring: read it first.

pub mod assignment;
mod config;
pub mod decision;
mod error;
pub mod events;
pub mod replication;
pub mod workspace;

use contract::authorization::v1::authorization_service_server::AuthorizationServiceServer;
use contract::authorization::v1::replication_service_server::ReplicationServiceServer;
use runtime::feed::{Feed, Options};

pub use config::Config;
pub use error::Error;

/// The service's name.
pub const NAME: &str = "authorization";

/// Whose events and lists it takes in.
const IDENTITY: &str = "identity";

/// Its schema: the word `authorization` is reserved in SQL.
pub const SCHEMA: &str = "authz";

/// Its migrations, after those of `shared/db`.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// What a request may weigh beyond the server's limit: 500 questions with 50 assignees each take 1.1 MB.
const REQUEST_LIMITS: &[(&str, usize)] = &[("/muster.authorization.v1.AuthorizationService/BatchCheck", 2 << 20)];

/// Wires the service: decisions and replication to serve, identity's events to take in, its own authorizer to feed from its tables.
///
/// # Errors
/// `suite.peers` does not say where identity is.
pub async fn build(deps: &host::Deps, config: &Config) -> anyhow::Result<host::Service> {
    let shutdown = deps.tasks.shutdown().clone();
    let mut inbox = deps.log.inbox(events::CONSUMER, events::SOURCES);
    let freshness = inbox.freshness();
    let rebuild = assignment::rebuild::Rebuild::new(deps.db.clone(), deps.peers.channel(IDENTITY)?);
    deps.tasks.spawn("authorization inbox", inbox.run(events::Membership(rebuild), shutdown.clone()));

    let own = replication::own::Own {
        db: deps.db.clone(),
        log: deps.log.clone(),
        freshness: freshness.clone(),
        authorizer: deps.authorizer.clone(),
        claim: None,
        chunk_size: config.snapshot_chunk_size,
    };
    let feed = Feed::new(NAME, "authorization", Options::default());
    deps.tasks.spawn("authorization feed", feed.run(own, shutdown));

    let decisions = decision::grpc::Grpc::new(decision::ops::Ops::new(deps.authorizer.clone()));
    let replication = replication::grpc::Grpc::new(deps.db.clone(), deps.log.clone(), freshness, config);
    Ok(host::Service::new(NAME)
        .add(AuthorizationServiceServer::new(decisions))
        .add(ReplicationServiceServer::new(replication))
        .request_limits(REQUEST_LIMITS)
        .feeds_authorizer())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_name_methods_of_the_contract() {
        assert!(REQUEST_LIMITS.iter().all(|(path, _)| contract::method(path).is_some_and(|method| method.owner == NAME)));
    }
}
