//! The RPCs of the fixture authority. It asks for no peer token: what a service sends is tested where the real ones answer.

use std::{pin::Pin, sync::PoisonError};

use contract::{
    authorization::v1::{
        Freshness, GetSnapshotRequest, GetSnapshotResponse, WatchRequest, WatchResponse,
        replication_service_server::{ReplicationService, ReplicationServiceServer},
    },
    identity::v1::{
        GetJsonWebKeySetRequest, GetJsonWebKeySetResponse, GetOpenIdConfigurationRequest, GetOpenIdConfigurationResponse,
        ListMembershipsRequest, ListMembershipsResponse, ListRevocationsRequest, ListRevocationsResponse, ListSigningKeysRequest,
        ListSigningKeysResponse, ResolveRecipientRequest, ResolveRecipientResponse, RotateSigningKeyRequest, RotateSigningKeyResponse,
        WatchRevocationsRequest, WatchRevocationsResponse,
        key_service_server::{KeyService, KeyServiceServer},
        membership_service_server::{MembershipService, MembershipServiceServer},
        recipient_service_server::{RecipientService, RecipientServiceServer},
        resolve_recipient_request::Subject,
        revocation_service_server::{RevocationService, RevocationServiceServer},
    },
};
use futures::{Stream, StreamExt, stream};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

use super::{Change, State};

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[derive(Clone)]
struct Services(State);

#[expect(clippy::disallowed_methods, reason = "a fixture, not a server of the suite: no limits to set, and it dies with its test")]
pub(super) fn serve(listener: TcpListener, state: State) -> JoinHandle<()> {
    let services = Services(state);
    let server = tonic::transport::Server::builder()
        .add_service(KeyServiceServer::new(services.clone()))
        .add_service(RevocationServiceServer::new(services.clone()))
        .add_service(MembershipServiceServer::new(services.clone()))
        .add_service(RecipientServiceServer::new(services.clone()))
        .add_service(ReplicationServiceServer::new(services));
    tokio::spawn(async move {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        server.serve_with_incoming(incoming).await.expect("the fixture authority serves until it is dropped");
    })
}

#[tonic::async_trait]
impl KeyService for Services {
    async fn get_json_web_key_set(&self, _: Request<GetJsonWebKeySetRequest>) -> Result<Response<GetJsonWebKeySetResponse>, Status> {
        Ok(Response::new(GetJsonWebKeySetResponse { json_web_key_set: self.0.json_web_key_set.clone(), max_age_seconds: 60 }))
    }

    async fn get_open_id_configuration(
        &self,
        _: Request<GetOpenIdConfigurationRequest>,
    ) -> Result<Response<GetOpenIdConfigurationResponse>, Status> {
        Err(Status::unimplemented("the fixture authority only publishes its key"))
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
        let (revocations, position) = self.0.revocations.after(0);
        Ok(Response::new(ListRevocationsResponse { revocations, position }))
    }

    type WatchRevocationsStream = Streamed<WatchRevocationsResponse>;

    async fn watch_revocations(&self, request: Request<WatchRevocationsRequest>) -> Result<Response<Self::WatchRevocationsStream>, Status> {
        let news = self.0.revocations.watch(request.into_inner().from_position);
        let news = news
            .map(|(previous_position, position, revocations)| Ok(WatchRevocationsResponse { previous_position, position, revocations }));
        Ok(Response::new(Box::pin(news)))
    }
}

#[tonic::async_trait]
impl MembershipService for Services {
    type ListMembershipsStream = Streamed<ListMembershipsResponse>;

    async fn list_memberships(&self, _: Request<ListMembershipsRequest>) -> Result<Response<Self::ListMembershipsStream>, Status> {
        let list = self.0.memberships.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Response::new(Box::pin(stream::iter([Ok(ListMembershipsResponse { last: true, ..list })]))))
    }
}

#[tonic::async_trait]
impl RecipientService for Services {
    async fn resolve_recipient(&self, request: Request<ResolveRecipientRequest>) -> Result<Response<ResolveRecipientResponse>, Status> {
        let recipients = self.0.recipients.lock().unwrap_or_else(PoisonError::into_inner);
        let request = request.into_inner();
        let link = Some((request.link(), request.link_id));
        let (Subject::UserId(id) | Subject::InvitationId(id)) = request.subject.unwrap_or(Subject::UserId(String::new()));
        match recipients.get(&(id.clone(), link)).or_else(|| recipients.get(&(id, None))) {
            Some(Ok(recipient)) => Ok(Response::new(recipient.clone())),
            Some(Err(code)) => Err(Status::new(*code, "a test asked for it")),
            None => Err(Status::not_found("a test named no such recipient")),
        }
    }
}

#[tonic::async_trait]
impl ReplicationService for Services {
    type GetSnapshotStream = Streamed<GetSnapshotResponse>;

    async fn get_snapshot(&self, _: Request<GetSnapshotRequest>) -> Result<Response<Self::GetSnapshotStream>, Status> {
        let (assignments, workspaces, position) = self.0.snapshot();
        let chunk = GetSnapshotResponse { assignments, workspaces, last: true, position, freshness: Some(Freshness::default()) };
        Ok(Response::new(Box::pin(stream::iter([Ok(chunk)]))))
    }

    type WatchStream = Streamed<WatchResponse>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let news = self.0.permissions.watch(request.into_inner().from_position);
        let news = news.map(|(previous_position, position, changes)| {
            let (mut assignments, mut workspaces) = (Vec::new(), Vec::new());
            for change in changes {
                match change {
                    Change::Assignment(assignment) => assignments.push(assignment),
                    Change::Workspace(workspace) => workspaces.push(workspace),
                }
            }
            Ok(WatchResponse { previous_position, position, assignments, workspaces, freshness: Some(Freshness::default()) })
        });
        Ok(Response::new(Box::pin(news)))
    }
}
