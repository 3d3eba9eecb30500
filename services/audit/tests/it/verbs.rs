//! What actors do with the audit trail, and what other services put on the bus for it.

use contract::audit::v1::{AuditEvent, GetEventRequest, ListEventsRequest, ListEventsResponse, audit_service_client::AuditServiceClient};
use testkit::{Actor, App};
use tonic::Status;

/// The service under test.
pub(crate) async fn audit() -> App {
    App::of(audit::NAME, audit::SCHEMA, &audit::MIGRATIONS, async |deps| audit::build(deps, &audit::Config::default()).await).await
}

/// The verbs of whoever reads the trail.
pub(crate) trait Reads {
    async fn page(&self, filter: &str, page_size: i32, page_token: &str) -> Result<ListEventsResponse, Status>;

    async fn list_events(&self, filter: &str) -> Result<Vec<AuditEvent>, Status> {
        Ok(self.page(filter, 0, "").await?.audit_events)
    }

    async fn get_event(&self, audit_event_id: &str) -> Result<AuditEvent, Status>;
}

impl Reads for Actor {
    async fn page(&self, filter: &str, page_size: i32, page_token: &str) -> Result<ListEventsResponse, Status> {
        let request = ListEventsRequest { page_size, page_token: page_token.to_owned(), filter: filter.to_owned() };
        Ok(AuditServiceClient::new(self.channel()).list_events(request).await?.into_inner())
    }

    async fn get_event(&self, audit_event_id: &str) -> Result<AuditEvent, Status> {
        let request = GetEventRequest { audit_event_id: audit_event_id.to_owned() };
        Ok(AuditServiceClient::new(self.channel()).get_event(request).await?.into_inner().audit_event.unwrap())
    }
}
