//! The whole suite in this process, as `muster up` runs it: real servers of its own, real services, real people.
//!
//! A test ends with [`Suite::finish`], which fails it when something is left behind: an unpublished event, a dead letter, an open transaction,
//! a background task that died, a process that still runs.

use std::{
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use async_nats::jetstream::{self, consumer::pull};
use contract::common::v1::{ListLoggedEventsRequest, LoggedEvent, event_admin_service_client::EventAdminServiceClient};
use contract::identity::v1::{EmailChangeRequested, PasswordResetRequested};
use devstack::{Options, Stack};
use futures::{FutureExt, StreamExt};
use host::Running;
use muster::{
    config::Config,
    migrate, seed,
    serve::{Conditions, Serving},
};
use prost::{Message, Name};
use rpc::authn::PeerKeys;
use runtime::{config::Secret, feed::FeedFaults};
use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::{Actor, Place, Places, telemetry, text};

/// No test waits longer for the suite to become ready, or to come to rest.
const AT_MOST: Duration = Duration::from_secs(60);
const PERIOD: Duration = Duration::from_millis(25);

/// The suite, running.
pub struct Suite {
    stack: Stack,
    config: Config,
    serving: Serving,
    places: Places,
    operator: PeerKeys,
    revocation_faults: FeedFaults,
    permission_faults: FeedFaults,
}

impl Suite {
    /// Everything, as `muster up` leaves it: ready, with the system admin and the seeded people.
    pub async fn start() -> Suite {
        Suite::start_with(|_| ()).await
    }

    /// As [`start`](Suite::start), with some settings changed.
    ///
    /// # Panics
    /// When anything keeps it from starting.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Suite {
        runtime::init_crypto();
        let metrics = telemetry::metrics();
        let stack = Stack::start(Options { redis: false, ..Options::temporary() }).await.expect("PostgreSQL and NATS start");
        let mut config = settings(&stack);
        change(&mut config);
        muster::keys::make(&config.suite.key_directory).expect("keys are made");
        migrate_all(&stack, &config).await;
        let conditions = Conditions::default();
        let (revocation_faults, permission_faults) = (conditions.revocation_faults.clone(), conditions.permission_faults.clone());
        let serving = Serving::start_with(&config, &[], Some(metrics), conditions).await.expect("the services start");
        serving.ready(AT_MOST).await.expect("the services become ready");
        let operator = muster::keys::operator(&config.suite.key_directory).expect("the operator has keys");
        let places: Places = serving.addresses().into_iter().map(|(name, address, admin)| (name, Place::new(address, admin))).collect();
        let suite = Suite { stack, config, serving, places, operator, revocation_faults, permission_faults };
        seed::people(suite.peer_channel("identity"), seed::ADMIN).await.expect("people are seeded");
        suite
    }

    /// A further replica of `service` on the same database and bus, with other settings and conditions; and where everything answers when
    /// one asks it in place of the first. It need not become ready.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn replica(&self, service: &'static str, conditions: Conditions, change: impl FnOnce(&mut Config)) -> (Serving, Places) {
        let mut config = self.config.clone();
        for (name, place) in &self.places {
            config.suite.peers.insert((*name).to_owned(), format!("http://{}", place.address));
        }
        change(&mut config);
        let serving = Serving::start_with(&config, &[service.to_owned()], None, conditions).await.expect("the replica starts");
        let mut places = self.places();
        places.extend(serving.addresses().into_iter().map(|(name, address, admin)| (name, Place::new(address, admin))));
        (serving, places)
    }

    /// Where `service` answers.
    pub fn address(&self, service: &str) -> SocketAddr {
        self.places[service].address
    }

    /// Where each service answers.
    pub fn places(&self) -> Places {
        self.places.clone()
    }

    /// Where the keys lie that its services and its operator sign with.
    pub fn key_directory(&self) -> &Path {
        &self.config.suite.key_directory
    }

    /// Loses messages of the revocation feed on their way to the services.
    pub fn revocation_faults(&self) -> &FeedFaults {
        &self.revocation_faults
    }

    /// The same of the permission feed.
    pub fn permission_faults(&self) -> &FeedFaults {
        &self.permission_faults
    }

    /// Somebody without credentials.
    pub fn nobody(&self) -> Actor {
        Actor::nobody(self.places())
    }

    /// A service of the suite: the operator's tools.
    pub fn operator(&self) -> Actor {
        Actor::service(self.places(), self.operator.clone())
    }

    /// Whoever signs with the key of `name`: a service of the suite, or the operator's tools.
    ///
    /// # Panics
    /// When nobody of that name has a key.
    pub fn service(&self, name: &str) -> Actor {
        let keys = muster::keys::of(name, &self.config.suite.key_directory);
        Actor::service(self.places(), keys.unwrap_or_else(|error| panic!("{name} has no keys: {error}")))
    }

    /// A new session of one of the people: `ana`, or any address.
    ///
    /// # Panics
    /// When the sign-in is refused.
    pub async fn sign_in(&self, who: &str) -> Actor {
        let email = if who.contains('@') { who.to_owned() } else { format!("{who}@muster.example") };
        self.nobody().sign_in(&email, seed::PASSWORD).await.unwrap_or_else(|fault| panic!("{who} can't sign in: {fault}"))
    }

    /// One more person who can sign in, at `<name>@muster.example`; answers the user's id.
    ///
    /// # Panics
    /// When a step is refused.
    pub async fn register(&self, name: &str) -> String {
        let email = format!("{name}@muster.example");
        let person = json!({"email": email, "password": seed::PASSWORD, "displayName": name});
        self.nobody().call("identity.AccountService/RegisterUser", person).await.expect("anybody may register");
        let user_id = self.user_id(&email).await;
        let issued = self.operator().call("identity.AccountService/IssueVerificationToken", json!({"userId": user_id})).await;
        let token = text(&issued.expect("services may issue"), "verificationToken");
        let proof = json!({"verificationToken": token, "password": seed::PASSWORD});
        self.nobody().call("identity.AccountService/VerifyEmail", proof).await.expect("the token is good");
        user_id
    }

    /// The token of a link that resets the password of the person at `email`, as the mail holds it.
    ///
    /// # Panics
    /// When a step is refused, or it was asked for in the last minute.
    pub async fn password_reset_token(&self, email: &str) -> String {
        self.nobody().call("identity.AccountService/RequestPasswordReset", json!({"email": email})).await.expect("anybody may ask");
        self.settle().await;
        let of_reset = |event: &LoggedEvent| event.envelope.as_ref().is_some_and(|told| told.r#type == PasswordResetRequested::full_name());
        let event = self.events("identity").await.into_iter().rfind(of_reset).expect("it was asked for");
        let asked = PasswordResetRequested::decode(event.body.as_ref()).expect("the event can be read");
        let mail = json!({"userId": asked.user_id, "link": "LINK_RESET_PASSWORD", "linkId": asked.password_reset_id});
        let answer = self.service("notifications").call("identity.RecipientService/ResolveRecipient", mail).await;
        text(&answer.expect("the mail is sent"), "linkToken")
    }

    /// The token in the mail that makes `email` the address of `name`, who has everybody's password.
    ///
    /// # Panics
    /// When a step is refused.
    pub async fn email_change_token(&self, name: &str, email: &str) -> String {
        self.email_change_token_of(&self.sign_in(name).await, seed::PASSWORD, email).await
    }

    /// The same of somebody with `password`.
    ///
    /// # Panics
    /// When a step is refused.
    pub async fn email_change_token_of(&self, person: &Actor, password: &str, email: &str) -> String {
        let wanted = json!({"email": email, "currentPassword": password});
        person.call("identity.AccountService/RequestEmailChange", wanted).await.expect("who knows the password may ask");
        self.settle().await;
        let of_change = |event: &LoggedEvent| event.envelope.as_ref().is_some_and(|told| told.r#type == EmailChangeRequested::full_name());
        let event = self.events("identity").await.into_iter().rfind(of_change).expect("it was asked for");
        let asked = EmailChangeRequested::decode(event.body.as_ref()).expect("the event can be read");
        let mail = json!({"userId": asked.user_id, "link": "LINK_CHANGE_EMAIL", "linkId": asked.email_change_id});
        let answer = self.service("notifications").call("identity.RecipientService/ResolveRecipient", mail).await;
        text(&answer.expect("the mail is sent"), "linkToken")
    }

    /// The token in the mail of an invitation.
    ///
    /// # Panics
    /// When there is no mail to send.
    pub async fn invitation_token(&self, invitation_id: &str) -> String {
        let mail = json!({"invitationId": invitation_id, "link": "LINK_ACCEPT_INVITATION"});
        let answer = self.service("notifications").call("identity.RecipientService/ResolveRecipient", mail).await;
        text(&answer.expect("the mail is sent"), "linkToken")
    }

    /// The user at an address, as the system admin finds it.
    ///
    /// # Panics
    /// When there is none.
    pub async fn user_id(&self, email: &str) -> String {
        let admin = self.sign_in(seed::ADMIN).await;
        let found = admin.call("identity.UserService/ListUsers", json!({"filter": format!("email = \"{email}\"")})).await;
        let user_id = text(&found.expect("the admin lists users"), "users.0.userId");
        assert!(!user_id.is_empty(), "there is no {email}");
        user_id
    }

    /// Waits until everything that happened so far has happened everywhere: events published and taken, permissions replicated.
    ///
    /// # Panics
    /// When that takes longer than a minute.
    pub async fn settle(&self) {
        let began = Instant::now();
        loop {
            let Some(restless) = self.restless().await else { return };
            assert!(began.elapsed() < AT_MOST, "the suite does not come to rest: {restless}");
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// What is still on its way; `None` at rest.
    async fn restless(&self) -> Option<String> {
        let mut permissions_head = 0;
        for (service, ..) in migrate::SCHEMAS {
            let status = self.operator().call_at(service, "common.EventAdminService/GetEventStatus", json!({})).await;
            let status = status.expect("operators see the event log");
            let head = text(&status, "headPosition");
            if !text(&status, "outboxRows").is_empty() || head != text(&status, "publishedPosition") {
                return Some(format!("{service} has events to publish: {status}"));
            }
            if service == authorization::NAME {
                permissions_head = head.parse().unwrap_or(0);
            }
            for consumer in status["consumers"].as_array().into_iter().flatten() {
                // What is no longer consumed here, but has dead letters, does not say what is pending.
                let gone = text(consumer, "pending").is_empty() && !text(consumer, "deadLetters").is_empty();
                if text(consumer, "pending") != "0" && !gone {
                    return Some(format!("{service} has events to take: {consumer}"));
                }
            }
        }
        // In hand or about to be: what waits for a server to come back may wait for hours.
        let sending: i64 = sqlx::query_scalar("SELECT count(*) FROM notifications.delivery WHERE state IN (1, 2)")
            .fetch_one(&mut self.database().await)
            .await
            .expect("deliveries are counted");
        if sending > 0 {
            return Some(format!("notifications has {sending} mails to send"));
        }
        let decides = |running: &&Running| migrate::SCHEMAS.iter().any(|(name, ..)| *name == running.name());
        let behind = self.serving.running().iter().filter(decides).find(|running| running.authorizer().revision() < permissions_head)?;
        Some(format!("{} knows the permissions at {}, they are at {permissions_head}", behind.name(), behind.authorizer().revision()))
    }

    /// Every event of `service`, by position.
    ///
    /// # Panics
    /// When the log can't be read.
    pub async fn events(&self, service: &str) -> Vec<LoggedEvent> {
        let channel = rpc::client::channel(service, &format!("http://{}", self.places[service].admin_address), &self.operator);
        let mut client = EventAdminServiceClient::new(channel.expect("an address")).max_decoding_message_size(8 << 20);
        let (mut events, mut from_position) = (Vec::new(), 1);
        while from_position > 0 {
            let page = client.list_logged_events(ListLoggedEventsRequest { from_position, page_size: 1000 }).await;
            let page = page.expect("operators read the log").into_inner();
            events.extend(page.events);
            from_position = page.next_position;
        }
        events
    }

    /// The database, as its superuser.
    ///
    /// # Panics
    /// When it does not let the superuser in.
    pub async fn database(&self) -> PgConnection {
        PgConnection::connect(&self.stack.postgres_url("postgres", "muster")).await.expect("the superuser connects")
    }

    /// Makes the signing key that is next as old as it must be to sign.
    ///
    /// # Panics
    /// When the database does not take it.
    pub async fn age_signing_key(&self) {
        let aged = "UPDATE identity.signing_key SET create_time = create_time - interval '3 minutes' WHERE state = 1";
        sqlx::query(aged).execute(&mut self.database().await).await.expect("the key is made older");
    }

    /// Every message of `service` on the bus, in order.
    ///
    /// # Panics
    /// When the bus does not answer.
    pub async fn messages(&self, service: &str) -> Vec<jetstream::Message> {
        let context = jetstream::new(async_nats::connect(self.stack.nats_url()).await.expect("NATS answers"));
        let stream = context.get_stream(format!("MUSTER_{}", service.to_uppercase())).await.expect("the stream is there");
        let count = usize::try_from(stream.cached_info().state.messages).unwrap_or(0);
        let consumer = stream.create_consumer(pull::Config::default()).await.expect("a consumer");
        let messages = consumer.fetch().max_messages(count).messages().await.expect("messages");
        messages.map(|message| message.expect("a message")).collect().await
    }

    /// Stops everything, after a look at what the test leaves behind.
    ///
    /// # Panics
    /// When a background task died, an event is not published or not taken, a dead letter lies there, a transaction is open, or a process
    /// still runs.
    pub async fn finish(self) {
        if let Some(failure) = self.serving.failed().now_or_never() {
            panic!("a background task died: {failure}");
        }
        self.settle().await;
        let mut conn = self.database().await;
        for (_, schema, _) in migrate::SCHEMAS {
            let letters: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {schema}.dead_letter")))
                .fetch_one(&mut conn)
                .await
                .expect("dead letters are counted");
            assert_eq!(letters, 0, "{schema} has dead letters");
        }
        // Whoever is older than a second has been forgotten by its call: no call of a test holds one that long.
        let open: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND xact_start < now() - interval '1 second'",
        )
        .fetch_one(&mut conn)
        .await
        .expect("transactions are counted");
        assert_eq!(open, 0, "transactions are open");
        conn.close().await.expect("the superuser leaves");
        self.serving.stop().await;
        let servers = self.stack.pids();
        self.stack.stop().await;
        assert_eq!(devstack::left_behind(&servers), [""; 0], "processes are left behind");
    }

    fn peer_channel(&self, service: &str) -> rpc::client::Channel {
        rpc::client::channel(service, &format!("http://{}", self.address(service)), &self.operator).expect("an address")
    }
}

fn settings(stack: &Stack) -> Config {
    let mut config = Config::default();
    for port in [
        &mut config.gateway.port,
        &mut config.gateway.admin_port,
        &mut config.identity.port,
        &mut config.identity.admin_port,
        &mut config.authorization.port,
        &mut config.authorization.admin_port,
        &mut config.tasks.port,
        &mut config.tasks.admin_port,
        &mut config.audit.port,
        &mut config.audit.admin_port,
        &mut config.notifications.port,
        &mut config.notifications.admin_port,
    ] {
        *port = 0;
    }
    config.nats.url = stack.nats_url();
    config.database.url = Secret::from(stack.postgres_url("postgres", "muster").as_str());
    config.suite.key_directory = stack.dir().join("keys");
    // A story that asks twice does not wait a minute.
    config.identity.own.mail_cooldown_seconds = 0;
    // Everybody in a story registers from one address.
    config.identity.own.throttle.mails_per_address = 10_000;
    config.identity.own.first_admin.email = seed::ADMIN.to_owned();
    config.identity.own.first_admin.password = Secret::from(seed::PASSWORD);
    config
}

async fn migrate_all(stack: &Stack, config: &Config) {
    let admin = Secret::from(stack.postgres_url("postgres", "postgres").as_str());
    migrate::create_database(&admin, "muster").await.expect("the database is made");
    migrate::bootstrap(&config.database.url, &config.database).await.expect("roles and schemas are made");
    migrate::up(&config.database, &[]).await.expect("the schemas are migrated");
}
