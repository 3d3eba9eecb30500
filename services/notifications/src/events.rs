//! Events: what notifications tells of inboxes and deliveries, and how it takes in what others tell.

use contract::notifications::v1 as pb;
use contract::notifications::v1::InboxChangeKind as Kind;
use contract::time::timestamp;
use events::{Filter, Handler, Logged, Outcome, Received};
use runtime::{Ids, OrganizationId, UserId};
use time::OffsetDateTime;

use crate::Config;
use crate::category::Category;
use crate::delivery::{self, Addressed, Channel, Delivery, poke::Poke};
use crate::device::{self, Device, Sighting};
use crate::inbox::{InboxItem, store};
use crate::notice::Letter;
use crate::preference::{self, Preferences};
use crate::rule;

/// The name of its durable consumer.
pub(crate) const CONSUMER: &str = "notifications";

/// The services whose events are taken in.
pub(crate) const SOURCES: &[&str] = &["identity", "tasks"];

/// Tells people of what happened, in the transaction that marks the event as taken.
pub(crate) struct Teller {
    ids: Ids,
    poke: Poke,
    config: Config,
}

impl Teller {
    /// By `config`, with ids of `ids` for what is new; `poke` wakes who sends mails.
    pub(crate) fn new(ids: Ids, poke: Poke, config: &Config) -> Self {
        Teller { ids, poke, config: config.clone() }
    }

    /// A mail of `letter`, unless there is one of the event to the person.
    async fn mail(&self, tx: &mut db::Tx, to: Addressed, letter: Letter) -> db::Result<()> {
        let delivery = Delivery::new(self.ids.next_id(), to, letter, self.config.attempt_max, tx.now());
        if delivery::store::insert(tx, &delivery).await? {
            self.poke.after(tx);
        }
        Ok(())
    }

    /// Notes the device that an event shows; true for a sign-in from a known one, of which nobody is told. That is the common case, and it
    /// costs this one statement.
    async fn is_familiar(&self, tx: &mut db::Tx, event: &Logged) -> Result<bool, Outcome> {
        let (user_id, signed_in) = match rule::sighting(event)? {
            None => return Ok(false),
            Some(Sighting::SignedIn(user_id)) => (user_id, true),
            Some(Sighting::Registered(user_id)) => (user_id, false),
            Some(Sighting::PasswordReset(user_id)) => {
                device::store::forget_all(tx, user_id).await?;
                return Ok(false);
            }
            Some(Sighting::PasswordChanged(user_id)) => {
                device::store::forget_all(tx, user_id).await?;
                (user_id, false)
            }
        };
        let envelope = &event.envelope;
        let device = Device::of(tx.db().sealer(), user_id, &envelope.client_address, &envelope.user_agent);
        let Some(device) = device else { return Ok(false) };
        let known = device::store::note(tx, &device, tx.now() - self.config.known_device_age()).await?;
        if !known {
            device::store::keep_newest(tx, &device, self.config.known_devices_per_user).await?;
        }
        Ok(known && signed_in)
    }
}

impl Handler for Teller {
    async fn handle(&self, tx: &mut db::Tx, event: &Received) -> Result<(), Outcome> {
        let (organization_id, event_id, now) = (tx.organization_id(), event.event_id(), tx.now());
        if self.is_familiar(tx, event).await? {
            return Ok(());
        }
        if let Some((recipient_id, letter)) = rule::invited(event)? {
            let to = Addressed { organization_id, recipient_id, event_id, category: Category::Account };
            self.mail(tx, to, letter).await?;
        }
        let notices = rule::notices(event)?;
        let may_choose = notices.iter().filter(|notice| !notice.category.is_mandatory());
        let people: Vec<UserId> = may_choose.map(|notice| notice.user_id).collect();
        let chosen = if people.is_empty() { Vec::new() } else { preference::store::of(tx, &people).await? };
        for notice in notices {
            let preferences = Preferences::of(notice.user_id, &chosen);
            let line = notice.line.as_ref().filter(|_| preferences.allow(notice.category, Channel::InApp));
            if let Some(line) = line {
                let item = InboxItem::new(self.ids.next_id(), organization_id, event_id, &notice, line, now);
                if store::insert(tx, &item).await? {
                    tx.emit(created(&item));
                }
            }
            if let Some(letter) = notice.letter.filter(|_| preferences.allow(notice.category, Channel::Email)) {
                let to = Addressed { organization_id, recipient_id: notice.user_id.uuid(), event_id, category: notice.category };
                self.mail(tx, to, letter).await?;
            }
        }
        Ok(())
    }

    fn wants(&self, type_name: &str) -> bool {
        rule::wants(type_name)
    }
}

/// An item came.
pub(crate) fn created(item: &InboxItem) -> pb::InboxItemCreated {
    pb::InboxItemCreated { inbox_item_id: item.inbox_item_id.to_string(), after: Some(item.into()) }
}

/// An item was read.
pub(crate) fn read(before: &InboxItem, after: &InboxItem, log: OrganizationId) -> pb::InboxItemRead {
    pb::InboxItemRead { inbox_item_id: after.inbox_item_id.to_string(), before: Some(told(before, log)), after: Some(told(after, log)) }
}

/// An item was put away.
pub(crate) fn archived(before: &InboxItem, after: &InboxItem, log: OrganizationId) -> pb::InboxItemArchived {
    pb::InboxItemArchived { inbox_item_id: after.inbox_item_id.to_string(), before: Some(told(before, log)), after: Some(told(after, log)) }
}

/// All was read.
pub(crate) fn all_read(user_id: UserId, read_count: u64, now: OffsetDateTime) -> pb::InboxRead {
    let read_count = i64::try_from(read_count).unwrap_or(i64::MAX);
    pb::InboxRead { user_id: user_id.to_string(), read_count, read_time: Some(timestamp(now)) }
}

/// The other end took it.
pub(crate) fn sent(before: &Delivery, after: &Delivery) -> pb::DeliverySent {
    pb::DeliverySent { delivery_id: after.delivery_id.to_string(), before: Some(before.into()), after: Some(after.into()) }
}

/// It did not get through, or nobody can tell.
pub(crate) fn failed(before: &Delivery, after: &Delivery) -> pb::DeliveryFailed {
    pb::DeliveryFailed { delivery_id: after.delivery_id.to_string(), before: Some(before.into()), after: Some(after.into()) }
}

/// An admin had it sent once more.
pub(crate) fn redriven(before: &Delivery, after: &Delivery) -> pb::DeliveryRedriven {
    pb::DeliveryRedriven { delivery_id: after.delivery_id.to_string(), before: Some(before.into()), after: Some(after.into()) }
}

/// A person chose.
pub(crate) fn preferences_updated(user_id: UserId, before: &Preferences, after: &Preferences) -> pb::PreferencesUpdated {
    pb::PreferencesUpdated { user_id: user_id.to_string(), before: Some(before.into()), after: Some(after.into()) }
}

/// An item as it may stand in the log of an organization: one of no organization without its words, which are nobody's business there.
fn told(item: &InboxItem, log: OrganizationId) -> pb::InboxItem {
    let told = pb::InboxItem::from(item);
    if item.organization_id == log { told } else { pb::InboxItem { title: String::new(), text: String::new(), ..told } }
}

/// The events that a watcher may be told. Of every organization: an item of no organization may have been read from within any.
pub(crate) fn of_inboxes() -> Filter {
    Filter::all()
        .of_type::<pb::InboxItemCreated>()
        .of_type::<pb::InboxItemRead>()
        .of_type::<pb::InboxItemArchived>()
        .of_type::<pb::InboxRead>()
}

/// What an event says to `user_id`, who watches from within `organization_id`; `None` for what is not theirs or happened elsewhere.
///
/// # Errors
/// [`Outcome::Poison`] for a body that is not what its type says.
pub(crate) fn change(event: &Logged, user_id: UserId, organization_id: OrganizationId) -> Result<Option<pb::InboxChange>, Outcome> {
    let mut of = String::new();
    let (kind, item) = if let Some(body) = event.of::<pb::InboxItemCreated>()? {
        (Kind::Created, body.after)
    } else if let Some(body) = event.of::<pb::InboxItemRead>()? {
        (Kind::Read, body.after)
    } else if let Some(body) = event.of::<pb::InboxItemArchived>()? {
        (Kind::Archived, body.after)
    } else if let Some(body) = event.of::<pb::InboxRead>()? {
        if body.user_id != user_id.to_string() {
            return Ok(None);
        }
        // From within another organization it read what is shown here too: what belongs to none.
        of = if event.organization_id() == organization_id { organization_id } else { OrganizationId::SYSTEM }.to_string();
        (Kind::AllRead, None)
    } else {
        return Ok(None);
    };
    let here = [organization_id, OrganizationId::SYSTEM].map(|id| id.to_string());
    if item.as_ref().is_some_and(|item| item.user_id != user_id.to_string() || !here.contains(&item.organization_id)) {
        return Ok(None);
    }
    let (event_id, create_time) = (event.envelope.event_id.clone(), event.envelope.create_time);
    Ok(Some(pb::InboxChange { kind: kind.into(), inbox_item: item, event_id, create_time, organization_id: of }))
}
