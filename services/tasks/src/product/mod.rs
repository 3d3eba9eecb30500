//! Products: what work items are numbered in. Pure.
//!
//! Deliberately absent: change and deletion of a product. Its key stands in the keys of its items.

pub mod convert;
pub mod grpc;
pub mod ops;
pub mod store;

use runtime::{OrganizationId, WorkspaceId, id_type};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

id_type! { pub struct ProductId; "Names a product." }

/// A row of `tasks.product`, without its counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// The tenant.
    pub organization_id: OrganizationId,
    /// Where it belongs.
    pub workspace_id: WorkspaceId,
    /// Its name.
    pub product_id: ProductId,
    /// The prefix of its items' keys: 2 to 10 capital letters and digits, a letter first.
    pub key: String,
    /// How it is called.
    pub display_name: String,
    /// Counts the changes, from 1.
    pub version: i64,
    /// When it was created.
    pub create_time: OffsetDateTime,
    /// When it was last changed.
    pub update_time: OffsetDateTime,
}

/// A product to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewProduct {
    /// Where it belongs.
    pub workspace_id: WorkspaceId,
    /// The prefix of its items' keys.
    pub key: String,
    /// How it is called.
    pub display_name: String,
}

impl Product {
    /// The product that `new` becomes.
    pub fn new(id: ProductId, organization_id: OrganizationId, new: NewProduct, now: OffsetDateTime) -> Self {
        Product {
            organization_id,
            workspace_id: new.workspace_id,
            product_id: id,
            key: new.key,
            display_name: new.display_name,
            version: 1,
            create_time: now,
            update_time: now,
        }
    }
}

/// The key of an item: `ABC-123`.
pub fn item_key(product_key: &str, number: i64) -> String {
    format!("{product_key}-{number}")
}
