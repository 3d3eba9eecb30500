//! grpc.health.v1, to the letter.
//!
//! Why not tonic-health: its 0.14 answers Watch of an unknown service with NOT_FOUND instead of SERVICE_UNKNOWN, has no List, and begins with
//! `""` SERVING. Here a name exists once it was set, `""` among them from the start and NOT_SERVING.
//!
//! Names: `""` for the whole, each full service name, [`LIVENESS`], [`READINESS`], and `dep.<name>` for what the service needs. Readiness covers
//! local faults and drain, never a shared dependency; what is away shows as its `dep.` name, for people. The edge has the names of the services
//! behind it too, and says of each what its owner says.

use std::collections::BTreeMap;
use std::pin::Pin;

use contract::grpc::health::v1::health_server::{Health, HealthServer};
use contract::grpc::health::v1::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse};
use futures::{Stream, stream};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

pub use contract::grpc::health::v1::health_check_response::ServingStatus;

/// The name that says that the runtime answers.
pub const LIVENESS: &str = "liveness";
/// The name that says that calls are welcome.
pub const READINESS: &str = "readiness";
/// The most names that List answers. Source: grpc.health.v1, `List`.
const LIST_MAX: usize = 100;

/// What health answers. Cheap to clone; clones share one state.
#[derive(Clone, Debug)]
pub struct HealthHandle(watch::Sender<BTreeMap<String, Held>>);

/// What is held of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    status: ServingStatus,
    /// Whether it follows the gate and the drain of this server.
    own: bool,
}

impl Default for HealthHandle {
    fn default() -> Self {
        Self::new()
    }
}

impl HealthHandle {
    /// Before anything is known: `""` and readiness are NOT_SERVING, liveness is SERVING.
    pub fn new() -> Self {
        let names = [("", ServingStatus::NotServing), (READINESS, ServingStatus::NotServing), (LIVENESS, ServingStatus::Serving)];
        let held = |name, status| Held { status, own: name != LIVENESS };
        Self(watch::Sender::new(names.into_iter().map(|(name, status)| (name.to_owned(), held(name, status))).collect()))
    }

    /// Sets the status of `name`, one of this server's; from then on the name is known.
    pub fn set(&self, name: &str, status: ServingStatus) {
        self.hold(name, Held { status, own: true });
    }

    /// Sets the status of what another process does: `dep.postgres`, a service behind the edge. Gate and drain of this one don't touch it.
    pub fn set_of_other(&self, name: &str, status: ServingStatus) {
        self.hold(name, Held { status, own: false });
    }

    fn hold(&self, name: &str, held: Held) {
        self.0.send_if_modified(|names| names.insert(name.to_owned(), held) != Some(held));
    }

    /// Sets the status of every name of this server but `liveness`: the gate opens, or the drain begins.
    pub fn set_serving(&self, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.0.send_modify(|names| names.values_mut().filter(|held| held.own).for_each(|held| held.status = status));
    }

    /// The status of `name`; `None` for a name that is not known.
    pub fn get(&self, name: &str) -> Option<ServingStatus> {
        self.0.borrow().get(name).map(|held| held.status)
    }

    /// Every name and its status.
    pub fn all(&self) -> BTreeMap<String, ServingStatus> {
        self.0.borrow().iter().map(|(name, held)| (name.clone(), held.status)).collect()
    }

    pub(crate) fn server(&self) -> HealthServer<Server> {
        HealthServer::new(Server(self.clone()))
    }
}

/// The service.
#[derive(Clone, Debug)]
pub(crate) struct Server(HealthHandle);

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[tonic::async_trait]
impl Health for Server {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let status = self.0.get(&request.into_inner().service).ok_or_else(|| Status::not_found("unknown service"))?;
        Ok(Response::new(answer(status)))
    }

    async fn list(&self, _: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        let names = self.0.all();
        if names.len() > LIST_MAX {
            return Err(Status::resource_exhausted("more services than a list may hold"));
        }
        let statuses = names.into_iter().map(|(name, status)| (name, answer(status))).collect();
        Ok(Response::new(HealthListResponse { statuses }))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    /// The status now, then each time it is another one. An unknown name is SERVICE_UNKNOWN until it is known.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (name, names) = (request.into_inner().service, self.0.0.subscribe());
        let news = stream::unfold((name, names, None), |(name, mut names, told)| async move {
            let status_of = |names: &BTreeMap<String, Held>| names.get(&name).map_or(ServingStatus::ServiceUnknown, |held| held.status);
            let status = names.wait_for(|names| Some(status_of(names)) != told).await.ok().map(|names| status_of(&names))?;
            Some((Ok(answer(status)), (name, names, Some(status))))
        });
        Ok(Response::new(Box::pin(news)))
    }
}
