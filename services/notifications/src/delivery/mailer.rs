//! One attempt: asks identity for the address, makes the mail and brings it to its server. It writes nothing.

use std::collections::BTreeMap;

use contract::identity::v1::recipient_service_client::RecipientServiceClient;
use contract::identity::v1::resolve_recipient_request::Subject;
use contract::identity::v1::{Link, ResolveRecipientRequest, ResolveRecipientResponse};
use contract::time::datetime;
use lettre::message::Mailbox;
use rpc::client::Channel;
use runtime::{Clock, Shutdown};
use tonic::Code;

use super::{Delivery, Outcome};
use crate::Config;
use crate::mail::smtp::{Ready, Sent, Smtp};
use crate::mail::{Mail, Template, Templates, Unmade, shown};
use crate::notice::LINK_ID;

/// Makes mails and hands them over.
pub(crate) struct Mailer {
    recipients: RecipientServiceClient<Channel>,
    clock: Clock,
    templates: Templates,
    /// The server that takes mails; without, they go into the development mailbox.
    smtp: Option<Smtp>,
    from: Mailbox,
    link_base_url: String,
}

/// What came of an attempt.
#[derive(Debug)]
pub(crate) enum Attempted {
    /// It ended so, with what the server answered.
    Ended(Outcome, Option<u16>),
    /// It is for the development mailbox.
    Made(Box<Mail>),
    /// The process stops, and nothing was handed over.
    Left,
}

impl From<Outcome> for Attempted {
    fn from(outcome: Outcome) -> Self {
        Attempted::Ended(outcome, None)
    }
}

impl From<Sent> for Attempted {
    fn from(sent: Sent) -> Self {
        match sent {
            Sent::Taken(code) => Attempted::Ended(Outcome::Sent, Some(code)),
            Sent::PutOff(code) => Attempted::Ended(Outcome::PutOff, code),
            Sent::Refused(code) => Attempted::Ended(Outcome::Refused, Some(code)),
            Sent::Unknown => Attempted::Ended(Outcome::Unknown, None),
        }
    }
}

impl Mailer {
    /// Sends by `config`; `recipients` says where people are reached.
    ///
    /// # Errors
    /// Templates that can't be read, a file of certificates that is none, an address to send from that is none.
    pub(crate) fn new(recipients: Channel, clock: Clock, config: &Config) -> anyhow::Result<Self> {
        let smtp = if config.smtp.host.is_empty() { None } else { Some(Smtp::new(&config.smtp, config.senders)?) };
        let (recipients, templates, from) = (RecipientServiceClient::new(recipients), Templates::read()?, config.mail_from.parse()?);
        let link_base_url = config.link_base_url.trim_end_matches('/').to_owned();
        Ok(Mailer { recipients, clock, templates, smtp, from, link_base_url })
    }

    /// How many of `idle` senders may take a mail into hand: fewer while the server refuses us.
    pub(crate) fn room(&self, idle: usize) -> usize {
        self.smtp.as_ref().map_or(idle, |smtp| smtp.room(idle))
    }

    /// Everything up to where a server waits for the message of `delivery`. A wish to stop cuts it off: nothing was handed over.
    ///
    /// # Errors
    /// What became of the attempt where there is nothing to hand over, or it did not come so far.
    pub(crate) async fn prepare(&self, delivery: &Delivery, stop: &Shutdown) -> Result<Ready<'_>, Attempted> {
        stop.or(self.prepared(delivery)).await.unwrap_or(Err(Attempted::Left))
    }

    async fn prepared(&self, delivery: &Delivery) -> Result<Ready<'_>, Attempted> {
        let recipient = self.resolve(delivery).await.map_err(|status| match status.code() {
            Code::NotFound => Outcome::Obsolete,
            code => {
                tracing::warn!(delivery_id = %delivery.delivery_id, ?code, "identity does not say where a person is reached");
                Outcome::PutOff
            }
        })?;
        let made = self.compose(delivery, recipient).and_then(|mail| {
            let message = mail.message(&self.from, delivery.delivery_id.uuid(), self.clock.now())?;
            Ok((mail, message))
        });
        let (mail, message) = made.map_err(|error| {
            tracing::error!(delivery_id = %delivery.delivery_id, %error, "a mail can't be made");
            Outcome::Refused
        })?;
        match &self.smtp {
            Some(smtp) => Ok(smtp.begin(&message).await?),
            None => Err(Attempted::Made(Box::new(mail))),
        }
    }

    async fn resolve(&self, delivery: &Delivery) -> Result<ResolveRecipientResponse, tonic::Status> {
        let link = match delivery.template {
            Template::VerifyEmail => Link::VerifyEmail,
            Template::ResetPassword => Link::ResetPassword,
            Template::Invitation => Link::AcceptInvitation,
            Template::ChangeEmail => Link::ChangeEmail,
            Template::EmailChanged => Link::EmailChanged,
            Template::PasswordChanged
            | Template::FactorChanged
            | Template::SignIn
            | Template::SessionEnded
            | Template::Assigned
            | Template::StatusChanged => Link::Unspecified,
        };
        let recipient = delivery.recipient_id.to_string();
        let subject = if delivery.template == Template::Invitation { Subject::InvitationId(recipient) } else { Subject::UserId(recipient) };
        let link_id = delivery.data.get(LINK_ID).cloned().unwrap_or_default();
        let request = ResolveRecipientRequest { subject: Some(subject), link: link.into(), link_id };
        Ok(self.recipients.clone().resolve_recipient(request).await?.into_inner())
    }

    fn compose(&self, delivery: &Delivery, recipient: ResolveRecipientResponse) -> Result<Mail, Unmade> {
        let mut values: BTreeMap<String, String> = delivery.data.0.clone();
        let base = &self.link_base_url;
        let link = match delivery.template {
            // Behind `#`, so that the token stays out of the logs of whoever serves the page.
            Template::VerifyEmail => format!("{base}/verify-email#token={}", recipient.link_token),
            Template::ResetPassword => format!("{base}/reset-password#token={}", recipient.link_token),
            Template::Invitation => format!("{base}/accept-invitation#token={}", recipient.link_token),
            Template::ChangeEmail => format!("{base}/change-email#token={}", recipient.link_token),
            Template::PasswordChanged | Template::SessionEnded => format!("{base}/forgot-password"),
            Template::EmailChanged => format!("{base}/support"),
            Template::FactorChanged => format!("{base}/factors"),
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
        let filled = self.templates.fill(delivery.template, &values)?;
        let (to, name) = (recipient.email, recipient.display_name);
        Ok(Mail { to, name, subject: filled.subject, text: filled.text, html: filled.html })
    }
}
