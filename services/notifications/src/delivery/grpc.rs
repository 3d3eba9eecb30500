//! DeliveryService: decode, do, encode.

use contract::notifications::v1::delivery_service_server::DeliveryService;
use contract::notifications::v1::{
    GetDeliveryRequest, GetDeliveryResponse, ListDeliveriesRequest, ListDeliveriesResponse, RedriveDeliveryRequest, RedriveDeliveryResponse,
};
use tonic::{Request, Response, Status};

use super::ops::Ops;
use crate::error::Error;

/// Serves deliveries.
#[derive(Clone)]
pub(crate) struct Grpc {
    ops: Ops,
}

impl Grpc {
    /// Over `ops`.
    pub(crate) fn new(ops: Ops) -> Self {
        Grpc { ops }
    }
}

#[tonic::async_trait]
impl DeliveryService for Grpc {
    async fn list_deliveries(&self, req: Request<ListDeliveriesRequest>) -> Result<Response<ListDeliveriesResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let page = self.ops.list(&caller, &req.filter, req.page_size, &req.page_token).await?;
        let deliveries = page.items.iter().map(Into::into).collect();
        Ok(Response::new(ListDeliveriesResponse { deliveries, next_page_token: page.next_page_token }))
    }

    async fn get_delivery(&self, req: Request<GetDeliveryRequest>) -> Result<Response<GetDeliveryResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let id = req.delivery_id.parse().map_err(|_| Error::DeliveryNotFound)?;
        let (delivery, attempts) = self.ops.get(&caller, id).await?;
        Ok(Response::new(GetDeliveryResponse { delivery: Some((&delivery).into()), attempts: attempts.iter().map(Into::into).collect() }))
    }

    async fn redrive_delivery(&self, req: Request<RedriveDeliveryRequest>) -> Result<Response<RedriveDeliveryResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let id = req.delivery_id.parse().map_err(|_| Error::DeliveryNotFound)?;
        let delivery = self.ops.redrive(&caller, id).await?;
        Ok(Response::new(RedriveDeliveryResponse { delivery: Some((&delivery).into()) }))
    }
}
