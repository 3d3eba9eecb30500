//! What an import does with an item that it finds again: it brings over what changed in the plan since the last import.
//!
//! What was changed here alone stays: a plan that says the same as before says nothing new. Without that, importing a plan once a day would
//! undo a day of work.

use crate::work_item::{State, WorkItem, WorkItemId};

use super::{Digest, PlanItem, sha256};

/// An item of a former import, as far as it must be known to tell whether the plan says something new of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub work_item_id: WorkItemId,
    /// Its key.
    pub key: String,
    /// Where it stands now.
    pub state: State,
    /// The size of its description, in bytes.
    pub description_bytes: usize,
    /// The SHA-256 of its description.
    pub description_sha256: Digest,
    /// By what it is found.
    pub import_key: Digest,
    /// What the plan's text was at the last import.
    pub import_sha256: Digest,
    /// Whether the box was ticked at the last import.
    pub import_checked: bool,
}

/// What is new in the plan about one item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// It has another description.
    pub text: bool,
    /// It goes to this state.
    pub state: Option<State>,
    /// Its box changed, and it can't go to the state that this means.
    pub state_kept: bool,
    /// What is to be remembered as the state of the box.
    pub checked: bool,
    /// Something is to be remembered that the last import did not know.
    pub remember: bool,
}

impl Known {
    /// The same item as it stands now that it is locked.
    #[must_use]
    pub fn as_of(&self, item: &WorkItem) -> Self {
        let description_sha256 = sha256(item.description.as_bytes());
        Known { state: item.state, description_bytes: item.description.len(), description_sha256, ..self.clone() }
    }
}

impl News {
    /// What `item` of the plan says that it did not say when `known` was last imported.
    pub fn of(item: &PlanItem, known: &Known) -> Self {
        let said = item.text_sha256();
        let told = said != known.import_sha256;
        let (state, state_kept) = moved(item.checked, known);
        // A box that was kept is looked at again at the next import: the item may be free by then.
        let checked = if state_kept { known.import_checked } else { item.checked };
        let remember = told || checked != known.import_checked;
        News { text: told && said != known.description_sha256, state, state_kept, checked, remember }
    }

    /// Whether the item becomes another.
    pub fn changes(self) -> bool {
        self.text || self.state.is_some()
    }
}

/// Where a box that changed moves its item, or that it can't.
fn moved(checked: bool, known: &Known) -> (Option<State>, bool) {
    match (checked, known.state) {
        (checked, _) if checked == known.import_checked => (None, false),
        (true, State::Completed) => (None, false),
        (true, from) if from.leads_to(State::Completed) => (Some(State::Completed), false),
        (true, _) => (None, true),
        (false, State::Completed) => (Some(State::InProgress), false),
        (false, _) => (None, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(description: &str, checked: bool) -> PlanItem {
        let (title, description) = ("paint".to_owned(), description.to_owned());
        PlanItem { line: 1, parent: None, depth: 1, title, description, checked, import_key: [1; 32] }
    }

    fn known(state: State, description: &str, was: &PlanItem) -> Known {
        Known {
            work_item_id: WorkItemId::nil(),
            key: "A-1".to_owned(),
            state,
            description_bytes: description.len(),
            description_sha256: sha256(description.as_bytes()),
            import_key: was.import_key,
            import_sha256: was.text_sha256(),
            import_checked: was.checked,
        }
    }

    #[test]
    fn a_plan_that_says_the_same_changes_nothing_whatever_became_of_the_item() {
        for checked in [false, true] {
            for state in State::ALL {
                let was = item("red", checked);
                let news = News::of(&was, &known(state, "changed here", &was));
                assert_eq!(news, News { checked, ..News::default() }, "{state}");
            }
        }
    }

    #[test]
    fn new_text_is_brought_over_unless_it_is_there_already() {
        let was = item("red", false);
        let news = News::of(&item("green", false), &known(State::Blocked, "changed here", &was));
        assert_eq!(news, News { text: true, remember: true, ..News::default() });
        let news = News::of(&item("green", false), &known(State::Blocked, "green", &was));
        assert_eq!(news, News { remember: true, ..News::default() });
    }

    #[test]
    fn a_ticked_box_completes_what_may_be_completed() {
        for (state, to, kept) in [
            (State::NotStarted, Some(State::Completed), false),
            (State::InProgress, Some(State::Completed), false),
            (State::InReview, Some(State::Completed), false),
            (State::Completed, None, false),
            (State::Blocked, None, true),
            (State::Cancelled, None, true),
        ] {
            let news = News::of(&item("", true), &known(state, "", &item("", false)));
            assert_eq!((news.state, news.state_kept), (to, kept), "{state}");
            assert_eq!((news.checked, news.remember), (!kept, !kept), "a box that was kept is looked at again");
        }
    }

    #[test]
    fn a_cleared_box_reopens_what_was_completed_and_nothing_else() {
        for state in State::ALL {
            let news = News::of(&item("", false), &known(state, "", &item("", true)));
            assert_eq!(news.state, (state == State::Completed).then_some(State::InProgress), "{state}");
            assert!(!news.state_kept && !news.checked && news.remember, "{state}");
        }
    }
}
