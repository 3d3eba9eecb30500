//! What people do with their inboxes, and what other services tell.

use std::time::Duration;

use contract::common::v1::{Actor as Doer, ActorKind};
use contract::identity::v1::{ResolveRecipientResponse, Session, SessionCreated};
use contract::notifications::v1::delivery_service_client::DeliveryServiceClient;
use contract::notifications::v1::inbox_service_client::InboxServiceClient;
use contract::notifications::v1::mailbox_service_client::MailboxServiceClient;
use contract::notifications::v1::{
    ArchiveInboxItemRequest, AttemptOutcome, Delivery, DeliveryState, GetDeliveryRequest, GetDeliveryResponse, GetMailRequest,
    GetUnreadCountRequest, InboxItem, ListDeliveriesRequest, ListInboxItemsRequest, ListInboxItemsResponse, ListMailsRequest, Mail,
    MarkAllReadRequest, MarkReadRequest, RedriveDeliveryRequest, WatchInboxRequest, WatchInboxResponse,
};
use contract::tasks::v1::{WorkItem, WorkItemCreated, WorkItemState, WorkItemTransitioned};
use events::Logged;
use notifications::Config;
use runtime::OrganizationId;
use testkit::{Actor, App};
use tonic::{Status, Streaming};

/// The service as it comes.
pub(crate) async fn app() -> App {
    app_with(Config::default()).await
}

/// The service with other settings.
pub(crate) async fn app_with(config: Config) -> App {
    let build = async move |deps: &host::Deps| notifications::build(deps, &config).await;
    App::of(notifications::NAME, notifications::SCHEMA, &notifications::MIGRATIONS, build).await
}

/// The service with senders that look for work all the time.
pub(crate) fn quick() -> Config {
    Config { poll_ms: 20, ..Config::default() }
}

/// The verbs of whoever has an inbox.
pub(crate) trait Reads {
    fn inbox(&self) -> InboxServiceClient<testkit::Channel>;

    async fn page(&self, with: impl FnOnce(&mut ListInboxItemsRequest)) -> Result<ListInboxItemsResponse, Status> {
        let mut request = ListInboxItemsRequest::default();
        with(&mut request);
        Ok(self.inbox().list_inbox_items(request).await?.into_inner())
    }

    async fn items(&self, filter: &str) -> Vec<InboxItem> {
        self.page(|request| request.filter = filter.to_owned()).await.unwrap().inbox_items
    }

    /// What the items of a list say, in its order.
    async fn titles(&self, filter: &str) -> Vec<String> {
        self.items(filter).await.into_iter().map(|item| item.title).collect()
    }

    async fn unread(&self) -> i32 {
        self.inbox().get_unread_count(GetUnreadCountRequest {}).await.unwrap().into_inner().unread_count
    }

    async fn mark_read(&self, inbox_item_id: &str) -> Result<InboxItem, Status> {
        let request = MarkReadRequest { inbox_item_id: inbox_item_id.to_owned() };
        Ok(self.inbox().mark_read(request).await?.into_inner().inbox_item.unwrap())
    }

    async fn archive(&self, inbox_item_id: &str) -> Result<InboxItem, Status> {
        let request = ArchiveInboxItemRequest { inbox_item_id: inbox_item_id.to_owned() };
        Ok(self.inbox().archive_inbox_item(request).await?.into_inner().inbox_item.unwrap())
    }

    async fn mark_all_read(&self) -> i64 {
        self.inbox().mark_all_read(MarkAllReadRequest {}).await.unwrap().into_inner().read_count
    }

    async fn watch(&self, resume_token: &str) -> Result<Streaming<WatchInboxResponse>, Status> {
        let request = WatchInboxRequest { resume_token: resume_token.to_owned() };
        Ok(self.inbox().watch_inbox(request).await?.into_inner())
    }
}

impl Reads for Actor {
    fn inbox(&self) -> InboxServiceClient<testkit::Channel> {
        InboxServiceClient::new(self.channel())
    }
}

/// An item of tasks, to be done by `assignees`.
pub(crate) fn item(app: &App, key: &str, assignees: &[&Actor], reporter: &Actor) -> WorkItem {
    WorkItem {
        work_item_id: app.deps().ids.next().to_string(),
        workspace_id: app.workspace().to_string(),
        key: key.to_owned(),
        title: "light the fuse".to_owned(),
        assignee_ids: assignees.iter().map(|actor| actor.user_id.to_string()).collect(),
        reporter_id: reporter.user_id.to_string(),
        state: WorkItemState::NotStarted.into(),
        ..WorkItem::default()
    }
}

/// What other services tell.
pub(crate) trait Tells {
    /// `who` did it, in `organization`; taken on return.
    async fn tell<E: contract::Event>(&self, who: &Actor, organization: OrganizationId, event: E) -> Logged;

    /// `by` gave each item of `keys` to `to`, a second after the one before.
    async fn assign_items(&self, by: &Actor, to: &Actor, keys: &[&str]);

    /// `by` began `item`.
    async fn begin(&self, by: &Actor, item: WorkItem);

    /// `who` signed in, nobody knows where from.
    async fn sign_in(&self, who: &Actor) -> Logged;

    /// `who` did what `event` says in no organization, from `address` by `agent`; taken on return.
    async fn tell_from<E: contract::Event>(&self, who: &Actor, origin: (&str, &str), event: E) -> Logged;

    /// `who` signed in from `address` by `agent`.
    async fn sign_in_from(&self, who: &Actor, origin: (&str, &str)) -> Logged;

    /// What one number is in the database.
    async fn count(&self, query: &'static str) -> i64;
}

impl Tells for App {
    async fn tell<E: contract::Event>(&self, who: &Actor, organization: OrganizationId, event: E) -> Logged {
        let mut event = self.foreign(event, organization);
        event.envelope.actor = Some(Doer { kind: ActorKind::User.into(), actor_id: who.user_id.to_string() });
        self.deliver(&event).await;
        self.settled().await;
        event
    }

    async fn assign_items(&self, by: &Actor, to: &Actor, keys: &[&str]) {
        for key in keys {
            self.clock().advance(Duration::from_secs(1));
            let after = item(self, key, &[to], by);
            self.tell(by, by.organization_id, WorkItemCreated { work_item_id: after.work_item_id.clone(), after: Some(after) }).await;
        }
    }

    async fn begin(&self, by: &Actor, item: WorkItem) {
        let after = WorkItem { state: WorkItemState::InProgress.into(), ..item.clone() };
        let event = WorkItemTransitioned { work_item_id: item.work_item_id.clone(), before: Some(item), after: Some(after) };
        self.tell(by, by.organization_id, event).await;
    }

    async fn sign_in(&self, who: &Actor) -> Logged {
        self.sign_in_from(who, ("", "")).await
    }

    async fn tell_from<E: contract::Event>(&self, who: &Actor, (address, agent): (&str, &str), event: E) -> Logged {
        let mut event = self.foreign(event, OrganizationId::SYSTEM);
        event.envelope.actor = Some(Doer { kind: ActorKind::User.into(), actor_id: who.user_id.to_string() });
        (event.envelope.client_address, event.envelope.user_agent) = (address.to_owned(), agent.to_owned());
        self.deliver(&event).await;
        self.settled().await;
        event
    }

    async fn sign_in_from(&self, who: &Actor, origin: (&str, &str)) -> Logged {
        let session_id = self.deps().ids.next().to_string();
        let after = Session { session_id: session_id.clone(), user_id: who.user_id.to_string(), ..Session::default() };
        self.tell_from(who, origin, SessionCreated { session_id, after: Some(after) }).await
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut self.sql().await).await.unwrap()
    }
}

/// Where a person is reached in these tests.
pub(crate) fn recipient(actor: &Actor) -> ResolveRecipientResponse {
    let (email, display_name) = (format!("{}@muster.example", actor.name), actor.name.clone());
    ResolveRecipientResponse { email, display_name, locale: "en".to_owned(), ..ResolveRecipientResponse::default() }
}

/// What admins do with deliveries, and system admins with mails.
pub(crate) trait Sees {
    fn deliveries(&self) -> DeliveryServiceClient<testkit::Channel>;
    fn mailbox(&self) -> MailboxServiceClient<testkit::Channel>;

    async fn list_deliveries(&self, filter: &str) -> Result<Vec<Delivery>, Status> {
        let request = ListDeliveriesRequest { filter: filter.to_owned(), ..ListDeliveriesRequest::default() };
        Ok(self.deliveries().list_deliveries(request).await?.into_inner().deliveries)
    }

    async fn delivery(&self, delivery_id: &str) -> Result<GetDeliveryResponse, Status> {
        let request = GetDeliveryRequest { delivery_id: delivery_id.to_owned() };
        Ok(self.deliveries().get_delivery(request).await?.into_inner())
    }

    async fn redrive(&self, delivery_id: &str) -> Result<Delivery, Status> {
        let request = RedriveDeliveryRequest { delivery_id: delivery_id.to_owned(), ..RedriveDeliveryRequest::default() };
        Ok(self.deliveries().redrive_delivery(request).await?.into_inner().delivery.unwrap())
    }

    /// The only delivery that the caller sees, once it stands in `state`.
    async fn once(&self, state: DeliveryState) -> GetDeliveryResponse {
        let began = std::time::Instant::now();
        loop {
            let all = self.list_deliveries("").await.unwrap();
            if let [delivery] = &all[..]
                && delivery.state() == state
            {
                // It may have gone on since it was listed.
                let seen = self.delivery(&delivery.delivery_id).await.unwrap();
                if seen.delivery.as_ref().is_some_and(|delivery| delivery.state() == state) {
                    return seen;
                }
            }
            assert!(began.elapsed() < Duration::from_secs(20), "no delivery became {state:?}: {all:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn mails(&self, filter: &str) -> Result<Vec<Mail>, Status> {
        let request = ListMailsRequest { filter: filter.to_owned(), ..ListMailsRequest::default() };
        Ok(self.mailbox().list_mails(request).await?.into_inner().mails)
    }

    async fn mail(&self, mail_id: &str) -> Result<Mail, Status> {
        let request = GetMailRequest { mail_id: mail_id.to_owned() };
        Ok(self.mailbox().get_mail(request).await?.into_inner().mail.unwrap())
    }
}

impl Sees for Actor {
    fn deliveries(&self) -> DeliveryServiceClient<testkit::Channel> {
        DeliveryServiceClient::new(self.channel())
    }

    fn mailbox(&self) -> MailboxServiceClient<testkit::Channel> {
        MailboxServiceClient::new(self.channel())
    }
}

/// How the attempts of a delivery ended.
pub(crate) fn outcomes(delivery: &GetDeliveryResponse) -> Vec<(AttemptOutcome, i32)> {
    delivery.attempts.iter().map(|attempt| (attempt.outcome(), attempt.smtp_code)).collect()
}
