//! Inbox items on the wire.

use contract::notifications::v1 as pb;
use contract::time::timestamp;

use super::InboxItem;

impl From<&InboxItem> for pb::InboxItem {
    fn from(item: &InboxItem) -> Self {
        pb::InboxItem {
            inbox_item_id: item.inbox_item_id.to_string(),
            user_id: item.user_id.to_string(),
            organization_id: item.organization_id.to_string(),
            category: pb::Category::from(item.category).into(),
            title: item.title.clone(),
            text: item.text.clone(),
            workspace_id: item.workspace_id.map(|id| id.to_string()).unwrap_or_default(),
            resource_type: item.resource_type.clone(),
            resource_id: item.resource_id.clone(),
            event_id: item.event_id.to_string(),
            create_time: Some(timestamp(item.create_time)),
            read_time: item.read_time.map(timestamp),
            archive_time: item.archive_time.map(timestamp),
        }
    }
}
