//! `Pad`: a service that stands in for a real one. It serves the contract's smallest package, says who called, and emits what it is told to.

use contract::audit::v1::audit_service_client::AuditServiceClient;
use contract::audit::v1::audit_service_server::{AuditService, AuditServiceServer};
use contract::audit::v1::{AuditEvent, GetEventRequest, GetEventResponse, ListEventsRequest, ListEventsResponse};
use contract::tasks::v1::WorkItemCreated;
use events::{Handler, Outcome, Received};
use rpc::{Caller, Subject};
use testkit::{App, Channel, Setup};
use tonic::{Request, Response, Status};
use uuid::Uuid;

pub(crate) static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate::Migrator::DEFAULT;

pub(crate) async fn pad() -> App {
    pad_with(Setup::default()).await
}

pub(crate) async fn pad_with(setup: Setup) -> App {
    App::with(setup, "audit", "audit", &MIGRATIONS, async |deps| {
        let inbox = deps.log.inbox("pad", &["tasks"]);
        deps.tasks.spawn("inbox", inbox.run(Taking, deps.tasks.shutdown().clone()));
        Ok(host::Service::new("audit").add(AuditServiceServer::new(Pad)))
    })
    .await
}

/// Emits an event of the service, in a transaction as any.
pub(crate) async fn emit(app: &App, key: &str) {
    let caller = Caller::background("audit", app.organization(), None);
    let event = WorkItemCreated { work_item_id: key.to_owned(), after: None };
    let emit = async |tx: &mut db::Tx| {
        tx.emit(event);
        Ok::<_, db::Error>(())
    };
    app.inside(|deps| async move { deps.db.write_unrecorded(&caller, emit).await }).await.unwrap();
}

/// Asks the service who is calling: the user, the service, or nobody.
pub(crate) async fn who(channel: Channel) -> Result<AuditEvent, Status> {
    let request = GetEventRequest { audit_event_id: Uuid::from_u128(1).to_string() };
    Ok(AuditServiceClient::new(channel).get_event(request).await?.into_inner().audit_event.unwrap())
}

/// Waits until `holds`; a minute at most.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let started = tokio::time::Instant::now();
    while !holds().await {
        assert!(started.elapsed().as_secs() < 60, "never: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

struct Pad;

#[tonic::async_trait]
impl AuditService for Pad {
    async fn list_events(&self, req: Request<ListEventsRequest>) -> Result<Response<ListEventsResponse>, Status> {
        rpc::open(req)?;
        Ok(Response::new(ListEventsResponse::default()))
    }

    async fn get_event(&self, req: Request<GetEventRequest>) -> Result<Response<GetEventResponse>, Status> {
        let (caller, _) = rpc::open(req)?;
        let who = match caller.subject() {
            Subject::User(user) => user.to_string(),
            Subject::Service(service) => service.to_string(),
            Subject::Anonymous => "nobody".to_owned(),
        };
        let event = AuditEvent {
            resource_id: who,
            organization_id: caller.organization_id().to_string(),
            service: caller.peer().unwrap_or_default().to_owned(),
            request_id: caller.correlation_id().to_owned(),
            ..AuditEvent::default()
        };
        Ok(Response::new(GetEventResponse { audit_event: Some(event) }))
    }
}

/// Takes everything but what is called poison.
struct Taking;

impl Handler for Taking {
    async fn handle(&self, _: &mut db::Tx, event: &Received) -> Result<(), Outcome> {
        match event.of::<WorkItemCreated>()? {
            Some(created) if created.work_item_id == "poison" => Err(Outcome::Poison("it is poison".to_owned())),
            _ => Ok(()),
        }
    }
}
