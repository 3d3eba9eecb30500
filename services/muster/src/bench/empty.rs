//! T: an empty RPC through the whole stack (limits, deadline, authentication, validation, permission, span, metrics, log), and beside it the
//! same handler on bare tonic.

use std::net::SocketAddr;

use authz::Authorizer;
use contract::{
    audit::v1::{
        AuditEvent, GetEventRequest, GetEventResponse, ListEventsRequest, ListEventsResponse,
        audit_service_client::AuditServiceClient,
        audit_service_server::{AuditService, AuditServiceServer},
    },
    authorization::v1::replication_service_client::ReplicationServiceClient,
    identity::v1::{GetJsonWebKeySetRequest, key_service_client::KeyServiceClient},
};
use rpc::{
    authn::{KeySet, PeerKeys, Revocations, Verifier},
    client::Channel,
    health::HealthHandle,
    server::{Limits, Server},
};
use runtime::{
    Clock, Ids, Tasks,
    feed::{Feed, Options},
};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, service::Routes, transport::server::TcpIncoming};

/// Answers nothing: with the first line of every handler, or without.
#[derive(Debug, Clone, Copy)]
struct Empty {
    opens: bool,
}

#[tonic::async_trait]
impl AuditService for Empty {
    async fn get_event(&self, req: Request<GetEventRequest>) -> Result<Response<GetEventResponse>, Status> {
        if self.opens {
            let (_caller, _req) = rpc::open(req)?;
        }
        Ok(Response::new(GetEventResponse { audit_event: Some(AuditEvent::default()) }))
    }

    async fn list_events(&self, _: Request<ListEventsRequest>) -> Result<Response<ListEventsResponse>, Status> {
        Ok(Response::new(ListEventsResponse::default()))
    }
}

/// The way to the services that say whose tokens are good and what they may do.
pub(super) struct Authorities {
    pub(super) identity: Channel,
    pub(super) authorization: Channel,
    pub(super) peers: PeerKeys,
}

/// Serves the empty handler through the whole stack; its background work ends with `tasks`.
pub(super) async fn on_the_stack(authorities: &Authorities, tasks: &Tasks) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let keys = KeySet::new();
    let set = KeyServiceClient::new(authorities.identity.clone()).get_json_web_key_set(GetJsonWebKeySetRequest {}).await?.into_inner();
    keys.install(&set.json_web_key_set)?;
    let revocations = Revocations::new(Clock::system());
    revocations.install(&[]);
    let authorizer = Authorizer::new();
    let client = ReplicationServiceClient::new(authorities.authorization.clone());
    let feed = Feed::new("bench", "authorization", Options::default());
    tasks.spawn("permissions", authz::replicate(feed, authorizer.clone(), client, tasks.shutdown().clone()));
    authorizer.ready().await;
    let server = Server {
        service: "bench",
        listener,
        admin_listener: None,
        routes: Routes::new(AuditServiceServer::new(Empty { opens: true })),
        services: vec!["muster.audit.v1.AuditService"],
        admin_routes: Routes::default(),
        admin_services: Vec::new(),
        request_limits: &[],
        health: HealthHandle::new(),
        verifier: Verifier::new(keys, revocations, authorities.peers.clone(), Clock::system()),
        authorizer,
        metrics: None,
        ids: Ids::system(),
        limits: Limits::default(),
    };
    tasks.spawn("empty", rpc::server::serve(server, tasks.shutdown().clone()));
    Ok(address)
}

/// Serves the empty handler on bare tonic.
#[expect(clippy::disallowed_methods, reason = "the floor: tonic without any of our layers")]
pub(super) async fn on_bare_tonic(tasks: &Tasks) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = tonic::transport::Server::builder().add_service(AuditServiceServer::new(Empty { opens: false }));
    let shutdown = tasks.shutdown().clone();
    tasks.spawn("bare", async move { server.serve_with_incoming_shutdown(incoming, async move { shutdown.requested().await }).await });
    Ok(address)
}

/// Calls the empty handler once.
pub(super) async fn call(mut client: AuditServiceClient<tonic::transport::Channel>, authorization: &str) -> anyhow::Result<()> {
    let mut request = Request::new(GetEventRequest { audit_event_id: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned() });
    request.metadata_mut().insert("authorization", authorization.parse()?);
    client.get_event(request).await?;
    Ok(())
}
