//! Organizations between the domain and the contract.

use contract::identity::v1 as pb;
use contract::time::timestamp;

use super::Organization;

impl From<Organization> for pb::Organization {
    fn from(organization: Organization) -> Self {
        pb::Organization {
            organization_id: organization.id.to_string(),
            slug: organization.slug,
            display_name: organization.display_name,
            etag: organization.version.to_string(),
            create_time: Some(timestamp(organization.create_time)),
            update_time: Some(timestamp(organization.update_time)),
        }
    }
}
