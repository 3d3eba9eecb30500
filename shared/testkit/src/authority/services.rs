//! The RPCs of the fixture authority. It asks for no peer token: what a service sends is tested where the real ones answer.

use std::{pin::Pin, sync::Arc, time::Duration};

use contract::{
    authorization::v1::{
        GetSnapshotRequest, GetSnapshotResponse, WatchRequest, WatchResponse,
        replication_service_server::{ReplicationService, ReplicationServiceServer},
    },
    identity::v1::{
        GetJsonWebKeySetRequest, GetJsonWebKeySetResponse, ListRevocationsRequest, ListRevocationsResponse, ListSigningKeysRequest,
        ListSigningKeysResponse, RotateSigningKeyRequest, RotateSigningKeyResponse, WatchRevocationsRequest, WatchRevocationsResponse,
        key_service_server::{KeyService, KeyServiceServer},
        revocation_service_server::{RevocationService, RevocationServiceServer},
    },
};
use futures::{Stream, stream};
use tokio::{net::TcpListener, task::JoinHandle, time::timeout};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

use super::{Entry, State};

/// How long a watch stays silent before it sends a heartbeat.
const HEARTBEAT: Duration = Duration::from_millis(500);

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[derive(Clone)]
struct Services(Arc<State>);

#[expect(clippy::disallowed_methods, reason = "a fixture, not a server of the suite: no limits to set, and it dies with its test")]
pub(super) fn serve(listener: TcpListener, state: Arc<State>) -> JoinHandle<()> {
    let services = Services(state);
    let server = tonic::transport::Server::builder()
        .add_service(KeyServiceServer::new(services.clone()))
        .add_service(RevocationServiceServer::new(services.clone()))
        .add_service(ReplicationServiceServer::new(services));
    tokio::spawn(async move {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        server.serve_with_incoming(incoming).await.expect("the fixture authority serves until it is dropped");
    })
}

impl Services {
    /// What happens after `position`, one batch an item: (previous position, position, entries). Silence makes an empty one.
    fn watch(&self, position: i64) -> impl Stream<Item = (i64, i64, Vec<Entry>)> + Send + use<> {
        let (state, head) = (self.0.clone(), self.0.head.subscribe());
        stream::unfold((state, head, position), |(state, mut head, position)| async move {
            if *head.borrow_and_update() <= position {
                // Either outcome leads to a message: news, or a heartbeat.
                let _ = timeout(HEARTBEAT, head.changed()).await;
            }
            let (entries, reached) = state.after(position);
            Some(((position, reached, entries), (state, head, reached)))
        })
    }
}

#[tonic::async_trait]
impl KeyService for Services {
    async fn get_json_web_key_set(&self, _: Request<GetJsonWebKeySetRequest>) -> Result<Response<GetJsonWebKeySetResponse>, Status> {
        Ok(Response::new(GetJsonWebKeySetResponse { json_web_key_set: self.0.json_web_key_set.clone(), max_age_seconds: 60 }))
    }

    async fn list_signing_keys(&self, _: Request<ListSigningKeysRequest>) -> Result<Response<ListSigningKeysResponse>, Status> {
        Err(Status::unimplemented("the fixture authority only publishes its key"))
    }

    async fn rotate_signing_key(&self, _: Request<RotateSigningKeyRequest>) -> Result<Response<RotateSigningKeyResponse>, Status> {
        Err(Status::unimplemented("the fixture authority only publishes its key"))
    }
}

#[tonic::async_trait]
impl RevocationService for Services {
    async fn list_revocations(&self, _: Request<ListRevocationsRequest>) -> Result<Response<ListRevocationsResponse>, Status> {
        let (entries, position) = self.0.after(0);
        Ok(Response::new(ListRevocationsResponse { revocations: revocations(entries), position }))
    }

    type WatchRevocationsStream = Streamed<WatchRevocationsResponse>;

    async fn watch_revocations(&self, request: Request<WatchRevocationsRequest>) -> Result<Response<Self::WatchRevocationsStream>, Status> {
        use futures::StreamExt;
        let news = self.watch(request.into_inner().from_position).map(|(previous_position, position, entries)| {
            Ok(WatchRevocationsResponse { previous_position, position, revocations: revocations(entries) })
        });
        Ok(Response::new(Box::pin(news)))
    }
}

fn revocations(entries: Vec<Entry>) -> Vec<contract::identity::v1::Revocation> {
    entries.into_iter().filter_map(|entry| if let Entry::Revocation(revocation) = entry { Some(revocation) } else { None }).collect()
}

#[tonic::async_trait]
impl ReplicationService for Services {
    type GetSnapshotStream = Streamed<GetSnapshotResponse>;

    async fn get_snapshot(&self, _: Request<GetSnapshotRequest>) -> Result<Response<Self::GetSnapshotStream>, Status> {
        let (assignments, workspaces, position) = self.0.snapshot();
        let chunk = GetSnapshotResponse { assignments, workspaces, last: true, position };
        Ok(Response::new(Box::pin(stream::iter([Ok(chunk)]))))
    }

    type WatchStream = Streamed<WatchResponse>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        use futures::StreamExt;
        let news = Services::watch(self, request.into_inner().from_position).map(|(previous_position, position, entries)| {
            let (mut assignments, mut workspaces) = (Vec::new(), Vec::new());
            for entry in entries {
                match entry {
                    Entry::Assignment(assignment) => assignments.push(assignment),
                    Entry::Workspace(workspace) => workspaces.push(workspace),
                    Entry::Revocation(_) => {}
                }
            }
            Ok(WatchResponse { previous_position, position, assignments, workspaces })
        });
        Ok(Response::new(Box::pin(news)))
    }
}
