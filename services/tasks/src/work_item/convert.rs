//! Work items on the wire and back. What the contract's rules can't say is checked here.

use std::str::FromStr;

use contract::tasks::v1 as pb;
use contract::time::{datetime, timestamp};
use prost_types::Timestamp;
use time::OffsetDateTime;

use super::list::Wanted;
use super::{Change, DESCRIPTION_BYTES_MAX, Effort, Kind, NewWorkItem, Priority, State, WorkItem, WorkItemId};
use crate::error::Error;

/// The id in the field `field`.
///
/// # Errors
/// `FIELD_VIOLATION`; the contract's rules refuse it first where they can.
pub fn id<T: FromStr>(field: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| invalid(field, "string.uuid", "must be a UUID"))
}

fn invalid(field: &str, rule: &'static str, description: &str) -> Error {
    rpc::Error::invalid_field(field, rule, description).into()
}

impl From<&WorkItem> for pb::WorkItem {
    fn from(item: &WorkItem) -> Self {
        pb::WorkItem {
            work_item_id: item.work_item_id.to_string(),
            workspace_id: item.workspace_id.to_string(),
            product_id: item.product_id.to_string(),
            key: item.key.clone(),
            parent_id: item.parent_id.map(String::from).unwrap_or_default(),
            r#type: i32::from(item.r#type as i16),
            title: item.title.clone(),
            description: item.description.clone(),
            state: i32::from(item.state as i16),
            priority: i32::from(item.priority as i16),
            effort: i32::from(item.effort as i16),
            assignee_ids: item.assignee_ids.iter().map(ToString::to_string).collect(),
            reporter_id: item.reporter_id.to_string(),
            labels: item.labels.clone(),
            due_time: item.due_time.map(timestamp),
            etag: item.etag(),
            create_time: Some(timestamp(item.create_time)),
            update_time: Some(timestamp(item.update_time)),
            delete_time: item.delete_time.map(timestamp),
        }
    }
}

impl TryFrom<pb::CreateWorkItemRequest> for NewWorkItem {
    type Error = Error;

    fn try_from(request: pb::CreateWorkItemRequest) -> Result<Self, Error> {
        Ok(NewWorkItem {
            workspace_id: id("workspace_id", &request.workspace_id)?,
            product_id: id("product_id", &request.product_id)?,
            parent_id: optional_id("parent_id", &request.parent_id)?,
            r#type: kind(request.r#type()).unwrap_or(Kind::Task),
            priority: priority(request.priority()),
            effort: effort(request.effort()),
            title: title("title", request.title)?,
            description: description("description", request.description)?,
            assignee_ids: ids("assignee_ids", &request.assignee_ids)?,
            labels: distinct(request.labels),
            due_time: time("due_time", request.due_time.as_ref())?,
        })
    }
}

/// What an update of the item `work_item` by its mask changes.
///
/// # Errors
/// `UPDATE_MASK_EMPTY`, `FIELD_VIOLATION`.
pub fn change(request: pb::UpdateWorkItemRequest) -> Result<(WorkItemId, Change), Error> {
    let paths = request.update_mask.map(|mask| mask.paths).filter(|paths| !paths.is_empty()).ok_or(Error::UpdateMaskEmpty)?;
    let item = request.work_item.unwrap_or_default();
    let work_item_id = id("work_item.work_item_id", &item.work_item_id)?;
    let has = |field: &str| paths.iter().any(|path| path == field);
    let mut change = Change::default();
    if has("parent_id") {
        change.parent_id = Some(optional_id("work_item.parent_id", &item.parent_id)?);
    }
    if has("type") {
        let kind = kind(item.r#type()).ok_or_else(|| invalid("work_item.type", "enum.not_in", "must be said"))?;
        change.r#type = Some(kind);
    }
    if has("priority") {
        change.priority = Some(priority(item.priority()));
    }
    if has("effort") {
        change.effort = Some(effort(item.effort()));
    }
    if has("title") {
        change.title = Some(title("work_item.title", item.title)?);
    }
    if has("description") {
        change.description = Some(description("work_item.description", item.description)?);
    }
    if has("assignee_ids") {
        change.assignee_ids = Some(ids("work_item.assignee_ids", &item.assignee_ids)?);
    }
    if has("labels") {
        change.labels = Some(distinct(item.labels));
    }
    if has("due_time") {
        change.due_time = Some(time("work_item.due_time", item.due_time.as_ref())?);
    }
    Ok((work_item_id, change))
}

impl TryFrom<pb::ListWorkItemsRequest> for Wanted {
    type Error = Error;

    fn try_from(request: pb::ListWorkItemsRequest) -> Result<Self, Error> {
        Ok(Wanted {
            workspace_id: id("workspace_id", &request.workspace_id)?,
            filter: request.filter,
            order_by: request.order_by,
            show_deleted: request.show_deleted,
            count_total: request.count_total,
            page_size: request.page_size,
            page_token: request.page_token,
        })
    }
}

/// The state that a transition goes to.
///
/// # Errors
/// `FIELD_VIOLATION` when none is named; the contract's rules refuse that first.
pub fn state(state: pb::WorkItemState) -> Result<State, Error> {
    match state {
        pb::WorkItemState::Unspecified => Err(invalid("state", "enum.not_in", "must be said")),
        pb::WorkItemState::NotStarted => Ok(State::NotStarted),
        pb::WorkItemState::InProgress => Ok(State::InProgress),
        pb::WorkItemState::Blocked => Ok(State::Blocked),
        pb::WorkItemState::InReview => Ok(State::InReview),
        pb::WorkItemState::Completed => Ok(State::Completed),
        pb::WorkItemState::Cancelled => Ok(State::Cancelled),
    }
}

fn kind(kind: pb::WorkItemType) -> Option<Kind> {
    match kind {
        pb::WorkItemType::Unspecified => None,
        pb::WorkItemType::Epic => Some(Kind::Epic),
        pb::WorkItemType::Requirement => Some(Kind::Requirement),
        pb::WorkItemType::UserStory => Some(Kind::UserStory),
        pb::WorkItemType::Feature => Some(Kind::Feature),
        pb::WorkItemType::Component => Some(Kind::Component),
        pb::WorkItemType::Task => Some(Kind::Task),
        pb::WorkItemType::Subtask => Some(Kind::Subtask),
    }
}

fn priority(priority: pb::WorkItemPriority) -> Priority {
    match priority {
        pb::WorkItemPriority::Unspecified => Priority::Unspecified,
        pb::WorkItemPriority::Low => Priority::Low,
        pb::WorkItemPriority::Medium => Priority::Medium,
        pb::WorkItemPriority::High => Priority::High,
        pb::WorkItemPriority::Critical => Priority::Critical,
    }
}

fn effort(effort: pb::WorkItemEffort) -> Effort {
    match effort {
        pb::WorkItemEffort::Unspecified => Effort::Unspecified,
        pb::WorkItemEffort::Small => Effort::Small,
        pb::WorkItemEffort::Medium => Effort::Medium,
        pb::WorkItemEffort::Large => Effort::Large,
        pb::WorkItemEffort::ExtraLarge => Effort::ExtraLarge,
    }
}

fn title(field: &str, title: String) -> Result<String, Error> {
    if title.is_empty() {
        return Err(invalid(field, "string.min_len", "must be at least 1 character"));
    }
    if title.contains(['\n', '\r']) {
        return Err(invalid(field, "string.one_line", "must be one line"));
    }
    Ok(title)
}

fn description(field: &str, description: String) -> Result<String, Error> {
    if description.len() > DESCRIPTION_BYTES_MAX {
        return Err(invalid(field, "string.max_bytes", "must be at most 65536 bytes"));
    }
    Ok(description)
}

fn optional_id<T: FromStr>(field: &str, text: &str) -> Result<Option<T>, Error> {
    if text.is_empty() { Ok(None) } else { id(field, text).map(Some) }
}

fn ids<T: FromStr + PartialEq>(field: &str, texts: &[String]) -> Result<Vec<T>, Error> {
    let read = texts.iter().enumerate().map(|(index, text)| id(&format!("{field}[{index}]"), text));
    Ok(distinct(read.collect::<Result<_, _>>()?))
}

fn time(field: &str, time: Option<&Timestamp>) -> Result<Option<OffsetDateTime>, Error> {
    time.map(|time| datetime(time).ok_or_else(|| invalid(field, "timestamp", "must be a time of the years 1 to 9999"))).transpose()
}

/// Each value once, where it first stood.
fn distinct<T: PartialEq>(values: Vec<T>) -> Vec<T> {
    let mut kept = Vec::with_capacity(values.len());
    for value in values {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use prost_types::FieldMask;
    use rpc::Fault;
    use time::macros::datetime;
    use uuid::Uuid;

    use super::*;

    fn request() -> pb::CreateWorkItemRequest {
        let id = |number: u128| Uuid::from_u128(number).to_string();
        pb::CreateWorkItemRequest {
            workspace_id: id(1),
            product_id: id(2),
            title: "paint".to_owned(),
            assignee_ids: vec![id(3), id(4), id(3)],
            labels: vec!["a".to_owned(), "b".to_owned(), "a".to_owned()],
            ..pb::CreateWorkItemRequest::default()
        }
    }

    fn update(paths: &[&str], item: pb::WorkItem) -> Result<(WorkItemId, Change), Error> {
        let update_mask = Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() });
        let work_item = Some(pb::WorkItem { work_item_id: Uuid::from_u128(9).to_string(), ..item });
        change(pb::UpdateWorkItemRequest { work_item, update_mask, ..pb::UpdateWorkItemRequest::default() })
    }

    fn fields(error: Error) -> Vec<String> {
        error.violations().into_iter().map(|violation| format!("{} {}", violation.field, violation.rule)).collect()
    }

    #[test]
    fn a_new_item_is_a_task_unless_said_and_names_each_assignee_once() {
        let new = NewWorkItem::try_from(request()).unwrap();
        assert_eq!((new.r#type, new.parent_id, new.due_time), (Kind::Task, None, None));
        assert_eq!(new.assignee_ids, [Uuid::from_u128(3).into(), Uuid::from_u128(4).into()]);
        assert_eq!(new.labels, ["a", "b"]);
    }

    #[test]
    fn every_enum_of_the_contract_is_stored_under_its_number() {
        let item = |item: &NewWorkItem| (item.r#type as i32, item.priority as i32, item.effort as i32);
        for number in 1..=4 {
            let request = pb::CreateWorkItemRequest { r#type: number, priority: number, effort: number, ..request() };
            assert_eq!(item(&NewWorkItem::try_from(request).unwrap()), (number, number, number));
        }
        for number in 5..=7 {
            assert_eq!(kind(number.try_into().unwrap()).unwrap() as i32, number);
        }
        for number in 1..=6 {
            assert_eq!(state(number.try_into().unwrap()).unwrap() as i32, number);
        }
    }

    #[test]
    fn what_the_contract_cannot_say_is_refused_here() {
        let refused = |request| fields(NewWorkItem::try_from(request).unwrap_err());
        assert_eq!(refused(pb::CreateWorkItemRequest { title: "a\nb".to_owned(), ..request() }), ["title string.one_line"]);
        let long = pb::CreateWorkItemRequest { description: "é".repeat(32_769), ..request() };
        assert_eq!(refused(long), ["description string.max_bytes"]);
        let late = pb::CreateWorkItemRequest { due_time: Some(Timestamp { seconds: i64::MAX, nanos: 0 }), ..request() };
        assert_eq!(refused(late), ["due_time timestamp"]);
    }

    #[test]
    fn a_mask_changes_what_it_names_and_clears_what_is_empty() {
        let item = pb::WorkItem { title: "new".to_owned(), description: "not named".to_owned(), ..pb::WorkItem::default() };
        let (id, change) = update(&["title", "due_time", "parent_id", "labels"], item).unwrap();
        assert_eq!(id, Uuid::from_u128(9).into());
        let (due_time, parent_id) = (Some(None), Some(None));
        assert_eq!(change, Change { title: Some("new".to_owned()), due_time, parent_id, labels: Some(vec![]), ..Change::default() });
    }

    #[test]
    fn a_mask_of_nothing_and_a_value_that_no_item_has_are_refused() {
        assert!(matches!(update(&[], pb::WorkItem::default()), Err(Error::UpdateMaskEmpty)));
        assert_eq!(fields(update(&["title"], pb::WorkItem::default()).unwrap_err()), ["work_item.title string.min_len"]);
        assert_eq!(fields(update(&["type"], pb::WorkItem::default()).unwrap_err()), ["work_item.type enum.not_in"]);
    }

    #[test]
    fn an_item_goes_out_with_its_version_as_etag() {
        let new = NewWorkItem::try_from(request()).unwrap();
        let now = datetime!(2026-03-01 12:00 UTC);
        let item = WorkItem::new(Uuid::from_u128(5).into(), Uuid::from_u128(6).into(), Uuid::from_u128(7).into(), new, now);
        let wire = pb::WorkItem::from(&item);
        assert_eq!((&*wire.etag, &*wire.parent_id, wire.state()), ("1", "", pb::WorkItemState::NotStarted));
        assert_eq!(wire.create_time, Some(timestamp(now)));
        assert_eq!(wire.delete_time, None);
    }
}
