//! AuditService: decode, do, encode.

use contract::audit::v1::{GetEventRequest, GetEventResponse, ListEventsRequest, ListEventsResponse, audit_service_server::AuditService};
use tonic::{Request, Response, Status};

use super::{convert, ops::Ops};
use crate::error::Error;

/// Serves the audit trail.
#[derive(Clone)]
pub(crate) struct Grpc {
    ops: Ops,
}

impl Grpc {
    /// Over `ops`.
    pub(crate) fn new(ops: Ops) -> Grpc {
        Grpc { ops }
    }
}

#[tonic::async_trait]
impl AuditService for Grpc {
    async fn list_events(&self, req: Request<ListEventsRequest>) -> Result<Response<ListEventsResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let page = self.ops.list(&caller, &req.filter, req.page_size, &req.page_token).await?;
        let audit_events = page.items.into_iter().map(|record| convert::summary(record, self.ops.sealed())).collect();
        Ok(Response::new(ListEventsResponse { audit_events, next_page_token: page.next_page_token }))
    }

    async fn get_event(&self, req: Request<GetEventRequest>) -> Result<Response<GetEventResponse>, Status> {
        let (caller, req) = rpc::open(req)?;
        let id = req.audit_event_id.parse().map_err(|_| Error::AuditEventNotFound)?;
        let record = self.ops.get(&caller, id).await?;
        Ok(Response::new(GetEventResponse { audit_event: Some(convert::whole(record, self.ops.sealed())) }))
    }
}
