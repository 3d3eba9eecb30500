//! The way from an actor to the service under test: a real connection, with the actor's credentials on every call.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
};

use http::{HeaderName, HeaderValue, Request, Response, header::AUTHORIZATION};
use rpc::authn::PeerKeys;
use tokio::runtime::Handle;
use tonic::{Status, body::Body, transport::Endpoint};
use tower::{Service, ServiceExt};

/// Where the service under test answers at the moment: it has another port after a restart.
#[derive(Clone, Debug)]
pub(crate) struct Wire(Arc<RwLock<Ends>>);

#[derive(Clone, Debug)]
struct Ends {
    address: SocketAddr,
    runtime: Handle,
    /// Made when the first call needs it.
    connection: Option<tonic::transport::Channel>,
}

impl Wire {
    pub(crate) fn to(address: SocketAddr, runtime: Handle) -> Self {
        Wire(Arc::new(RwLock::new(Ends { address, runtime, connection: None })))
    }

    pub(crate) fn redirect(&self, address: SocketAddr) {
        let mut ends = self.0.write().unwrap_or_else(PoisonError::into_inner);
        (ends.address, ends.connection) = (address, None);
    }

    /// A new connection as a service of the suite.
    pub(crate) fn peer(&self, target: &str, keys: &PeerKeys) -> rpc::client::Channel {
        let ends = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let _entered = ends.runtime.enter();
        rpc::client::channel(target, &format!("http://{}", ends.address), keys).expect("a socket address makes a URI")
    }

    fn connection(&self) -> tonic::transport::Channel {
        let mut ends = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let (address, runtime) = (ends.address, ends.runtime.clone());
        let _entered = runtime.enter();
        let connect =
            || Endpoint::from_shared(format!("http://{address}")).expect("a socket address makes a URI").tcp_nodelay(true).connect_lazy();
        ends.connection.get_or_insert_with(connect).clone()
    }
}

/// A channel for generated clients: `WorkItemServiceClient::new(ana.channel())`. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Channel {
    way: Way,
    headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Clone, Debug)]
enum Way {
    /// As a client from outside.
    Direct(Wire),
    /// As a service of the suite, which signs its calls.
    Peer(rpc::client::Channel),
}

impl Channel {
    pub(crate) fn direct(wire: Wire) -> Self {
        Channel { way: Way::Direct(wire), headers: Vec::new() }
    }

    pub(crate) fn peer(channel: rpc::client::Channel) -> Self {
        Channel { way: Way::Peer(channel), headers: Vec::new() }
    }

    /// Adds metadata to every call: `x-request-id`, `traceparent`, a second `authorization`.
    ///
    /// # Panics
    /// When name or value can't stand in a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::try_from(name).expect("a header's name");
        self.headers.push((name, HeaderValue::try_from(value).expect("a header's value")));
        self
    }

    /// Adds an access token, unless it is empty.
    #[must_use]
    pub(crate) fn bearer(self, token: &str) -> Self {
        if token.is_empty() { self } else { self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}")) }
    }
}

impl Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        for (name, value) in &self.headers {
            request.headers_mut().append(name, value.clone());
        }
        match &self.way {
            Way::Direct(wire) => {
                let connection = wire.connection();
                Box::pin(async move { connection.oneshot(request).await.map_err(|error| Status::from_error(error.into())) })
            }
            Way::Peer(channel) => {
                let channel = channel.clone();
                Box::pin(async move { Ok(channel.oneshot(request).await?.map(Body::new)) })
            }
        }
    }
}
