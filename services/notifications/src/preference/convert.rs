//! Choices on the wire and back.

use contract::notifications::v1 as pb;

use super::{Choice, Preferences};
use crate::category::Category;
use crate::delivery::Channel;

impl From<&Preferences> for pb::Preferences {
    fn from(all: &Preferences) -> Self {
        let entry = |entry: &Choice| pb::Preference {
            category: pb::Category::from(entry.category).into(),
            channel: i32::from(entry.channel as i16),
            enabled: entry.enabled,
            mandatory: entry.category.is_mandatory(),
        };
        pb::Preferences { preferences: all.0.iter().map(entry).collect() }
    }
}

/// The choice that an entry asks for.
///
/// # Errors
/// `FIELD_VIOLATION`; the contract's rules refuse it first.
pub(crate) fn choice(entry: &pb::Preference) -> Result<Choice, rpc::Error> {
    let unknown = |field: &str| rpc::Error::invalid_field(field, "enum.not_in", "must be said");
    let category = match entry.category() {
        pb::Category::Security => Category::Security,
        pb::Category::Account => Category::Account,
        pb::Category::Assignment => Category::Assignment,
        pb::Category::Status => Category::Status,
        pb::Category::Unspecified => return Err(unknown("preferences.category")),
    };
    let channel = match entry.channel() {
        pb::Channel::Email => Channel::Email,
        pb::Channel::InApp => Channel::InApp,
        pb::Channel::Unspecified => return Err(unknown("preferences.channel")),
    };
    Ok(Choice { category, channel, enabled: entry.enabled })
}
