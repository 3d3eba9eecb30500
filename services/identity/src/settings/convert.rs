//! Settings between the domain and the contract.

use contract::identity::v1 as pb;
use contract::time::{datetime, timestamp};

use super::{Change, SESSION_IDLE_SECONDS_MIN, SESSION_MAX_SECONDS_MIN, Settings};

impl From<Settings> for pb::OrganizationSettings {
    fn from(settings: Settings) -> Self {
        pb::OrganizationSettings {
            organization_id: settings.organization_id.to_string(),
            session_idle_seconds: settings.session_idle_seconds.unwrap_or(0),
            session_max_seconds: settings.session_max_seconds.unwrap_or(0),
            mfa_required_time: settings.mfa_required_time.map(timestamp),
            etag: settings.version.to_string(),
            update_time: settings.update_time.map(timestamp),
        }
    }
}

impl TryFrom<&pb::UpdateOrganizationSettingsRequest> for Change {
    type Error = rpc::Error;

    fn try_from(req: &pb::UpdateOrganizationSettingsRequest) -> Result<Self, rpc::Error> {
        let paths = req.update_mask.as_ref().map(|mask| mask.paths.as_slice()).unwrap_or_default();
        if paths.is_empty() {
            return Err(rpc::Error::invalid_field("update_mask", "field_mask.empty", "must name a field"));
        }
        let wanted = req.organization_settings.clone().unwrap_or_default();
        let named = |field: &str| paths.iter().any(|path| path == field);
        let idle = limit("organization_settings.session_idle_seconds", wanted.session_idle_seconds, SESSION_IDLE_SECONDS_MIN);
        let longest = limit("organization_settings.session_max_seconds", wanted.session_max_seconds, SESSION_MAX_SECONDS_MIN);
        let not_a_time =
            || rpc::Error::invalid_field("organization_settings.mfa_required_time", "timestamp", "must be a time of the years 1 to 9999");
        let from = wanted.mfa_required_time.map(|time| datetime(&time).ok_or_else(not_a_time)).transpose();
        Ok(Change {
            session_idle_seconds: named("session_idle_seconds").then_some(idle).transpose()?,
            session_max_seconds: named("session_max_seconds").then_some(longest).transpose()?,
            mfa_required_time: named("mfa_required_time").then_some(from).transpose()?,
        })
    }
}

/// 0 asks nothing.
fn limit(field: &str, seconds: i32, least: i32) -> Result<Option<i32>, rpc::Error> {
    match seconds {
        0 => Ok(None),
        seconds if seconds >= least => Ok(Some(seconds)),
        _ => Err(rpc::Error::invalid_field(field, "int32.gte", "is shorter than may be asked")),
    }
}
