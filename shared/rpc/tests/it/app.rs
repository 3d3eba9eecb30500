//! A server under test, and clients for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use authz::{Assignment, Authorizer, Delta, RoleScope, Snapshot, Workspace};
use contract::BaseRole;
use contract::identity::v1::key_service_client::KeyServiceClient;
use contract::identity::v1::organization_service_client::OrganizationServiceClient;
use contract::identity::v1::revocation_service_client::RevocationServiceClient;
use contract::tasks::v1::GetProductRequest;
use contract::tasks::v1::product_service_client::ProductServiceClient;
use http::{HeaderValue, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rpc::authn::{KeySet, PeerKeys, Revocations, Verifier};
use rpc::health::HealthHandle;
use rpc::server::{Callers, Limits, Server, serve};
use runtime::{Clock, ClockHandle, Ids, OrganizationId, SessionId, Shutdown, UserId, WorkspaceId};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::handlers::{Handlers, Seen};
use crate::tokens::{Claims, Signer};

/// A client that adds nothing of its own: tonic's channel watches `grpc-timeout` itself, and would hide what the server says.
pub(crate) type Plain = Client<HttpConnector, Body>;

/// How long a test waits for what must happen.
pub(crate) const SOON: Duration = Duration::from_secs(20);
pub(crate) const GET_PRODUCT: &str = "/muster.tasks.v1.ProductService/GetProduct";

/// A server called `tasks` that knows one organization with one workspace, its owner, a viewer, and a system admin.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    pub(crate) admin_address: SocketAddr,
    pub(crate) health: HealthHandle,
    pub(crate) authorizer: Authorizer,
    pub(crate) revocations: Revocations,
    pub(crate) keys: KeySet,
    pub(crate) verifier: Verifier,
    pub(crate) signer: Signer,
    pub(crate) clock: ClockHandle,
    pub(crate) peers: std::collections::BTreeMap<String, PeerKeys>,
    pub(crate) shutdown: Shutdown,
    pub(crate) server: JoinHandle<()>,
    pub(crate) handlers: Arc<Handlers>,
    pub(crate) organization: OrganizationId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) member: UserId,
    pub(crate) viewer: UserId,
    pub(crate) admin: UserId,
}

/// Where the fixed clock of a test stands.
pub(crate) const NOW: time::OffsetDateTime = time::macros::datetime!(2026-03-01 12:00 UTC);

impl App {
    pub(crate) async fn start() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        Self::build(limits, None).await
    }

    /// With an authorizer of the test's own.
    pub(crate) async fn with_authorizer(authorizer: Authorizer) -> Self {
        Self::build(Limits::default(), Some(authorizer)).await
    }

    #[expect(clippy::disallowed_methods, reason = "the server of a test; it ends with the test")]
    async fn build(limits: Limits, authorizer: Option<Authorizer>) -> Self {
        runtime::init_crypto();
        runtime::telemetry::init_for_tests();
        let (clock, handle) = Clock::fixed(NOW);
        let peers = PeerKeys::generate(&["tasks", "identity", "gateway"], &clock).unwrap();
        let (signer, keys, revocations) = (Signer::ed25519("k1"), KeySet::new(), Revocations::new(clock.clone()));
        keys.install(&Signer::json_web_key_set(&[&signer])).unwrap();
        revocations.install(&[]);
        let verifier = Verifier::new(keys.clone(), revocations.clone(), peers["tasks"].clone(), clock);
        let health = HealthHandle::new();
        let [member, viewer, admin]: [UserId; 3] = std::array::from_fn(|_| fresh());
        let (organization, workspace): (OrganizationId, WorkspaceId) = (fresh(), fresh());
        let authorizer = authorizer.unwrap_or_else(|| {
            let authorizer = Authorizer::new();
            authorizer.install(Snapshot::of(1, &world(organization, workspace, member, viewer, admin)));
            authorizer.vouch(std::time::Duration::ZERO, std::collections::BTreeSet::new());
            authorizer
        });
        let (listener, admin_listener) = (listener().await, listener().await);
        let (address, admin_address) = (listener.local_addr().unwrap(), admin_listener.local_addr().unwrap());
        let (handlers, shutdown) = (Arc::new(Handlers::default()), Shutdown::new());
        let server = Server {
            service: "tasks",
            listener,
            admin_listener: Some(admin_listener),
            routes: handlers.routes(),
            services: Handlers::SERVICES.to_vec(),
            admin_routes: tonic::service::Routes::default(),
            admin_services: vec![],
            request_limits: &[("/muster.tasks.v1.ProductService/ListProducts", 2 * 1024 * 1024)],
            health: health.clone(),
            callers: Callers::Verified(verifier.clone()),
            authorizer: authorizer.clone(),
            metrics: Some(runtime::telemetry::init_for_tests().metrics()),
            ids: Ids::system(),
            limits,
        };
        let server = tokio::spawn(serve(server, shutdown.clone()));
        let clock = handle;
        Self {
            address,
            admin_address,
            health,
            authorizer,
            revocations,
            keys,
            verifier,
            signer,
            clock,
            peers,
            shutdown,
            server,
            handlers,
            organization,
            workspace,
            member,
            viewer,
            admin,
        }
    }

    pub(crate) fn uri(&self) -> Uri {
        uri(self.address)
    }

    pub(crate) fn products(&self) -> ProductServiceClient<Plain> {
        ProductServiceClient::with_origin(plain(), self.uri())
    }

    pub(crate) fn organizations(&self) -> OrganizationServiceClient<Plain> {
        OrganizationServiceClient::with_origin(plain(), self.uri())
    }

    pub(crate) fn key_service(&self) -> KeyServiceClient<Plain> {
        KeyServiceClient::with_origin(plain(), self.uri())
    }

    pub(crate) fn revocation_service(&self) -> RevocationServiceClient<Plain> {
        RevocationServiceClient::with_origin(plain(), self.uri())
    }

    /// What a token of `user` in the app's organization says.
    pub(crate) fn claims(&self, user: UserId) -> Claims {
        Claims::of(user, fresh::<SessionId>(), self.organization, NOW.unix_timestamp())
    }

    pub(crate) fn token(&self, user: UserId) -> String {
        self.signer.sign(&self.claims(user))
    }

    /// A GetProduct of the app's workspace, by its member.
    pub(crate) fn get(&self) -> Request<GetProductRequest> {
        self.get_by(&self.token(self.member))
    }

    pub(crate) fn get_by(&self, token: &str) -> Request<GetProductRequest> {
        self.get_in(self.workspace).with("authorization", &format!("Bearer {token}"))
    }

    /// The same without credentials, in any workspace.
    pub(crate) fn get_in(&self, workspace: WorkspaceId) -> Request<GetProductRequest> {
        Request::new(GetProductRequest { workspace_id: workspace.to_string(), product_id: fresh::<UserId>().to_string() })
    }

    /// The answer to one call, as code and reason: `OK` for success.
    pub(crate) async fn outcome(&self, request: Request<GetProductRequest>) -> (Code, String) {
        outcome(&self.products().get_product(request).await)
    }

    /// What the handler saw last.
    pub(crate) fn seen(&self) -> Seen {
        self.handlers.seen.lock().unwrap().last().expect("the handler ran").clone()
    }

    /// How often a handler ran.
    pub(crate) fn ran(&self) -> usize {
        self.handlers.seen.lock().unwrap().len()
    }

    pub(crate) async fn stopped(self) {
        tokio::time::timeout(SOON, self.server).await.expect("the server returns").unwrap();
    }
}

fn world(organization: OrganizationId, workspace: WorkspaceId, member: UserId, viewer: UserId, admin: UserId) -> Delta {
    let assignment = |user, scope, role| Assignment { user, scope, role: Some(role), version: 1 };
    Delta {
        assignments: vec![
            assignment(member, RoleScope::Organization(organization), BaseRole::Owner),
            assignment(viewer, RoleScope::Workspace(organization, workspace), BaseRole::Viewer),
            assignment(admin, RoleScope::System, BaseRole::Owner),
        ],
        workspaces: vec![Workspace { organization, workspace }],
    }
}

pub(crate) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// A client with a connection of its own.
pub(crate) fn plain() -> Plain {
    Client::builder(TokioExecutor::new()).http2_only(true).build_http()
}

pub(crate) fn uri(address: SocketAddr) -> Uri {
    format!("http://{address}").parse().unwrap()
}

pub(crate) fn fresh<T: From<uuid::Uuid>>() -> T {
    Ids::system().next_id()
}

/// A request with one header more.
pub(crate) trait With: Sized {
    fn with(self, name: &'static str, value: &str) -> Self;
}

impl<T> With for Request<T> {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.metadata_mut().append(name, value.parse().unwrap());
        self
    }
}

/// Code and reason of an answer; `OK` for success.
pub(crate) fn outcome<T>(answer: &Result<T, Status>) -> (Code, String) {
    match answer {
        Ok(_) => (Code::Ok, "OK".to_owned()),
        Err(status) => (status.code(), reason(status)),
    }
}

/// The reason of a status of the suite; says so when it has none.
pub(crate) fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    details.error_info().map_or_else(|| format!("no reason: {}", status.message()), |info| info.reason.clone())
}

pub(crate) fn is(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

/// A header of an answer.
pub(crate) fn header(metadata: &MetadataMap, name: &str) -> String {
    metadata.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// A peer token of `keys` for `audience`.
pub(crate) fn peer_token(keys: &PeerKeys, audience: &str) -> String {
    let value: HeaderValue = keys.sign(audience).unwrap();
    value.to_str().unwrap().to_owned()
}
