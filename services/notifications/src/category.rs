//! What a notification is about: what a person chooses by.

use contract::notifications::v1 as pb;
use db::EnumValue;
use serde::{Deserialize, Serialize};

/// A category, by its number in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[repr(i16)]
pub(crate) enum Category {
    /// What protects the account. Mandatory.
    Security = 1,
    /// What somebody asked for and waits for.
    Account = 2,
    /// Something is to be done by the person.
    Assignment = 3,
    /// Something went on.
    Status = 4,
}

impl Category {
    /// Whether nobody can turn it off: what protects an account, and what was asked for.
    pub(crate) fn is_mandatory(self) -> bool {
        matches!(self, Category::Security | Category::Account)
    }

    /// Whether a second copy of a mail does less harm than none: what is waited for or warns of something.
    pub(crate) fn may_come_twice(self) -> bool {
        matches!(self, Category::Security | Category::Account)
    }
}

/// Its names in a filter, in full or without the prefix.
pub(crate) const NAMES: &[(&str, EnumValue)] = &[
    ("SECURITY", EnumValue::Int(1)),
    ("ACCOUNT", EnumValue::Int(2)),
    ("ASSIGNMENT", EnumValue::Int(3)),
    ("STATUS", EnumValue::Int(4)),
    ("CATEGORY_SECURITY", EnumValue::Int(1)),
    ("CATEGORY_ACCOUNT", EnumValue::Int(2)),
    ("CATEGORY_ASSIGNMENT", EnumValue::Int(3)),
    ("CATEGORY_STATUS", EnumValue::Int(4)),
];

impl From<Category> for pb::Category {
    fn from(category: Category) -> Self {
        match category {
            Category::Security => pb::Category::Security,
            Category::Account => pb::Category::Account,
            Category::Assignment => pb::Category::Assignment,
            Category::Status => pb::Category::Status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_category_has_the_number_and_the_names_of_the_contract() {
        for category in [Category::Security, Category::Account, Category::Assignment, Category::Status] {
            let wire = pb::Category::from(category);
            assert_eq!(i32::from(category as i16), i32::from(wire));
            let named = |name: &str| NAMES.contains(&(name, EnumValue::Int(category as i16)));
            assert!(named(wire.as_str_name()) && named(wire.as_str_name().trim_start_matches("CATEGORY_")));
        }
    }
}
