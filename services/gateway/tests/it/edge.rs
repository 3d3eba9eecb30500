//! An edge under test, and the raw calls that are sent to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use gateway::Config;
use host::{Bound, Hosted, Running, Suite, SuiteConfig};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rpc::server::Limits;
use runtime::{Clock, Ids, feed::FeedFaults};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// How long a test waits for what must happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// An edge before one upstream that plays every service.
pub(crate) struct Edge {
    pub(crate) address: SocketAddr,
    pub(crate) running: Running,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// What came back, in full.
pub(crate) struct Answered {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) trailers: HeaderMap,
}

impl Edge {
    /// Before `upstream`, with `proxies` trusted.
    pub(crate) async fn before(upstream: SocketAddr, proxies: &[&str]) -> Edge {
        let trusted_proxies = proxies.iter().map(|text| text.parse().unwrap()).collect();
        Edge::with(upstream, Config { trusted_proxies, ..Config::default() }).await
    }

    /// Before `upstream`, under `config`.
    pub(crate) async fn with(upstream: SocketAddr, config: Config) -> Edge {
        Edge::within(upstream, config, Limits { drain_ms: 500, caller_streams_max: 1, ..Limits::default() }).await
    }

    /// Before `upstream`; who connects must say something soon.
    pub(crate) async fn hasty(upstream: SocketAddr) -> Edge {
        Edge::within(upstream, Config::default(), Limits { handshake_ms: 300, ..Limits::default() }).await
    }

    /// Before `upstream`; who is answered must read soon.
    pub(crate) async fn impatient(upstream: SocketAddr) -> Edge {
        Edge::within(upstream, Config::default(), Limits { answer_read_ms: 300, ..Limits::default() }).await
    }

    async fn within(upstream: SocketAddr, config: Config, limits: Limits) -> Edge {
        Edge::at(0, upstream, config, limits).await
    }

    /// On `port`, before `upstream`.
    pub(crate) async fn at(port: u16, upstream: SocketAddr, config: Config, limits: Limits) -> Edge {
        runtime::init_crypto();
        let folder = tempfile::tempdir().unwrap();
        rpc::authn::generate_keys(folder.path(), &[gateway::NAME, "identity"]).unwrap();
        let names = ["identity", "authorization", "tasks", "audit", "notifications"];
        let peers: BTreeMap<_, _> =
            names.iter().map(|name| ((*name).to_owned(), format!("http://localhost:{}", upstream.port()))).collect();
        let suite = Suite {
            database: db::DbConfig::default(),
            nats: events::NatsConfig::default(),
            events: events::EventsConfig::default(),
            suite: SuiteConfig { key_directory: folder.path().to_owned(), peers },
            limits,
            clock: Clock::system(),
            ids: Ids::system(),
            metrics: None,
            revocation_faults: FeedFaults::default(),
            permission_faults: FeedFaults::default(),
        };
        let hosted = Hosted { port, admin_port: 0, own: config, ..Hosted::default() };
        let bound = Bound::bind(gateway::NAME, &hosted).await.unwrap();
        let limits = hosted.own.limits(&suite.limits);
        let running = host::start_edge(&suite, bound, limits, async |deps| gateway::build(deps, &hosted.own).await).await.unwrap();
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        Edge { address: running.address(), running, client }
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
