//! An edge under test, and the raw calls that are sent to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use authz::Authorizer;
use bytes::Bytes;
use gateway::{Forward, TrustedProxies, Upstreams};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rpc::authn::PeerKeys;
use rpc::health::HealthHandle;
use rpc::server::{Callers, Limits, Server, serve};
use runtime::{Clock, Ids, Shutdown};
use tokio::net::TcpListener;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// How long a test waits for what must happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// An edge before one upstream that plays every service.
pub(crate) struct Edge {
    address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// What came back, in full.
pub(crate) struct Answered {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Edge {
    pub(crate) async fn before(upstream: SocketAddr, proxies: &[&str]) -> Edge {
        runtime::init_crypto();
        let names = ["gateway", "identity", "authorization", "tasks", "audit", "notifications"];
        let keys = PeerKeys::generate(&names, &Clock::system()).unwrap();
        let peers: BTreeMap<_, _> = names.iter().map(|name| ((*name).to_owned(), format!("http://{upstream}"))).collect();
        let proxies: TrustedProxies = proxies.iter().map(|text| text.parse::<gateway::Network>().unwrap()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server {
            service: gateway::NAME,
            listener,
            admin_listener: None,
            routes: Forward::new(Upstreams::new(&peers, &keys["gateway"]).unwrap(), proxies).routes(),
            services: gateway::services(),
            admin_routes: tonic::service::Routes::default(),
            admin_services: vec![],
            request_limits: &[],
            health: HealthHandle::new(),
            callers: Callers::PassedOn,
            authorizer: Authorizer::new(),
            metrics: None,
            ids: Ids::system(),
            limits: Limits { request_bytes_max: 4 * 1024 * 1024, caller_streams_max: 1, ..Limits::default() },
        };
        #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
        tokio::spawn(serve(server, Shutdown::new()));
        Edge { address, client: Client::builder(TokioExecutor::new()).http2_only(true).build_http() }
    }

    /// Sends `frames` to `method` of the work items; the answer's headers are there.
    pub(crate) async fn open(&self, method: &str, frames: Bytes, headers: &[(&'static str, &str)]) -> Response<Incoming> {
        self.send(&format!("/muster.tasks.v1.WorkItemService/{method}"), frames, headers).await
    }

    pub(crate) async fn send(&self, path: &str, frames: Bytes, headers: &[(&'static str, &str)]) -> Response<Incoming> {
        let mut request = Request::post(format!("http://{}{path}", self.address)).header("content-type", "application/grpc");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let call = self.client.request(request.body(Full::new(frames)).unwrap());
        tokio::time::timeout(SOON, call).await.unwrap().unwrap()
    }

    /// Calls `method` of the work items to its end.
    pub(crate) async fn call(&self, method: &str, frames: Bytes, headers: &[(&'static str, &str)]) -> Answered {
        Answered::of(self.open(method, frames, headers).await).await
    }
}

impl Answered {
    pub(crate) async fn of(answer: Response<Incoming>) -> Answered {
        let (parts, body) = answer.into_parts();
        let whole = tokio::time::timeout(SOON, body.collect()).await.unwrap().unwrap();
        let trailers = whole.trailers().cloned().unwrap_or_default();
        Answered { headers: parts.headers, body: whole.to_bytes(), trailers }
    }

    /// Code and reason, and that there is exactly one ErrorInfo.
    pub(crate) fn fault(&self) -> (Code, String) {
        let status = self.status();
        let details = status.get_error_details();
        (status.code(), details.error_info().map(|info| info.reason.clone()).unwrap_or_default())
    }

    pub(crate) fn status(&self) -> Status {
        Status::from_header_map(&self.headers).or_else(|| Status::from_header_map(&self.trailers)).unwrap()
    }
}

/// One message of `len` bytes, framed.
pub(crate) fn message(len: u32) -> Bytes {
    let mut frame = vec![0];
    frame.extend(len.to_be_bytes());
    frame.resize(5 + len as usize, b'm');
    frame.into()
}
