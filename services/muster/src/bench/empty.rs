//! T: an empty RPC through the whole stack (limits, deadline, authentication, validation, permission, span, metrics, log), and beside it the
//! same handler on bare tonic; each in a process of its own.

use std::net::SocketAddr;

use anyhow::Context;

use authz::Authorizer;
use clap::{Args, ValueEnum};
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
    authn::{KeySet, Revocations, Verifier, replicate_revocations},
    health::HealthHandle,
    server::{Callers, Limits, Server},
};
use runtime::{
    Clock, Ids, Shutdown, Tasks,
    feed::{Feed, Options},
};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, service::Routes, transport::server::TcpIncoming};

use crate::{config::Config, keys};

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

/// A server that does nothing, for `muster bench` to call.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Arguments {
    /// What stands before the handler.
    kind: Kind,
    /// The address to listen on.
    address: SocketAddr,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// The suite's whole stack.
    Stack,
    /// Nothing but tonic.
    Bare,
}

/// Serves the empty handler until `shutdown`.
///
/// # Errors
/// The address is taken; for the whole stack also: keys are missing, or the services that say who may call don't answer.
pub(crate) async fn serve(arguments: Arguments, config: &Config, shutdown: Shutdown) -> anyhow::Result<()> {
    match arguments.kind {
        Kind::Stack => on_the_stack(arguments.address, config, shutdown).await,
        Kind::Bare => on_bare_tonic(arguments.address, shutdown).await,
    }
}

async fn on_the_stack(address: SocketAddr, config: &Config, shutdown: Shutdown) -> anyhow::Result<()> {
    // It serves the contract of audit, and is told what audit is.
    let peers = keys::of("audit", &config.suite.key_directory)?;
    let channel = |service: &'static str| {
        let address = config.suite.peers.get(service).with_context(|| format!("suite.peers has no {service}"))?;
        anyhow::Ok(rpc::client::channel(service, address, &peers)?)
    };
    let keys = KeySet::new();
    let mut authority = KeyServiceClient::new(channel("identity")?);
    keys.install(&authority.get_json_web_key_set(GetJsonWebKeySetRequest {}).await?.into_inner().json_web_key_set)?;
    let revocations = Revocations::new(Clock::system());
    let (authorizer, tasks) = (Authorizer::new(), Tasks::new("bench", shutdown.clone()));
    let feed = Feed::new("bench", "revocations", Options::default());
    tasks.spawn("revocations", replicate_revocations(feed, revocations.clone(), channel("identity")?, shutdown.clone()));
    let replication = ReplicationServiceClient::new(channel("authorization")?);
    let feed = Feed::new("bench", "authorization", Options::default());
    tasks.spawn("permissions", authz::replicate(feed, authorizer.clone(), replication, shutdown.clone()));
    authorizer.ready().await;
    revocations.ready().await;
    let health = HealthHandle::new();
    health.set_serving(true);
    let server = Server {
        service: "bench",
        // Bound at last: whoever can connect can call.
        listener: TcpListener::bind(address).await?,
        admin_listener: None,
        routes: Routes::new(AuditServiceServer::new(Empty { opens: true })),
        services: vec!["muster.audit.v1.AuditService"],
        admin_routes: Routes::default(),
        admin_services: Vec::new(),
        request_limits: &[],
        health,
        callers: Callers::Verified(Verifier::new(keys, revocations, peers, Clock::system())),
        authorizer,
        metrics: None,
        ids: Ids::system(),
        limits: Limits::default(),
    };
    rpc::server::serve(server, shutdown).await;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the floor: tonic without any of our layers")]
async fn on_bare_tonic(address: SocketAddr, shutdown: Shutdown) -> anyhow::Result<()> {
    let incoming = TcpIncoming::bind(address).map_err(|error| anyhow::anyhow!("{error}"))?.with_nodelay(Some(true));
    let server = tonic::transport::Server::builder().add_service(AuditServiceServer::new(Empty { opens: false }));
    server.serve_with_incoming_shutdown(incoming, async move { shutdown.requested().await }).await?;
    Ok(())
}

/// Calls the empty handler once.
pub(super) async fn call(mut client: AuditServiceClient<tonic::transport::Channel>, authorization: &str) -> anyhow::Result<()> {
    let mut request = Request::new(GetEventRequest { audit_event_id: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned() });
    request.metadata_mut().insert("authorization", authorization.parse()?);
    client.get_event(request).await?;
    Ok(())
}
