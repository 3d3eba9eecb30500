//! Where an item stands, and where it may go from there.
//!
//! Deliberately absent: custom states and guards; they come with schemes of a workspace.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where an item stands. The numbers are those of `muster.tasks.v1.WorkItemState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type)]
#[repr(i16)]
pub enum State {
    /// At first.
    NotStarted = 1,
    /// Being done.
    InProgress = 2,
    /// Waits for something.
    Blocked = 3,
    /// Done, being looked at.
    InReview = 4,
    /// Done.
    Completed = 5,
    /// Not to be done.
    Cancelled = 6,
}

impl State {
    /// Every state.
    pub const ALL: [State; 6] = [State::NotStarted, State::InProgress, State::Blocked, State::InReview, State::Completed, State::Cancelled];

    /// Where an item may go from here.
    ///
    /// Open work moves freely, with two exceptions: what is blocked is freed before it is finished, and only work in progress goes into
    /// review. What is over comes back to the one place it left open: what was completed is in progress again, what was cancelled starts anew.
    pub const fn next(self) -> &'static [State] {
        match self {
            State::NotStarted => &[State::InProgress, State::Blocked, State::Completed, State::Cancelled],
            State::InProgress => &[State::NotStarted, State::Blocked, State::InReview, State::Completed, State::Cancelled],
            State::Blocked => &[State::NotStarted, State::InProgress, State::Cancelled],
            State::InReview => &[State::InProgress, State::Blocked, State::Completed, State::Cancelled],
            State::Completed => &[State::InProgress],
            State::Cancelled => &[State::NotStarted],
        }
    }

    /// Whether an item may go from here to `next`. Staying is no way to go.
    pub fn leads_to(self, next: State) -> bool {
        self.next().contains(&next)
    }

    /// The name on the wire, without its prefix.
    pub const fn name(self) -> &'static str {
        match self {
            State::NotStarted => "NOT_STARTED",
            State::InProgress => "IN_PROGRESS",
            State::Blocked => "BLOCKED",
            State::InReview => "IN_REVIEW",
            State::Completed => "COMPLETED",
            State::Cancelled => "CANCELLED",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Row: from; column: to; in the order of `State::ALL`.
    const MATRIX: [&str; 6] = [
        ".PB.CX", // NOT_STARTED
        "N.BRCX", // IN_PROGRESS
        "NP...X", // BLOCKED
        ".PB.CX", // IN_REVIEW
        ".P....", // COMPLETED
        "N.....", // CANCELLED
    ];

    #[test]
    fn every_pair_of_states_is_as_the_matrix_has_it() {
        for (from, row) in State::ALL.into_iter().zip(MATRIX) {
            for (to, cell) in State::ALL.into_iter().zip(row.chars()) {
                assert_eq!(from.leads_to(to), cell != '.', "{from} -> {to}");
            }
        }
    }

    #[test]
    fn every_state_can_be_left_and_reached() {
        for state in State::ALL {
            assert!(!state.next().is_empty(), "{state} can't be left");
            assert!(State::ALL.into_iter().any(|from| from.leads_to(state)), "{state} can't be reached");
        }
    }
}
