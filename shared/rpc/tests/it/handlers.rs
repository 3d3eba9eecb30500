//! Services of the contract, implemented to misbehave on demand: the header `does` says how.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use contract::identity::v1::key_service_server::{KeyService, KeyServiceServer};
use contract::identity::v1::organization_service_server::{OrganizationService, OrganizationServiceServer};
use contract::identity::v1::revocation_service_server::{RevocationService, RevocationServiceServer};
use contract::identity::v1::*;
use contract::tasks::v1::product_service_client::ProductServiceClient;
use contract::tasks::v1::product_service_server::{ProductService, ProductServiceServer};
use contract::tasks::v1::*;
use futures::{Stream, StreamExt, stream};
use rpc::Caller;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// What a handler saw of a call.
#[derive(Clone)]
pub(crate) struct Seen {
    pub(crate) caller: Caller,
    pub(crate) metadata: MetadataMap,
    pub(crate) left: std::time::Duration,
    /// The message, as it was after `open`.
    pub(crate) text: String,
}

#[derive(Default)]
pub(crate) struct Handlers {
    pub(crate) seen: Mutex<Vec<Seen>>,
    /// Whom a handler that `does: call` calls.
    pub(crate) peer: Mutex<Option<rpc::client::Channel>>,
    /// What GetJsonWebKeySet answers.
    pub(crate) key_set: Mutex<String>,
    /// Lets a handler that `does: wait` answer.
    pub(crate) go: tokio::sync::Notify,
}

impl Handlers {
    pub(crate) const SERVICES: [&str; 4] = [
        "muster.identity.v1.KeyService",
        "muster.identity.v1.OrganizationService",
        "muster.identity.v1.RevocationService",
        "muster.tasks.v1.ProductService",
    ];

    pub(crate) fn routes(self: &Arc<Self>) -> Routes {
        Routes::new(ProductServiceServer::from_arc(self.clone()))
            .add_service(OrganizationServiceServer::from_arc(self.clone()))
            .add_service(KeyServiceServer::from_arc(self.clone()))
            .add_service(RevocationServiceServer::from_arc(self.clone()))
    }

    fn open<M: contract::RequestMessage + std::fmt::Debug>(&self, request: Request<M>) -> Result<(Caller, M), Status> {
        let metadata = request.metadata().clone();
        let (caller, message) = rpc::open(request)?;
        let left = rpc::deadline().expect("a call has a deadline").remaining();
        let text = format!("{message:?}");
        self.seen.lock().unwrap().push(Seen { caller: caller.clone(), metadata, left, text });
        Ok((caller, message))
    }
}

fn does<T>(request: &Request<T>) -> String {
    request.metadata().get("does").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tonic::async_trait]
impl ProductService for Handlers {
    async fn create_product(&self, request: Request<CreateProductRequest>) -> Result<Response<CreateProductResponse>, Status> {
        self.open(request)?;
        Ok(Response::new(CreateProductResponse::default()))
    }

    async fn get_product(&self, request: Request<GetProductRequest>) -> Result<Response<GetProductResponse>, Status> {
        let does = does(&request);
        let (_, message) = self.open(request)?;
        let mut product = Product::default();
        match does.as_str() {
            "sleep" => std::future::pending::<()>().await,
            "wait" => self.go.notified().await,
            "panic" => panic!("the handler was told to panic, secret=hunter2"),
            "bare" => return Err(Status::internal("a bare status with a secret")),
            "large" => product.display_name = "x".repeat(5 * 1024 * 1024),
            "call" => {
                let peer = self.peer.lock().unwrap().clone().expect("a peer to call");
                ProductServiceClient::new(peer).get_product(message).await?;
            }
            "call-sleeper" => {
                let peer = self.peer.lock().unwrap().clone().expect("a peer to call");
                let mut message = Request::new(message);
                message.metadata_mut().insert("does", "sleep".parse().unwrap());
                ProductServiceClient::new(peer).get_product(message).await?;
            }
            _ => {}
        }
        Ok(Response::new(GetProductResponse { product: Some(product) }))
    }

    async fn list_products(&self, request: Request<ListProductsRequest>) -> Result<Response<ListProductsResponse>, Status> {
        self.open(request)?;
        Ok(Response::new(ListProductsResponse::default()))
    }
}

#[tonic::async_trait]
impl OrganizationService for Handlers {
    async fn create_organization(
        &self,
        request: Request<CreateOrganizationRequest>,
    ) -> Result<Response<CreateOrganizationResponse>, Status> {
        self.open(request)?;
        Ok(Response::new(CreateOrganizationResponse::default()))
    }

    async fn get_organization(&self, request: Request<GetOrganizationRequest>) -> Result<Response<GetOrganizationResponse>, Status> {
        self.open(request)?;
        Ok(Response::new(GetOrganizationResponse::default()))
    }

    async fn get_organization_settings(
        &self,
        request: Request<GetOrganizationSettingsRequest>,
    ) -> Result<Response<GetOrganizationSettingsResponse>, Status> {
        self.open(request)?;
        Ok(Response::new(GetOrganizationSettingsResponse::default()))
    }

    async fn update_organization_settings(
        &self,
        request: Request<UpdateOrganizationSettingsRequest>,
    ) -> Result<Response<UpdateOrganizationSettingsResponse>, Status> {
        self.open(request)?;
        Ok(Response::new(UpdateOrganizationSettingsResponse::default()))
    }

    async fn list_organizations(&self, request: Request<ListOrganizationsRequest>) -> Result<Response<ListOrganizationsResponse>, Status> {
        self.open(request)?;
        Ok(Response::new(ListOrganizationsResponse::default()))
    }
}

#[tonic::async_trait]
impl KeyService for Handlers {
    async fn get_json_web_key_set(&self, request: Request<GetJsonWebKeySetRequest>) -> Result<Response<GetJsonWebKeySetResponse>, Status> {
        self.open(request)?;
        let json_web_key_set = self.key_set.lock().unwrap().clone();
        Ok(Response::new(GetJsonWebKeySetResponse { json_web_key_set, max_age_seconds: 3600 }))
    }

    async fn get_open_id_configuration(
        &self,
        request: Request<GetOpenIdConfigurationRequest>,
    ) -> Result<Response<GetOpenIdConfigurationResponse>, Status> {
        self.open(request)?;
        Ok(Response::new(GetOpenIdConfigurationResponse::default()))
    }

    async fn list_signing_keys(&self, request: Request<ListSigningKeysRequest>) -> Result<Response<ListSigningKeysResponse>, Status> {
        self.open(request)?;
        Ok(Response::new(ListSigningKeysResponse::default()))
    }

    async fn rotate_signing_key(&self, request: Request<RotateSigningKeyRequest>) -> Result<Response<RotateSigningKeyResponse>, Status> {
        self.open(request)?;
        Ok(Response::new(RotateSigningKeyResponse::default()))
    }
}

#[tonic::async_trait]
impl RevocationService for Handlers {
    async fn list_revocations(&self, request: Request<ListRevocationsRequest>) -> Result<Response<ListRevocationsResponse>, Status> {
        self.open(request)?;
        Ok(Response::new(ListRevocationsResponse { revocations: vec![], position: 7 }))
    }

    type WatchRevocationsStream = Pin<Box<dyn Stream<Item = Result<WatchRevocationsResponse, Status>> + Send>>;

    /// One message, then silence; or a panic in the stream; or messages without end.
    async fn watch_revocations(&self, request: Request<WatchRevocationsRequest>) -> Result<Response<Self::WatchRevocationsStream>, Status> {
        let does = does(&request);
        self.open(request)?;
        let first = stream::iter([Ok(WatchRevocationsResponse { previous_position: 7, position: 7, revocations: vec![] })]);
        let then: Self::WatchRevocationsStream = match does.as_str() {
            "panic" => Box::pin(stream::once(async { panic!("the stream was told to panic") })),
            "flood" => Box::pin(stream::repeat_with(|| Ok(WatchRevocationsResponse::default()))),
            _ => Box::pin(stream::pending()),
        };
        Ok(Response::new(Box::pin(first.chain(then))))
    }
}
