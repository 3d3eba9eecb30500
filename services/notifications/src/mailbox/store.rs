//! SQL of the development mailbox, and the sealing of what is personal in it.

use db::{Column, Cursor, Filter, Kind, Page, PageRequest, Sealer, Tx, WorkTx};
use sqlx::{Postgres, QueryBuilder};

use super::{Content, Kept, MailId};
use crate::delivery::Delivery;
use crate::mail::Mail;

const CONTENT: &str = "notifications.mail.content";
const TO: &str = "notifications.mail.to";

/// What a filter may name. The address is found as a whole, by its blind index.
pub(crate) static COLUMNS: &[Column] = &[
    Column::new("to", "to_index", Kind::Blind),
    Column::new("template", "template", Kind::Text),
    Column::new("delivery_id", "delivery_id", Kind::Uuid),
    Column::new("create_time", "create_time", Kind::Time),
];

/// The blind index of an address: equal for addresses that differ in case or surrounding blanks alone.
pub(crate) fn to_index(sealer: &Sealer, to: &str) -> [u8; 32] {
    sealer.blind_index(TO, &to.trim().to_lowercase())
}

/// Puts a mail into the box.
pub(crate) async fn insert(tx: &mut Tx, mail_id: MailId, delivery: &Delivery, mail: &Mail) -> db::Result<()> {
    let content = Content { to: mail.to.clone(), subject: mail.subject.clone(), text: mail.text.clone(), html: mail.html.clone() };
    let plain = serde_json::to_vec(&content).unwrap_or_default();
    let sealer = tx.db().sealer();
    let (sealed, to_index) = (sealer.seal(CONTENT, mail_id.uuid().as_bytes(), &plain), to_index(sealer, &mail.to));
    sqlx::query!(
        "INSERT INTO notifications.mail (organization_id, mail_id, delivery_id, template, to_index, content, create_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        delivery.organization_id as _,
        mail_id as _,
        delivery.delivery_id as _,
        delivery.template.name(),
        to_index.as_slice(),
        sealed,
        delivery.update_time,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Lets all but the `kept` newest mails go.
pub(crate) async fn forget(tx: &mut WorkTx, kept: i64) -> db::Result<()> {
    sqlx::query!(
        "DELETE FROM notifications.mail WHERE (create_time, mail_id) <=
             (SELECT create_time, mail_id FROM notifications.mail ORDER BY create_time DESC, mail_id DESC OFFSET $1 LIMIT 1)",
        kept,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// One mail of any organization.
pub(crate) async fn get(tx: &mut Tx, id: MailId) -> db::Result<Option<Kept>> {
    let kept = sqlx::query_as!(
        Kept,
        r#"SELECT organization_id AS "organization_id: _", mail_id AS "mail_id: _", delivery_id AS "delivery_id: _", template, content, create_time
           FROM notifications.mail WHERE mail_id = $1"#,
        id as _,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(kept)
}

/// A page of mails of every organization, newest first.
pub(crate) async fn list(tx: &mut Tx, filter: &Filter, page: &PageRequest) -> db::Result<Page<Kept>> {
    let mut query = QueryBuilder::<Postgres>::new(
        "SELECT organization_id, mail_id, delivery_id, template, content, create_time FROM notifications.mail WHERE true",
    );
    filter.push(&mut query);
    page.push(&mut query);
    let rows = query.build_query_as::<Kept>().fetch_all(tx.conn()).await?;
    Ok(page.finish(rows, |mail| Cursor::time(mail.create_time, mail.mail_id)))
}

/// What a mail says; empty when it no longer opens, under another key say.
pub(crate) fn open(sealer: &Sealer, kept: &Kept) -> Content {
    let opened = sealer.open(CONTENT, kept.mail_id.uuid().as_bytes(), &kept.content).ok();
    opened.and_then(|plain| serde_json::from_slice(&plain).ok()).unwrap_or_default()
}
