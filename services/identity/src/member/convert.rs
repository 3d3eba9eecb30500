//! Members between the domain and the contract.

use contract::annotations::v1::BaseRole;
use contract::identity::v1 as pb;
use contract::time::timestamp;

use super::ops::{Propagation, Subject};
use super::{Member, Role};
use crate::decode;

impl From<Role> for BaseRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Viewer => BaseRole::Viewer,
            Role::Member => BaseRole::Member,
            Role::Admin => BaseRole::Admin,
            Role::Owner => BaseRole::Owner,
        }
    }
}

/// The role in a request.
///
/// # Errors
/// `FIELD_VIOLATION` for none.
pub(crate) fn role(role: BaseRole) -> Result<Role, rpc::Error> {
    match role {
        BaseRole::Viewer => Ok(Role::Viewer),
        BaseRole::Member => Ok(Role::Member),
        BaseRole::Admin => Ok(Role::Admin),
        BaseRole::Owner => Ok(Role::Owner),
        BaseRole::Unspecified => Err(rpc::Error::invalid_field("role", "enum.not_in", "must be one of the base roles")),
    }
}

/// Whom a request means: exactly one of `user_id` and `email`.
///
/// # Errors
/// `FIELD_VIOLATION` for none.
pub(super) fn subject(user_id: Option<&str>, email: Option<&str>) -> Result<Subject, rpc::Error> {
    match (user_id, email) {
        (Some(user_id), _) => Ok(Subject::User(decode::id("user_id", user_id)?)),
        (None, Some(email)) => Ok(Subject::Email(email.to_owned())),
        (None, None) => Err(rpc::Error::invalid_field("subject", "oneof.required", "must be a user_id or an email")),
    }
}

impl From<Propagation> for pb::Propagation {
    fn from(propagation: Propagation) -> Self {
        match propagation {
            Propagation::Applied => pb::Propagation::Applied,
            Propagation::Pending => pb::Propagation::Pending,
        }
    }
}

impl From<Member> for pb::OrganizationMember {
    fn from(member: Member) -> Self {
        pb::OrganizationMember {
            organization_id: member.organization_id.to_string(),
            user_id: member.user_id.to_string(),
            role: BaseRole::from(member.role).into(),
            etag: member.version.to_string(),
            create_time: Some(timestamp(member.create_time)),
            update_time: Some(timestamp(member.update_time)),
            version: member.version,
        }
    }
}

impl From<Member> for pb::WorkspaceMember {
    fn from(member: Member) -> Self {
        pb::WorkspaceMember {
            organization_id: member.organization_id.to_string(),
            workspace_id: member.workspace_id.map(String::from).unwrap_or_default(),
            user_id: member.user_id.to_string(),
            role: BaseRole::from(member.role).into(),
            etag: member.version.to_string(),
            create_time: Some(timestamp(member.create_time)),
            update_time: Some(timestamp(member.update_time)),
            version: member.version,
        }
    }
}
