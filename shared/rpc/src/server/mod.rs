//! The one constructor of a server, with every limit set.
//!
//! Two listeners: the main one speaks gRPC, the admin one gRPC (health, event administration) and plain HTTP (`/metrics`, `/health`, `/livez`,
//! `/readyz`) and stays open until the main one has drained, so that probes and scrapers see the end. The edge's main one speaks HTTP/1.1 too, and
//! answers the same probes, for load balancers. Health and reflection are added here.
//!
//! Deliberately absent: TLS (the mesh's or a later issue's; main and admin ports are cluster-internal), and the order of a service's drain, which
//! is the host's.

mod bare;
mod body;
mod front;
mod limits;
mod listen;
mod probes;
mod record;
mod route;
mod stack;
mod unread;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use authz::Authorizer;
use contract::Exposure;
use runtime::telemetry::Metrics;
use runtime::{Ids, Shutdown};
use tokio::net::TcpListener;
use tonic::service::Routes;

pub use front::{Answering, Dress, Entry, Front};
pub use limits::Limits;

use crate::authn::Verifier;
use crate::health::HealthHandle;
use crate::limit::Limiter;
use crate::reflection;
use listen::Listen;
use probes::Probes;
use route::Table;
use stack::Stack;

/// Connections to the admin port: probes, scrapers and a few operators, apart from the callers so that these can't lock them out.
const ADMIN_CONNECTIONS_MAX: usize = 64;
/// How long its calls may go on once the main port has drained: long enough for an answer, short enough not to count.
const ADMIN_DRAIN: Duration = Duration::from_secs(1);

/// How a server learns who calls.
#[derive(Clone)]
pub enum Callers {
    /// By the tokens of a call, which it verifies.
    Verified(Verifier),
    /// Not at all: it is the edge, which passes credentials on unread and serves no method that is internal. Its front sees requests first, and
    /// answers the calls of the suite's methods.
    PassedOn(Arc<dyn Front>),
}

impl Callers {
    fn verifier(&self) -> Option<&Verifier> {
        match self {
            Self::Verified(verifier) => Some(verifier),
            Self::PassedOn(_) => None,
        }
    }

    /// Whether a method of that exposure is served.
    fn exposed(&self) -> fn(Exposure) -> bool {
        match self {
            Self::Verified(_) => |_| true,
            Self::PassedOn(_) => |exposure| exposure == Exposure::Edge,
        }
    }

    /// What reflection tells of.
    fn descriptors(&self) -> Cow<'static, [u8]> {
        match self {
            Self::Verified(_) => reflection::whole(),
            Self::PassedOn(_) => reflection::edge().unwrap_or_else(|error| {
                tracing::error!(%error, "server reflection is not available");
                Cow::default()
            }),
        }
    }

    fn front(&self) -> Option<&Arc<dyn Front>> {
        match self {
            Self::Verified(_) => None,
            Self::PassedOn(front) => Some(front),
        }
    }
}

/// What a server serves and by which means.
pub struct Server {
    /// The name of the service, as it stands in labels and peer tokens: `tasks`.
    pub service: &'static str,
    /// The gRPC port.
    pub listener: TcpListener,
    /// The admin port; none for a server without one.
    pub admin_listener: Option<TcpListener>,
    /// The services' handlers; none at the edge. Health and reflection are added.
    pub routes: Routes,
    /// The full names of these services: `muster.tasks.v1.WorkItemService`. Methods of others are `METHOD_UNKNOWN`.
    pub services: Vec<&'static str>,
    /// Handlers on the admin port. Health is added.
    pub admin_routes: Routes,
    /// The full names of these.
    pub admin_services: Vec<&'static str>,
    /// Requests that may be larger than [`Limits::request_bytes_max`]: path and bytes.
    pub request_limits: &'static [(&'static str, usize)],
    /// What health answers.
    pub health: HealthHandle,
    /// How it learns who calls.
    pub callers: Callers,
    /// What they may.
    pub authorizer: Authorizer,
    /// What `/metrics` shows; none for a server that shows none.
    pub metrics: Option<Metrics>,
    /// Request ids of calls that bring none.
    pub ids: Ids,
    /// The limits.
    pub limits: Limits,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("service", &self.service).field("services", &self.services).finish_non_exhaustive()
    }
}

/// Serves until shutdown. Then the listener closes, streams end with `NOT_READY`, calls have [`Limits::drain_ms`] to end, those of the admin port
/// a second more, and what is left is cut off; when this returns nothing of the server runs any more. A client that is silent, or reads
/// nothing, can't make it wait longer.
///
/// Set health to NOT_SERVING and let it be seen before shutdown is asked for.
pub async fn serve(server: Server, shutdown: Shutdown) {
    let Server { service, listener, admin_listener, routes, services, admin_routes, admin_services, request_limits, health, .. } = server;
    let front = server.callers.front().cloned();
    let is_edge = front.is_some();
    let limits = Arc::new(server.limits);
    let limiter = Arc::new(Limiter::new(service, &limits));
    let descriptors = server.callers.descriptors();
    let stack = |routes: Routes, services: &[&'static str], shutdown: &Shutdown, front: Option<Arc<dyn Front>>, http: Option<Probes>| {
        Arc::new(Stack {
            service,
            table: Table::new(service, services, server.callers.exposed(), limits.request_bytes_max, request_limits),
            routes: reflection::add_to(routes.add_service(health.server()), services, &descriptors).prepare(),
            callers: server.callers.clone(),
            authorizer: server.authorizer.clone(),
            limiter: limiter.clone(),
            ids: server.ids.clone(),
            in_flight: metrics::gauge!("muster_rpc_in_flight", "service" => service),
            response_bytes_max: limits.response_bytes_max,
            shutdown: shutdown.clone(),
            front,
            http,
        })
    };
    let main = Listen {
        listener,
        stack: stack(routes, &services, &shutdown, front, is_edge.then(|| Probes { health: health.clone(), metrics: None })),
        limits: limits.clone(),
        http1: is_edge,
        connections_max: limits.connections_max,
        address_connections_max: limits.address_connections_max,
        drain: Duration::from_millis(limits.drain_ms),
        shutdown: shutdown.clone(),
    };
    let admin_shutdown = Shutdown::new();
    let admin = admin_listener.map(|listener| Listen {
        listener,
        stack: stack(
            admin_routes,
            &admin_services,
            &admin_shutdown,
            None,
            Some(Probes { health: health.clone(), metrics: server.metrics.clone() }),
        ),
        limits: limits.clone(),
        http1: true,
        connections_max: ADMIN_CONNECTIONS_MAX,
        address_connections_max: ADMIN_CONNECTIONS_MAX,
        drain: ADMIN_DRAIN,
        shutdown: admin_shutdown.clone(),
    });
    let main = async {
        let left = main.run().await;
        admin_shutdown.request();
        left
    };
    let admin = async {
        match admin {
            Some(admin) => admin.run().await,
            None => 0,
        }
    };
    let (main_left, admin_left) = tokio::join!(main, admin);
    if main_left + admin_left > 0 {
        tracing::warn!(service, main_left, admin_left, "connections and calls did not end in time: cut off");
    }
}
