//! Workspaces: parts of an organization.
//!
//! Deliberately absent: archiving and deletion (they come with the organization's lifecycle).

pub mod convert;
pub mod grpc;
pub mod ops;
pub mod store;

use runtime::{OrganizationId, WorkspaceId};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// A part of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workspace {
    /// The workspace.
    pub id: WorkspaceId,
    /// The organization it is part of.
    pub organization_id: OrganizationId,
    /// Lower-case name for addresses; unique in the organization.
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
