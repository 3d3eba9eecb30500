//! Senders: they take what is due into hand, ask identity for the address, make the mail, send it, and say what became of it.
//!
//! What holds under a kill at any moment: a delivery is in hand by one lease token, written with its attempt before anything is done. Whoever
//! dies with it leaves it SENDING; when the lease is over it becomes UNKNOWN. Whoever comes back late finds another token, and writes nothing.
//! In the development mailbox mail and outcome are one commit, so there nothing is ever UNKNOWN but by a kill, and nothing comes twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use contract::identity::v1::recipient_service_client::RecipientServiceClient;
use contract::identity::v1::resolve_recipient_request::Subject;
use contract::identity::v1::{Link, ResolveRecipientRequest, ResolveRecipientResponse};
use contract::time::datetime;
use db::{Db, WorkTx};
use lettre::message::Mailbox;
use rand::Rng;
use rpc::Caller;
use rpc::client::Channel;
use runtime::{Ids, Shutdown};
use tokio::sync::Mutex;
use tonic::Code;

use super::store::{self, Claimed};
use super::{Delivery, Outcome, State};
use crate::mail::smtp::{Sent, Smtp};
use crate::mail::{Mail, Template, Templates, Unmade, shown};
use crate::rule::LINK_ID;
use crate::{Config, NAME, events, mailbox};

/// How far a wait is longer or shorter than said, so that what failed together does not come again together.
const JITTER: f64 = 0.2;

/// What all senders of a process share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Sender(Arc<Shared>);

struct Shared {
    db: Db,
    ids: Ids,
    recipients: RecipientServiceClient<Channel>,
    templates: Templates,
    /// The server that takes mails; without, they go into the development mailbox.
    smtp: Option<Smtp>,
    from: Mailbox,
    config: Config,
    /// Who looks for work: one at a time, so that an idle process asks the database once a while and not once for each sender.
    turn: Mutex<()>,
}

/// What came of an attempt.
struct Attempted {
    outcome: Outcome,
    smtp_code: Option<u16>,
    /// For the mailbox.
    mail: Option<Mail>,
}

impl From<Outcome> for Attempted {
    fn from(outcome: Outcome) -> Self {
        Attempted { outcome, smtp_code: None, mail: None }
    }
}

impl Sender {
    /// Sends by `config`; `recipients` says where people are reached.
    ///
    /// # Errors
    /// Templates that can't be read, a file of certificates that is none, an address to send from that is none.
    pub(crate) fn new(db: Db, ids: Ids, recipients: Channel, config: &Config) -> anyhow::Result<Self> {
        let smtp = if config.smtp.host.is_empty() { None } else { Some(Smtp::new(&config.smtp, config.senders)?) };
        let (recipients, templates, from) = (RecipientServiceClient::new(recipients), Templates::read()?, config.mail_from.parse()?);
        let (config, turn) = (config.clone(), Mutex::default());
        Ok(Sender(Arc::new(Shared { db, ids, recipients, templates, smtp, from, config, turn })))
    }

    /// Sends one delivery after the other until `shutdown`. What is in hand then is brought to its end.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        while let Some(claimed) = self.next(&shutdown).await {
            self.deliver(claimed).await;
        }
    }

    /// The next delivery that is due, in hand; `None` at the end.
    async fn next(&self, shutdown: &Shutdown) -> Option<Claimed> {
        let _turn = shutdown.or(self.0.turn.lock()).await?;
        while !shutdown.is_requested() {
            let lease_token = self.0.ids.next();
            let lease = self.0.config.lease();
            match self.0.db.work(async |tx: &mut WorkTx| store::claim(tx, lease_token, lease).await).await {
                Ok(Some(claimed)) => return Some(claimed),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "deliveries can't be looked for"),
            }
            shutdown.or(tokio::time::sleep(self.0.config.poll())).await?;
        }
        None
    }

    async fn deliver(&self, claimed: Claimed) {
        let attempted = if claimed.lapsed { Outcome::Unknown.into() } else { self.attempt(&claimed.delivery).await };
        let id = claimed.delivery.delivery_id;
        match self.settle(&claimed, attempted).await {
            Ok(Some(state)) => {
                metrics::counter!("muster_deliveries_total", "service" => NAME, "state" => state.label()).increment(1);
                if matches!(state, State::Dead | State::Unknown) {
                    tracing::warn!(delivery_id = %id, state = state.label(), "a delivery failed");
                }
            }
            Ok(None) => tracing::warn!(delivery_id = %id, "a delivery was in hand for longer than its lease"),
            // It stays in hand until the lease is over.
            Err(error) => tracing::warn!(delivery_id = %id, %error, "what became of a delivery can't be written"),
        }
    }

    async fn attempt(&self, delivery: &Delivery) -> Attempted {
        let recipient = match self.resolve(delivery).await {
            Ok(recipient) => recipient,
            Err(status) if status.code() == Code::NotFound => return Outcome::Obsolete.into(),
            Err(status) => {
                tracing::warn!(delivery_id = %delivery.delivery_id, code = ?status.code(), "identity does not say where a person is reached");
                return Outcome::PutOff.into();
            }
        };
        let made = self.compose(delivery, recipient).and_then(|mail| {
            let message = mail.message(&self.0.from, delivery.delivery_id.uuid(), self.0.db.clock().now())?;
            Ok((mail, message))
        });
        let (mail, message) = match made {
            Ok(made) => made,
            Err(error) => {
                tracing::error!(delivery_id = %delivery.delivery_id, %error, "a mail can't be made");
                return Outcome::Refused.into();
            }
        };
        let Some(smtp) = &self.0.smtp else { return Attempted { mail: Some(mail), ..Outcome::Sent.into() } };
        let (outcome, smtp_code) = match smtp.send(&message).await {
            Sent::Taken(code) => (Outcome::Sent, Some(code)),
            Sent::PutOff(code) => (Outcome::PutOff, code),
            Sent::Refused(code) => (Outcome::Refused, Some(code)),
            Sent::Unknown => (Outcome::Unknown, None),
        };
        Attempted { outcome, smtp_code, mail: None }
    }

    async fn resolve(&self, delivery: &Delivery) -> Result<ResolveRecipientResponse, tonic::Status> {
        let link = match delivery.template {
            Template::VerifyEmail => Link::VerifyEmail,
            Template::ResetPassword => Link::ResetPassword,
            Template::Invitation => Link::AcceptInvitation,
            Template::ChangeEmail => Link::ChangeEmail,
            Template::EmailChanged => Link::EmailChanged,
            Template::PasswordChanged | Template::SignIn | Template::Assigned | Template::StatusChanged => Link::Unspecified,
        };
        let recipient = delivery.recipient_id.to_string();
        let subject = if delivery.template == Template::Invitation { Subject::InvitationId(recipient) } else { Subject::UserId(recipient) };
        let link_id = delivery.data.get(LINK_ID).cloned().unwrap_or_default();
        let request = ResolveRecipientRequest { subject: Some(subject), link: link.into(), link_id };
        Ok(self.0.recipients.clone().resolve_recipient(request).await?.into_inner())
    }

    fn compose(&self, delivery: &Delivery, recipient: ResolveRecipientResponse) -> Result<Mail, Unmade> {
        let mut values: BTreeMap<String, String> = delivery.data.0.clone();
        let base = self.0.config.link_base_url.trim_end_matches('/');
        let link = match delivery.template {
            // Behind `#`, so that the token stays out of the logs of whoever serves the page.
            Template::VerifyEmail => format!("{base}/verify-email#token={}", recipient.link_token),
            Template::ResetPassword => format!("{base}/reset-password#token={}", recipient.link_token),
            Template::Invitation => format!("{base}/accept-invitation#token={}", recipient.link_token),
            Template::ChangeEmail => format!("{base}/change-email#token={}", recipient.link_token),
            Template::PasswordChanged => format!("{base}/forgot-password"),
            Template::EmailChanged => format!("{base}/support"),
            Template::SignIn => format!("{base}/sessions"),
            Template::Assigned | Template::StatusChanged => {
                format!("{base}/work-items/{}", values.get("work_item_id").map_or("", String::as_str))
            }
        };
        values.insert("link".to_owned(), link);
        values.insert("display_name".to_owned(), recipient.display_name.clone());
        values.insert("organization_display_name".to_owned(), recipient.organization_display_name);
        if let Some(time) = recipient.link_expire_time.as_ref().and_then(datetime) {
            values.insert("expire_time".to_owned(), shown(time));
        }
        let filled = self.0.templates.fill(delivery.template, &values)?;
        let (to, name) = (recipient.email, recipient.display_name);
        Ok(Mail { to, name, subject: filled.subject, text: filled.text, html: filled.html })
    }

    /// Writes what became of it, and tells; `None` when it is in other hands by now.
    async fn settle(&self, claimed: &Claimed, attempted: Attempted) -> Result<Option<State>, db::Error> {
        let before = &claimed.delivery;
        let caller = Caller::background(NAME, before.organization_id, None);
        let wait = self.wait(before);
        let write = self.0.db.write_unrecorded(&caller, async |tx| {
            let after = before.settled(attempted.outcome, wait, tx.now());
            if !store::settle(tx, &after, claimed.lease_token, attempted.outcome, attempted.smtp_code).await? {
                return Ok::<_, db::Error>(None);
            }
            if let Some(mail) = &attempted.mail {
                mailbox::store::insert(tx, self.0.ids.next_id(), &after, mail).await?;
            }
            match after.state {
                State::Sent => tx.emit(events::sent(before, &after)),
                State::Dead | State::Unknown => tx.emit(events::failed(before, &after)),
                _ => {}
            }
            Ok(Some(after.state))
        });
        let state = write.await?;
        if state.is_some() && attempted.mail.is_some() {
            let kept = self.0.config.mailbox_max;
            self.0.db.work(async |tx: &mut WorkTx| mailbox::store::forget(tx, kept).await).await?;
        }
        Ok(state)
    }

    fn wait(&self, delivery: &Delivery) -> Duration {
        let before = delivery.attempt_limit - self.0.config.attempt_max;
        let wait = self.0.config.retry_delay(delivery.attempt_count - before.max(0));
        wait.mul_f64(rand::rng().random_range(1.0 - JITTER..=1.0 + JITTER))
    }
}
