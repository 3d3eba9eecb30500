//! ProductService: decode, do, encode.

use contract::tasks::v1::product_service_server::ProductService;
use contract::tasks::v1::{
    CreateProductRequest, CreateProductResponse, GetProductRequest, GetProductResponse, ListProductsRequest, ListProductsResponse,
};
use tonic::{Request, Response, Status};

use super::ops::Ops;
use crate::work_item::convert::id;

/// Serves products.
#[derive(Clone)]
pub struct Grpc {
    ops: Ops,
}

impl Grpc {
    /// Over `ops`.
    pub fn new(ops: Ops) -> Self {
        Grpc { ops }
    }
}

#[tonic::async_trait]
impl ProductService for Grpc {
    async fn create_product(&self, req: Request<CreateProductRequest>) -> Result<Response<CreateProductResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let product = self.ops.create(&caller, req.try_into()?).await?;
        Ok(Response::new(CreateProductResponse { product: Some((&product).into()) }))
    }

    async fn get_product(&self, req: Request<GetProductRequest>) -> Result<Response<GetProductResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let (workspace_id, product_id) = (id("workspace_id", &req.workspace_id)?, id("product_id", &req.product_id)?);
        let product = self.ops.get(&caller, workspace_id, product_id).await?;
        Ok(Response::new(GetProductResponse { product: Some((&product).into()) }))
    }

    async fn list_products(&self, req: Request<ListProductsRequest>) -> Result<Response<ListProductsResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let page = self.ops.list(&caller, id("workspace_id", &req.workspace_id)?, req.page_size, &req.page_token).await?;
        let products = page.items.iter().map(Into::into).collect();
        Ok(Response::new(ListProductsResponse { products, next_page_token: page.next_page_token }))
    }
}
