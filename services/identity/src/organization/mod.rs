//! Organizations: the tenants.
//!
//! Deliberately absent: settings, suspension and deletion (they come with the organization's lifecycle).

pub mod convert;
pub mod grpc;
pub mod ops;
pub mod store;

use runtime::OrganizationId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// The organization.
    pub id: OrganizationId,
    /// Lower-case name for addresses; unique.
    pub slug: String,
    /// How it is called.
    pub display_name: String,
    /// Grows by one with every change; the etag.
    pub version: i64,
    /// When it was created.
    pub create_time: OffsetDateTime,
    /// When it was last changed.
    pub update_time: OffsetDateTime,
}
