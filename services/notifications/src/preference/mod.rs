//! By which ways a person wants to be told of what. Pure.
//!
//! Deliberately absent: choices of organizations, quiet hours, digests (N-04).

pub(crate) mod convert;
pub(crate) mod grpc;
pub(crate) mod ops;
pub(crate) mod store;

use runtime::UserId;

use crate::category::Category;
use crate::delivery::Channel;

/// One choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What it is about.
    pub category: Category,
    /// Which way.
    pub channel: Channel,
    /// Whether.
    pub enabled: bool,
}

/// A row of `notifications.preference`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Whose.
    pub user_id: UserId,
    /// What.
    pub category: Category,
    /// Which way.
    pub channel: Channel,
    /// Whether.
    pub enabled: bool,
}

/// All that holds for one person: an entry for each category and channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Preferences(pub(crate) Vec<Choice>);

impl Preferences {
    /// What holds for `user_id` by what people chose.
    pub(crate) fn of(user_id: UserId, chosen: &[Chosen]) -> Self {
        let mut all = Preferences(everything().collect());
        for row in chosen.iter().filter(|row| row.user_id == user_id) {
            all.set(Choice { category: row.category, channel: row.channel, enabled: row.enabled });
        }
        all
    }

    /// Whether the person is told of `category` by `channel`.
    pub(crate) fn allow(&self, category: Category, channel: Channel) -> bool {
        self.0.iter().any(|entry| entry.category == category && entry.channel == channel && entry.enabled)
    }

    /// The same, with `changes` made.
    pub(crate) fn with(&self, changes: &[Choice]) -> Self {
        let mut all = self.clone();
        changes.iter().for_each(|change| all.set(*change));
        all
    }

    fn set(&mut self, choice: Choice) {
        let same = |entry: &&mut Choice| (entry.category, entry.channel) == (choice.category, choice.channel);
        if let Some(entry) = self.0.iter_mut().find(same) {
            entry.enabled = choice.enabled;
        }
    }
}

/// What holds where nothing was chosen: everything, but no mail for what only went on.
fn everything() -> impl Iterator<Item = Choice> {
    let categories = [Category::Security, Category::Account, Category::Assignment, Category::Status];
    let entry = |category, channel| Choice { category, channel, enabled: (category, channel) != (Category::Status, Channel::Email) };
    categories.into_iter().flat_map(move |category| [Channel::Email, Channel::InApp].map(|channel| entry(category, channel)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_holds_for_its_person_alone_and_defaults_for_the_rest() {
        let (ana, ben): (UserId, UserId) = (uuid::Uuid::from_u128(1).into(), uuid::Uuid::from_u128(2).into());
        let chosen = [Chosen { user_id: ana, category: Category::Assignment, channel: Channel::Email, enabled: false }];
        let (anas, bens) = (Preferences::of(ana, &chosen), Preferences::of(ben, &chosen));
        assert!(!anas.allow(Category::Assignment, Channel::Email) && anas.allow(Category::Assignment, Channel::InApp));
        assert!(bens.allow(Category::Assignment, Channel::Email) && !bens.allow(Category::Status, Channel::Email));
        assert_eq!((anas.0.len(), bens.allow(Category::Security, Channel::Email)), (8, true));
    }
}
