//! The development mailbox: where mails go while no SMTP server is configured, so that a link in one can be followed.
//!
//! Deliberately absent: marking, deleting, answering. The newest mails stay, the oldest go.

pub(crate) mod grpc;
pub(crate) mod ops;
pub(crate) mod store;

use runtime::{OrganizationId, id_type};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::delivery::DeliveryId;

id_type! { pub(crate) struct MailId; "Names a mail of the development mailbox." }

/// A row of `notifications.mail`, still sealed.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct Kept {
    /// Where it happened.
    pub organization_id: OrganizationId,
    /// Its name.
    pub mail_id: MailId,
    /// What it was made for.
    pub delivery_id: DeliveryId,
    /// What it was made by.
    pub template: String,
    /// [`Content`], sealed.
    pub content: Vec<u8>,
    /// When it was written.
    pub create_time: OffsetDateTime,
}

/// What is personal of a mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Content {
    /// The address.
    pub to: String,
    /// In one line.
    pub subject: String,
    /// Plain.
    pub text: String,
    /// HTML.
    pub html: String,
}
