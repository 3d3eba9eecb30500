//! Who must hear of it: the notifications service.
//!
//! It takes the events of the other services, decides by a few rules who is told of what, keeps an inbox for each person and sends mail. Nobody
//! calls it on the way of a request.
//!
//! [`build`] is all the wiring: read it first.

mod category;
mod config;
mod delivery;
mod device;
mod error;
mod events;
mod inbox;
mod mail;
mod mailbox;
mod notice;
mod preference;
mod retention;
mod rule;

use contract::notifications::v1::delivery_service_server::DeliveryServiceServer;
use contract::notifications::v1::inbox_service_server::InboxServiceServer;
use contract::notifications::v1::mailbox_service_server::MailboxServiceServer;
use contract::notifications::v1::preference_service_server::PreferenceServiceServer;

pub use config::{Config, Security, SmtpConfig};
use delivery::mailer::Mailer;
use delivery::poke::Poke;
use delivery::sender::Sender;

/// The service's name.
pub const NAME: &str = "notifications";

/// Its schema.
pub const SCHEMA: &str = "notifications";

/// Its migrations, after those of `shared/db`.
pub static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!();

/// Who says where people are reached.
const IDENTITY: &str = "identity";

/// Wires the service: inboxes, deliveries, the mailbox and preferences to serve, the events of others to take in, senders and retention at work.
///
/// # Errors
/// A setting of mail that is none; an address of identity that is none.
pub async fn build(deps: &host::Deps, config: &Config) -> anyhow::Result<host::Service> {
    let inbox = inbox::ops::Ops::new(deps.db.clone());
    let watcher = inbox::watch::Watcher::new(deps.log.clone(), deps.db.sealer().clone(), config.clone());
    let poke = Poke::default();
    let taken = deps.log.inbox(events::CONSUMER, events::SOURCES);
    let teller = events::Teller::new(deps.ids.clone(), poke.clone(), config);
    deps.tasks.spawn("notifications inbox", taken.run(teller, deps.tasks.shutdown().clone()));
    let mailer = Mailer::new(deps.peers.channel(IDENTITY)?, deps.clock.clone(), config)?;
    let sender = Sender::new(deps.db.clone(), deps.ids.clone(), mailer, poke.clone(), config);
    for _ in 0..config.senders {
        deps.tasks.spawn("sender", sender.clone().run(deps.tasks.shutdown().clone()));
    }
    deps.tasks.spawn("retention", retention::run(deps.db.clone(), config.clone(), deps.tasks.shutdown().clone()));
    let deliveries = delivery::ops::Ops::new(deps.db.clone(), poke, config.attempt_max);
    let mailbox = mailbox::ops::Ops::new(deps.db.clone(), config.smtp.host.is_empty());
    Ok(host::Service::new(NAME)
        .add(InboxServiceServer::new(inbox::grpc::Grpc::new(inbox, watcher)))
        .add(DeliveryServiceServer::new(delivery::grpc::Grpc::new(deliveries)))
        .add(MailboxServiceServer::new(mailbox::grpc::Grpc::new(mailbox)))
        .add(PreferenceServiceServer::new(preference::grpc::Grpc::new(preference::ops::Ops::new(deps.db.clone())))))
}
