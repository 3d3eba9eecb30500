//! The edge: one address for every method that the contract shows to the outside (`EXPOSURE_EDGE`).
//!
//! A call passes the suite's own server stack (`rpc::server`: limits, deadline, request id, trace, access log, metrics), then [`Forward`], which
//! decodes nothing: its frames go to the service that owns the method as they are, and the answer comes back as it is.
//!
//! Deliberately absent: verifying tokens, permissions, and any state. The edge passes credentials on unread; the service that owns the method
//! decides.

mod answer;
mod client_address;
mod forward;
mod upstream;

use contract::Exposure;

pub use client_address::{Network, NotANetwork, TrustedProxies};
pub use forward::Forward;
pub use upstream::{Upstreams, UpstreamsError};

/// The service's name.
pub const NAME: &str = "gateway";

/// The full names of the services that have a method for the outside, once each.
pub fn services() -> Vec<&'static str> {
    let mut names: Vec<_> =
        contract::METHODS.iter().filter(|policy| policy.exposure == Exposure::Edge).map(|policy| policy.service).collect();
    names.dedup();
    names
}
