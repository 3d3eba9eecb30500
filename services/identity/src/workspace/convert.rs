//! Workspaces between the domain and the contract.

use contract::identity::v1 as pb;
use contract::time::timestamp;

use super::Workspace;

impl From<Workspace> for pb::Workspace {
    fn from(workspace: Workspace) -> Self {
        pb::Workspace {
            workspace_id: workspace.id.to_string(),
            organization_id: workspace.organization_id.to_string(),
            slug: workspace.slug,
            display_name: workspace.display_name,
            etag: workspace.version.to_string(),
            create_time: Some(timestamp(workspace.create_time)),
            update_time: Some(timestamp(workspace.update_time)),
        }
    }
}
