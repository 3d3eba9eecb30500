//! The bus as others see it: what the service put there, and what other services put there for it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use async_nats::{
    HeaderMap,
    jetstream::{self, Context, stream::Stream},
};
use contract::common::v1::{Actor, ActorKind, EventEnvelope};
use contract::time::timestamp;
use events::{Logged, NatsConfig};
use runtime::{Ids, OrganizationId};
use tokio::{
    sync::OnceCell,
    time::{Duration, Instant, sleep},
};

use crate::{App, cloud_event};

/// How long the bus may take to be reached.
const REACHED: Duration = Duration::from_secs(10);

/// The test's own connections to the nats-server, made when they are first needed.
pub(crate) struct Bus {
    url: String,
    context: OnceCell<(Context, events::Bus)>,
    /// How many events of each other service were put there.
    positions: Mutex<BTreeMap<&'static str, i64>>,
}

impl Bus {
    pub(crate) fn to(url: String) -> Self {
        Bus { url, context: OnceCell::new(), positions: Mutex::default() }
    }

    async fn connection(&self) -> &(Context, events::Bus) {
        let connect = async || {
            let client = async_nats::connect(&self.url).await.expect("the test's NATS answers");
            let config = NatsConfig { url: self.url.clone(), ..NatsConfig::default() };
            let bus = events::Bus::connect(&config, "testkit").await.expect("the address of the test's NATS");
            (jetstream::new(client), bus)
        };
        self.context.get_or_init(connect).await
    }

    async fn stream(&self, service: &str) -> Stream {
        let (_, bus) = self.connection().await;
        let started = Instant::now();
        loop {
            match bus.ensure_stream(service).await {
                Ok(stream) => return stream,
                Err(error) => assert!(started.elapsed() < REACHED, "no stream of {service}: {error}"),
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// The subjects in the stream of `service`, in order.
    pub(crate) async fn subjects(&self, service: &str) -> Vec<String> {
        let stream = self.stream(service).await;
        let state = stream.get_info().await.expect("the stream is there").state;
        let mut subjects = Vec::new();
        for sequence in state.first_sequence.max(1)..=state.last_sequence {
            subjects.push(stream.get_raw_message(sequence).await.expect("the message is there").subject.to_string());
        }
        subjects
    }

    async fn put(&self, service: &str, subject: String, headers: HeaderMap, body: bytes::Bytes) {
        self.stream(service).await;
        let (context, _) = self.connection().await;
        let sent = context.publish_with_headers(subject, headers, body).await.expect("the test's NATS takes messages");
        let stored = sent.await.expect("the stream takes the message");
        assert!(!stored.duplicate, "the server took the message for one it has");
    }

    fn next_position(&self, service: &'static str) -> i64 {
        let mut positions = self.positions.lock().unwrap_or_else(PoisonError::into_inner);
        let position = positions.entry(service).or_default();
        *position += 1;
        *position
    }
}

impl App {
    /// Puts an event of another service on the bus, as that service's relay would: at the next position of its log, with a proper envelope, done
    /// by the service itself. [`App::settled`] waits until it is taken.
    pub async fn publish<E: contract::Event>(&self, event: E, organization: OrganizationId) -> Logged {
        let event = self.foreign(event, organization);
        self.deliver(&event).await;
        event
    }

    /// The event that [`App::publish`] would put on the bus: change its envelope as the test needs it, then [`App::deliver`] it.
    pub fn foreign<E: contract::Event>(&self, mut event: E, organization: OrganizationId) -> Logged {
        let key = event.key().to_owned();
        let redacted_paths = event.redact();
        let envelope = EventEnvelope {
            event_id: self.world.ids.next().to_string(),
            r#type: E::full_name(),
            service: E::SERVICE.to_owned(),
            position: self.bus.next_position(E::SERVICE),
            organization_id: organization.to_string(),
            aggregate: E::AGGREGATE.to_owned(),
            aggregate_id: key,
            create_time: Some(timestamp(self.now())),
            audit_action: format!("{}.{}.{}", E::SERVICE, E::AGGREGATE, E::PAST_TENSE),
            actor: Some(Actor { kind: ActorKind::Service.into(), actor_id: E::SERVICE.to_owned() }),
            request_id: self.world.ids.next().to_string(),
            traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
            redacted_paths,
            ..EventEnvelope::default()
        };
        Logged { envelope, body: event.encode_to_vec().into() }
    }

    /// Puts an event on the bus. A second time it is delivered a second time: the server's own look for duplicates is got round.
    pub async fn deliver(&self, event: &Logged) {
        let mut headers = cloud_event::headers(&event.envelope);
        headers.insert("Nats-Msg-Id", Ids::system().next().to_string());
        self.bus.put(&event.envelope.service, cloud_event::subject(&event.envelope), headers, event.body.clone()).await;
    }

    /// Puts anything on the bus, in the stream of `service`.
    pub async fn deliver_garbage(&self, service: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut map = HeaderMap::new();
        headers.iter().for_each(|(name, value)| map.insert(*name, *value));
        self.bus.put(service, format!("muster.{service}.v1.garbage"), map, body.to_vec().into()).await;
    }
}
