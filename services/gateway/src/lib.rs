//! The edge: one address for every method that the contract shows to the outside (`EXPOSURE_EDGE`).
//!
//! A call passes the suite's own server stack (`rpc::server`: limits, deadline, request id, trace, access log, metrics), then `forward`, which
//! decodes nothing: its frames go to the service that owns the method as they are, and the answer comes back as it is. A browser's call, in gRPC-Web,
//! is made a gRPC call before (`web`). What is for those who verify tokens elsewhere is answered over plain HTTP (`well_known`).
//!
//! Deliberately absent: verifying tokens, permissions, and any state. The edge passes credentials on unread; the service that owns the method
//! decides.

mod answer;
mod client_address;
mod config;
mod forward;
mod health;
mod retry;
mod upstream;
mod web;
mod well_known;

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::Exposure;
use host::{EdgeDeps, Service};
use rpc::server::Front;

pub use client_address::{Network, NotANetwork};
pub use config::Config;

use answer::Unread;
use forward::Forward;
use retry::Retries;
use upstream::Upstreams;
use web::Web;
use well_known::WellKnown;

/// The service's name.
pub const NAME: &str = "gateway";

/// Builds the edge: a follower of the health of each service behind it, and the front that sees requests first and passes calls on.
///
/// # Errors
/// `suite.peers` does not say where one of them is.
pub async fn build(deps: &EdgeDeps, config: &Config) -> anyhow::Result<(Service, Arc<dyn Front>)> {
    let (upstreams, owners) = (Upstreams::new(&deps.peers, deps.limits.connection_streams_max)?, owners());
    for upstream in upstreams.all() {
        let names = owners[upstream.name].clone();
        deps.tasks
            .spawn("health of a service", health::follow(upstream.channel(), names, deps.health.clone(), deps.tasks.shutdown().child()));
    }
    let unread = Unread::new(deps.limits.answer_unread_bytes_max, config.address_answers_max);
    let documents = WellKnown::new(&upstreams);
    let forward = Forward::new(upstreams, config.trusted_proxies.iter().copied().collect(), Retries::new()?, unread);
    let web = Web::new(&config.allowed_origins, documents, forward);
    Ok((Service::new(NAME).pass_on(owners.into_values().flatten().collect()), Arc::new(web)))
}

/// Each service of the suite that has a method for the outside, with the full names of its gRPC services that have one.
fn owners() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut owners: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for policy in contract::METHODS.iter().filter(|policy| policy.exposure == Exposure::Edge) {
        let names = owners.entry(policy.owner).or_default();
        if !names.contains(&policy.service) {
            names.push(policy.service);
        }
    }
    owners
}
