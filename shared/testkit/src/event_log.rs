//! What the service told the world, and when it is done with what the world told it.

use contract::common::v1::{
    EventEnvelope, GetEventStatusRequest, GetEventStatusResponse, ListLoggedEventsRequest, LoggedEvent,
    event_admin_service_client::EventAdminServiceClient,
};
use events::Logged;
use tokio::time::{Duration, Instant, sleep};

use crate::{App, Channel, keys, wire::Wire};

/// How long events may take to arrive everywhere before a test gives up.
const SETTLED: Duration = Duration::from_secs(20);
/// Events of one page of the log: all that a test makes.
const EVENTS_MAX: i32 = 1_000;

impl App {
    /// The service's event log, oldest first, once all of it is on the bus.
    ///
    /// # Panics
    /// When the service does not say.
    pub async fn logged(&self) -> Vec<Logged> {
        self.settled().await;
        let request = ListLoggedEventsRequest { from_position: 0, page_size: EVENTS_MAX };
        let answer = self.event_admin().list_logged_events(request).await.expect("the log is listed").into_inner();
        assert_eq!(answer.next_position, 0, "a test makes at most {EVENTS_MAX} events");
        let logged = |event: LoggedEvent| Logged { envelope: event.envelope.unwrap_or_default(), body: event.body };
        answer.events.into_iter().map(logged).collect()
    }

    /// The subjects under which the service's events stand on the bus, in order.
    ///
    /// # Panics
    /// When they do not get there.
    pub async fn emitted(&self) -> Vec<String> {
        self.settled().await;
        self.bus.subjects(self.subject.name).await
    }

    /// The service's events of type `E`, in order.
    ///
    /// # Panics
    /// When one can't be decoded.
    pub async fn events<E: contract::Event>(&self) -> Vec<E> {
        let logged = self.logged().await;
        logged.iter().filter_map(|event| event.of::<E>().expect("an event of its type")).collect()
    }

    /// The envelopes of the service's events, in order.
    ///
    /// # Panics
    /// When the service does not say.
    pub async fn envelopes(&self) -> Vec<EventEnvelope> {
        self.logged().await.into_iter().map(|event| event.envelope).collect()
    }

    /// Waits until every event of the service is on the bus and every event for it is taken or given up; at most 20 s.
    ///
    /// # Panics
    /// When the time is up; says what is still under way.
    pub async fn settled(&self) {
        let (started, mut admin, mut last) = (Instant::now(), self.event_admin(), None);
        loop {
            let status = status_of(&mut admin).await;
            // Twice in a row at one place: an event that was taken between two looks of the first may have led to another.
            if is_settled(&status) && last.replace(status.head_position) == Some(status.head_position) {
                return;
            }
            if !is_settled(&status) {
                last = None;
            }
            assert!(started.elapsed() < SETTLED, "events are still under way: {status:?}");
            sleep(Duration::from_millis(3)).await;
        }
    }

    /// Where log, relay and consumers of the service stand.
    ///
    /// # Panics
    /// When the service does not say.
    pub async fn event_status(&self) -> GetEventStatusResponse {
        status_of(&mut self.event_admin()).await
    }

    /// A client of the service's event administration, as an operator has it.
    pub fn event_admin(&self) -> EventAdminServiceClient<Channel> {
        let wire = Wire::to(self.up.admin_address, self.world.runtime.clone());
        EventAdminServiceClient::new(Channel::peer(wire.peer(self.subject.name, &keys::of(keys::OPERATOR, self.time()))))
    }
}

async fn status_of(admin: &mut EventAdminServiceClient<Channel>) -> GetEventStatusResponse {
    admin.get_event_status(GetEventStatusRequest {}).await.expect("the event log says where it stands").into_inner()
}

fn is_settled(status: &GetEventStatusResponse) -> bool {
    let published = status.outbox_rows == 0 && status.published_position == status.head_position;
    published && status.consumers.iter().all(|consumer| consumer.pending == Some(0))
}
