//! What kind of thing an item is, under what it may stand, and how urgent and large it is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What kind of item. The numbers are those of `muster.tasks.v1.WorkItemType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type)]
#[repr(i16)]
pub enum Kind {
    /// Holds everything else.
    Epic = 1,
    /// What is demanded.
    Requirement = 2,
    /// Who wants what, and why.
    UserStory = 3,
    /// What the product can do.
    Feature = 4,
    /// A part of the product.
    Component = 5,
    /// A piece of work.
    Task = 6,
    /// A part of a piece of work.
    Subtask = 7,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 7] = [Kind::Epic, Kind::Requirement, Kind::UserStory, Kind::Feature, Kind::Component, Kind::Task, Kind::Subtask];

    /// Under which kinds this one may stand; and whether it may stand at the top.
    pub const fn parents(self) -> (&'static [Kind], bool) {
        match self {
            Kind::Epic => (&[], true),
            Kind::Requirement | Kind::UserStory | Kind::Feature | Kind::Component => (&[Kind::Epic], true),
            Kind::Task => (&[Kind::Epic, Kind::Requirement, Kind::UserStory, Kind::Feature, Kind::Component], true),
            Kind::Subtask => (&[Kind::Task, Kind::Subtask], false),
        }
    }

    /// Whether an item of this kind may stand under `parent`; `None` is the top.
    pub fn may_stand_under(self, parent: Option<Kind>) -> bool {
        let (parents, top) = self.parents();
        parent.map_or(top, |parent| parents.contains(&parent))
    }

    /// The name on the wire, without its prefix.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Epic => "EPIC",
            Kind::Requirement => "REQUIREMENT",
            Kind::UserStory => "USER_STORY",
            Kind::Feature => "FEATURE",
            Kind::Component => "COMPONENT",
            Kind::Task => "TASK",
            Kind::Subtask => "SUBTASK",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How urgent. The numbers are those of `muster.tasks.v1.WorkItemPriority`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type)]
#[repr(i16)]
pub enum Priority {
    /// Not said.
    #[default]
    Unspecified = 0,
    /// When there is time.
    Low = 1,
    /// In turn.
    Medium = 2,
    /// Soon.
    High = 3,
    /// Now.
    Critical = 4,
}

/// How large. The numbers are those of `muster.tasks.v1.WorkItemEffort`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type)]
#[repr(i16)]
pub enum Effort {
    /// Not said.
    #[default]
    Unspecified = 0,
    /// Hours.
    Small = 1,
    /// Days.
    Medium = 2,
    /// A week or two.
    Large = 3,
    /// More: split it.
    ExtraLarge = 4,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row: the item; columns: the top, then the parent in the order of `Kind::ALL`.
    const MATRIX: [&str; 7] = [
        "Y.......", // EPIC
        "YY......", // REQUIREMENT
        "YY......", // USER_STORY
        "YY......", // FEATURE
        "YY......", // COMPONENT
        "YYYYYY..", // TASK
        "......YY", // SUBTASK
    ];

    #[test]
    fn every_pair_of_kinds_is_as_the_matrix_has_it() {
        for (kind, row) in Kind::ALL.into_iter().zip(MATRIX) {
            let places = std::iter::once(None).chain(Kind::ALL.into_iter().map(Some));
            for (parent, cell) in places.zip(row.chars()) {
                assert_eq!(kind.may_stand_under(parent), cell == 'Y', "{kind} under {parent:?}");
            }
        }
    }
}
