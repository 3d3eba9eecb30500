//! Plans: Markdown documents whose checkbox lists become work items.
//!
//! ```text
//! - [ ] paint the shed            a TASK
//!   - use the red paint           its description, with everything else that is indented under it
//!   - [x] buy paint               a SUBTASK, COMPLETED
//! ```
//! An item is found again by its path: the document's name and the titles from the top down, each with its place among equals. So a
//! renamed title is another item, and the one of the old title is reported as missing.
//!
//! Why a reader of lines and not a Markdown parser: a plan is read for its lists, its findings name lines, and people indent a child by two
//! spaces under `1. [ ]` too, where CommonMark asks for three. What is said here of lists, fences and lazy lines is CommonMark's otherwise.
//!
//! Deliberately absent: other kinds of plan (`## Task N`, numbered issues), export, and the understanding of Markdown inside a title.

pub mod convert;
mod line;
pub mod merge;
pub mod ops;
mod reader;
pub mod store;

use aws_lc_rs::digest::{Context, SHA256};

pub use reader::read;

/// The most items of one plan.
pub const ITEMS_MAX: usize = 5_000;
/// The longest plan, in bytes. The contract refuses longer ones first.
pub const PLAN_BYTES_MAX: usize = 1 << 20;
/// How deep checkboxes nest; deeper ones are imported at this depth.
pub const PLAN_DEPTH_MAX: usize = 8;
/// How many findings are kept; a plan with more has been told enough.
pub const FINDINGS_MAX: usize = 1_000;
/// How much of a line a finding tells, in characters.
pub const FINDING_TEXT_MAX: usize = 200;

/// A SHA-256.
pub type Digest = [u8; 32];

/// What a document says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Every checkbox, in the order of the document: a parent stands before its children.
    pub items: Vec<PlanItem>,
    /// What was not understood, kept or repaired, in the order of the document.
    pub findings: Vec<Finding>,
}

/// One checkbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanItem {
    /// Its line, from 1.
    pub line: usize,
    /// The place of its parent in the plan's items; `None` at the top.
    pub parent: Option<usize>,
    /// How deep it nests, 1 to 8.
    pub depth: usize,
    /// In one line, 1 to 500 characters.
    pub title: String,
    /// Markdown, up to 64 KiB.
    pub description: String,
    /// Whether the box is ticked.
    pub checked: bool,
    /// By what it is found again.
    pub import_key: Digest,
}

impl PlanItem {
    /// What tells whether the plan's text on this item changed since the last import.
    pub fn text_sha256(&self) -> Digest {
        sha256(self.description.as_bytes())
    }
}

/// A remark on the plan.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Finding {
    /// The line, from 1; 0 when it is about no line.
    pub line: usize,
    /// What was found.
    pub kind: FindingKind,
    /// The start of the line, at most 200 characters.
    pub text: String,
}

/// What may be found. As `muster.tasks.v1.ImportFindingKind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum FindingKind {
    /// Text outside a checkbox list.
    TextIgnored,
    /// A checkbox nested deeper than 8.
    TooDeep,
    /// The same title under the same parent once more.
    DuplicateTitle,
    /// A title of more than 500 characters; the rest went to the description.
    TitleShortened,
    /// An item of a former import that the plan no longer holds.
    MissingFromPlan,
    /// A box was ticked or cleared, and its item can't go to that state.
    StateKept,
    /// A description of more than 64 KiB.
    DescriptionShortened,
}

/// Why a document is no plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It holds no checkbox.
    Empty,
    /// It holds more than 5,000 checkboxes, or more than 1 MiB.
    TooLarge,
}

impl Finding {
    /// A finding, with its text cut to size.
    pub fn new(line: usize, kind: FindingKind, text: &str) -> Self {
        Finding { line, kind, text: text.trim().chars().take(FINDING_TEXT_MAX).collect() }
    }
}

/// The SHA-256 of a text, as Postgres computes it too.
fn sha256(text: &[u8]) -> Digest {
    let mut digest = Digest::default();
    digest.copy_from_slice(aws_lc_rs::digest::digest(&SHA256, text).as_ref());
    digest
}

/// The SHA-256 of several parts, each with its length before it, so that no two lists of parts are one text.
fn digest(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut digest = Digest::default();
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests;
