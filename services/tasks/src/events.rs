//! Events of tasks: what changed, with the item before and after. Tasks takes in no other service's events.

use contract::tasks::v1 as pb;
use contract::tasks::v1::WorkItemChangeKind as Kind;
use events::{Filter, Logged, Outcome};
use runtime::OrganizationId;

use crate::product::Product;
use crate::work_item::WorkItem;

/// A product was created.
pub fn product_created(product: &Product) -> pb::ProductCreated {
    pb::ProductCreated { product_id: product.product_id.to_string(), after: Some(product.into()) }
}

/// An item was created.
pub fn created(item: &WorkItem) -> pb::WorkItemCreated {
    pb::WorkItemCreated { work_item_id: item.work_item_id.to_string(), after: Some(item.into()) }
}

/// An item was changed.
pub fn updated(before: &WorkItem, after: &WorkItem) -> pb::WorkItemUpdated {
    pb::WorkItemUpdated { work_item_id: after.work_item_id.to_string(), before: Some(before.into()), after: Some(after.into()) }
}

/// An item was moved to another state.
pub fn transitioned(before: &WorkItem, after: &WorkItem) -> pb::WorkItemTransitioned {
    pb::WorkItemTransitioned { work_item_id: after.work_item_id.to_string(), before: Some(before.into()), after: Some(after.into()) }
}

/// An item was deleted.
pub fn deleted(before: &WorkItem, after: &WorkItem) -> pb::WorkItemDeleted {
    pb::WorkItemDeleted { work_item_id: after.work_item_id.to_string(), before: Some(before.into()), after: Some(after.into()) }
}

/// An item was restored.
pub fn undeleted(before: &WorkItem, after: &WorkItem) -> pb::WorkItemUndeleted {
    pb::WorkItemUndeleted { work_item_id: after.work_item_id.to_string(), before: Some(before.into()), after: Some(after.into()) }
}

/// The events of our log that a watcher of an organization's items may be told.
pub fn of_work_items(organization_id: OrganizationId) -> Filter {
    Filter::all()
        .of_organization(organization_id)
        .of_type::<pb::WorkItemCreated>()
        .of_type::<pb::WorkItemUpdated>()
        .of_type::<pb::WorkItemTransitioned>()
        .of_type::<pb::WorkItemDeleted>()
        .of_type::<pb::WorkItemUndeleted>()
}

/// What an event of an item says to a watcher; `None` for any other event.
///
/// # Errors
/// [`Outcome::Poison`] for a body that is not what its type says.
pub fn change(event: &Logged) -> Result<Option<pb::WorkItemChange>, Outcome> {
    let (kind, after) = if let Some(body) = event.of::<pb::WorkItemCreated>()? {
        (Kind::Created, body.after)
    } else if let Some(body) = event.of::<pb::WorkItemUpdated>()? {
        (Kind::Updated, body.after)
    } else if let Some(body) = event.of::<pb::WorkItemTransitioned>()? {
        (Kind::Transitioned, body.after)
    } else if let Some(body) = event.of::<pb::WorkItemDeleted>()? {
        (Kind::Deleted, body.after)
    } else if let Some(body) = event.of::<pb::WorkItemUndeleted>()? {
        (Kind::Undeleted, body.after)
    } else {
        return Ok(None);
    };
    let work_item = after.ok_or_else(|| Outcome::Poison("the event lacks the item it tells of".to_owned()))?;
    let actor_id = event.envelope.actor.as_ref().map(|actor| actor.actor_id.clone()).unwrap_or_default();
    Ok(Some(pb::WorkItemChange {
        kind: kind.into(),
        work_item: Some(work_item),
        event_id: event.envelope.event_id.clone(),
        create_time: event.envelope.create_time,
        actor_id,
    }))
}
