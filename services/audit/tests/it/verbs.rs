//! What actors do with the audit trail, and what other services tell it.

use contract::audit::v1::{AuditEvent, GetEventRequest, ListEventsRequest, ListEventsResponse, audit_service_client::AuditServiceClient};
use contract::common::v1::{Actor as Doer, ActorKind, DeadLetter, ListDeadLettersRequest};
use contract::tasks::v1::{WorkItem, WorkItemCreated, WorkItemState, WorkItemTransitioned};
use events::Logged;
use testkit::{Actor, App};
use tonic::Status;

/// The service under test.
pub(crate) async fn audit() -> App {
    App::of(audit::NAME, audit::SCHEMA, &audit::MIGRATIONS, async |deps| audit::build(deps, &audit::Config::default()).await).await
}

/// The verbs of whoever reads the trail.
pub(crate) trait Reads {
    async fn page(&self, filter: &str, page_size: i32, page_token: &str) -> Result<ListEventsResponse, Status>;

    async fn get_event(&self, audit_event_id: &str) -> Result<AuditEvent, Status>;

    async fn list_events(&self, filter: &str) -> Result<Vec<AuditEvent>, Status> {
        Ok(self.page(filter, 0, "").await?.audit_events)
    }

    /// The things that the records of a list are about, in its order.
    async fn things(&self, filter: &str) -> Vec<String> {
        things(&self.list_events(filter).await.unwrap())
    }
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

pub(crate) fn things(records: &[AuditEvent]) -> Vec<String> {
    records.iter().map(|record| record.resource_id.clone()).collect()
}

/// An item as tasks tells of it.
pub(crate) fn item(thing: &str, state: WorkItemState) -> WorkItem {
    WorkItem { work_item_id: thing.to_owned(), title: "paint the shed".to_owned(), state: state.into(), ..WorkItem::default() }
}

pub(crate) fn created(thing: &str) -> WorkItemCreated {
    WorkItemCreated { work_item_id: thing.to_owned(), after: Some(item(thing, WorkItemState::NotStarted)) }
}

pub(crate) fn transitioned(thing: &str) -> WorkItemTransitioned {
    let (before, after) = (item(thing, WorkItemState::NotStarted), item(thing, WorkItemState::InProgress));
    WorkItemTransitioned { work_item_id: thing.to_owned(), before: Some(before), after: Some(after) }
}

/// What tasks tells the trail.
pub(crate) trait Tells {
    /// Each thing was created, a second after the one before; all of it is recorded on return.
    async fn tell_of(&self, things: &[&str]);

    /// `who` moved a thing on, from an address and with an agent.
    async fn tell_of_move(&self, thing: &str, who: &Actor, address: &str, agent: &str) -> Logged;

    /// What the trail could not take.
    async fn dead_letters(&self) -> Vec<DeadLetter>;

    /// What one number is in the database.
    async fn count(&self, query: &'static str) -> i64;
}

impl Tells for App {
    async fn tell_of(&self, things: &[&str]) {
        for thing in things {
            self.clock().advance(std::time::Duration::from_secs(1));
            self.publish(created(thing), self.organization()).await;
        }
        self.settled().await;
    }

    async fn tell_of_move(&self, thing: &str, who: &Actor, address: &str, agent: &str) -> Logged {
        let mut event = self.foreign(transitioned(thing), self.organization());
        event.envelope.audit_action = "tasks.work_item.transition".to_owned();
        event.envelope.actor = Some(Doer { kind: ActorKind::User.into(), actor_id: who.user_id.to_string() });
        event.envelope.session_id = who.session_id.to_string();
        event.envelope.client_address = address.to_owned();
        event.envelope.user_agent = agent.to_owned();
        self.deliver(&event).await;
        self.settled().await;
        event
    }

    async fn dead_letters(&self) -> Vec<DeadLetter> {
        self.event_admin().list_dead_letters(ListDeadLettersRequest::default()).await.unwrap().into_inner().dead_letters
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut self.sql().await).await.unwrap()
    }
}
