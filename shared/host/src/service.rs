//! What a service is made of, and what it is given.

use std::convert::Infallible;

use crate::Peers;
use authz::Authorizer;
use db::Db;
use events::Log;
use rpc::authn::Verifier;
use rpc::health::HealthHandle;
use rpc::server::Limits;
use runtime::{Clock, Ids, Tasks};
use tonic::{
    body::Body,
    codegen::{
        Service as TowerService,
        http::{Request, Response},
    },
    server::NamedService,
    service::Routes,
};

/// What the host gives a service to build on.
#[derive(Clone)]
pub struct Deps {
    /// The service's schema.
    pub db: Db,
    /// The service's event log: `tail` for Watch RPCs, `inbox` for consumers.
    pub log: Log,
    /// The way to the other services.
    pub peers: Peers,
    /// What verifies access tokens, as it does for every call: for who is asked about a token.
    pub verifier: Verifier,
    /// The embedded decision engine, kept current by the host unless the service says [`Service::feeds_authorizer`].
    pub authorizer: Authorizer,
    /// Background tasks; their shutdown flag is the service's.
    pub tasks: Tasks,
    /// The time.
    pub clock: Clock,
    /// Fresh ids.
    pub ids: Ids,
}

/// What the host gives the edge to build on.
#[derive(Clone)]
pub struct EdgeDeps {
    /// The way to the services behind it.
    pub peers: Peers,
    /// Background tasks; their shutdown flag is the edge's.
    pub tasks: Tasks,
    /// What health answers; of the services behind it the edge says it with `set_of_other`.
    pub health: HealthHandle,
    /// The limits of its server; what it shares with the suite, its services keep too.
    pub limits: Limits,
}

/// A service ready to be served.
#[derive(Debug)]
pub struct Service {
    pub(crate) name: &'static str,
    pub(crate) routes: Routes,
    pub(crate) services: Vec<&'static str>,
    pub(crate) request_limits: &'static [(&'static str, usize)],
    pub(crate) feeds_authorizer: bool,
}

impl Service {
    /// The service `name` with no RPCs yet.
    pub fn new(name: &'static str) -> Service {
        Service { name, routes: Routes::default(), services: Vec::new(), request_limits: &[], feeds_authorizer: false }
    }

    /// Has the calls of the gRPC services of these full names passed on. For the edge: a service [`add`](Service::add)s what it implements.
    #[must_use]
    pub fn pass_on(mut self, services: Vec<&'static str>) -> Service {
        self.services = services;
        self
    }

    /// Adds the RPCs of one gRPC service; its full name becomes a health name.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "named as tonic's Routes has it")]
    pub fn add<S>(mut self, server: S) -> Service
    where
        S: TowerService<Request<Body>, Response = Response<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        self.routes = self.routes.add_service(server);
        self.services.push(S::NAME);
        self
    }

    /// Lets requests of some methods be larger than the server's limit: path and bytes.
    #[must_use]
    pub fn request_limits(mut self, limits: &'static [(&'static str, usize)]) -> Service {
        self.request_limits = limits;
        self
    }

    /// Says that the service keeps [`Deps::authorizer`] current itself, from what it owns.
    #[must_use]
    pub fn feeds_authorizer(mut self) -> Service {
        self.feeds_authorizer = true;
        self
    }
}
