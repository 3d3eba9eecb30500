//! From the lines of a document to the items of a plan, in one pass.
//!
//! A line belongs to the innermost checkbox that it is indented under by two columns or more. A checkbox becomes that one's child, anything
//! else its description. What is under no checkbox is a finding, one for each block.

use std::collections::HashMap;

use super::line::{Kind, Line, clean};
use super::{Digest, FINDINGS_MAX, Finding, FindingKind, ITEMS_MAX, PLAN_BYTES_MAX, PLAN_DEPTH_MAX, Plan, PlanItem, Unreadable, digest};
use crate::work_item::{DESCRIPTION_BYTES_MAX, TITLE_LENGTH_MAX};

/// By how many columns more than its parent a child is indented.
const STEP: usize = 2;

/// Reads `markdown`, the plan called `document`.
///
/// # Errors
/// [`Unreadable::Empty`] for a document without a checkbox; [`Unreadable::TooLarge`] beyond [`ITEMS_MAX`] and [`PLAN_BYTES_MAX`].
pub fn read(document: &str, markdown: &str) -> Result<Plan, Unreadable> {
    if markdown.len() > PLAN_BYTES_MAX {
        return Err(Unreadable::TooLarge);
    }
    let mut reader = Reader::new(document);
    let lines = markdown.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'));
    for (index, line) in lines.enumerate() {
        reader.line(index + 1, &Line::of(&clean(line)))?;
    }
    reader.end()
}

struct Reader {
    plan: Plan,
    drafts: Vec<Draft>,
    document: Digest,
    /// How often a title stood under a parent so far.
    titles: HashMap<(Option<usize>, String), u64>,
    /// The checkboxes that the next line may be indented under, from the top down.
    open: Vec<Open>,
    fence: Option<Fence>,
    /// The item that the line before belonged to, when that line was no blank one.
    continued: Option<usize>,
    /// Whether the line before was part of a block that is ignored.
    ignoring: bool,
}

/// What is known of an item's description while it is read.
#[derive(Default)]
struct Draft {
    /// The indentation of its first line.
    base: Option<usize>,
    /// Its last line so far; the item's own at first.
    last: usize,
    full: bool,
}

#[derive(Clone, Copy)]
struct Open {
    item: usize,
    indent: usize,
}

/// Code between fences: nothing in it is a list.
#[derive(Clone, Copy)]
struct Fence {
    owner: Option<Open>,
    character: char,
    length: usize,
}

impl Reader {
    fn new(document: &str) -> Self {
        Reader {
            plan: Plan::default(),
            drafts: Vec::new(),
            document: digest(&[b"document", document.as_bytes()]),
            titles: HashMap::new(),
            open: Vec::new(),
            fence: None,
            continued: None,
            ignoring: false,
        }
    }

    fn line(&mut self, number: usize, line: &Line<'_>) -> Result<(), Unreadable> {
        if self.in_fence(number, line) {
            return Ok(());
        }
        let continued = self.continued.take();
        if line.is_blank() {
            self.ignoring = false;
            return Ok(());
        }
        let kind = line.kind();
        if let (Kind::Text, Some(item)) = (&kind, continued)
            && self.open.last().is_some_and(|open| line.indent < open.indent + STEP)
        {
            self.describe(item, number, line);
            return Ok(());
        }
        while self.open.last().is_some_and(|open| line.indent < open.indent + STEP) {
            self.open.pop();
        }
        match kind {
            Kind::Checkbox { checked, title } if !title.is_empty() => self.item(number, line.indent, title, checked),
            kind => {
                self.rest(number, line, &kind);
                Ok(())
            }
        }
    }

    /// Takes a line of code; false when there is no fence, or when this line ended the item that the fence stood in.
    fn in_fence(&mut self, number: usize, line: &Line<'_>) -> bool {
        let Some(fence) = self.fence else { return false };
        if fence.owner.is_some_and(|owner| !line.is_blank() && line.indent < owner.indent + STEP) {
            self.fence = None;
            return false;
        }
        if let Some(owner) = fence.owner {
            self.describe(owner.item, number, line);
        }
        if line.closes(fence.character, fence.length) {
            self.fence = None;
        }
        true
    }

    /// Takes a line that is no checkbox with a title.
    fn rest(&mut self, number: usize, line: &Line<'_>, kind: &Kind<'_>) {
        let owner = self.open.last().copied();
        if let Kind::Fence(character, length) = *kind {
            self.fence = Some(Fence { owner, character, length });
        }
        if let Some(owner) = owner {
            self.describe(owner.item, number, line);
            return;
        }
        let alone = matches!(kind, Kind::Heading);
        // A break separates; there is nothing in it to ignore.
        if !matches!(kind, Kind::Break) && (alone || !self.ignoring) {
            self.find(number, FindingKind::TextIgnored, line.text);
        }
        self.ignoring = !alone && !matches!(kind, Kind::Break);
    }

    fn item(&mut self, number: usize, indent: usize, title: &str, checked: bool) -> Result<(), Unreadable> {
        if self.plan.items.len() == ITEMS_MAX {
            return Err(Unreadable::TooLarge);
        }
        let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        let depth = (self.open.len() + 1).min(PLAN_DEPTH_MAX);
        let parent = depth.checked_sub(2).and_then(|above| self.open.get(above)).map(|open| open.item);
        if self.open.len() >= PLAN_DEPTH_MAX {
            self.find(number, FindingKind::TooDeep, &title);
        }
        let import_key = self.key(number, parent, &title);
        let (title, rest) = self.shortened(number, title);
        let item = self.plan.items.len();
        self.plan.items.push(PlanItem { line: number, parent, depth, title, description: rest.clone(), checked, import_key });
        // The rest of a title stands apart from what follows it.
        self.drafts.push(Draft { last: if rest.is_empty() { number } else { 0 }, ..Draft::default() });
        self.open.push(Open { item, indent });
        self.continued = Some(item);
        self.ignoring = false;
        Ok(())
    }

    /// The key of a title under a parent; a title that stood there before has another one.
    fn key(&mut self, number: usize, parent: Option<usize>, title: &str) -> Digest {
        let count = self.titles.entry((parent, title.to_owned())).or_default();
        let ordinal = *count;
        *count += 1;
        if ordinal > 0 {
            self.find(number, FindingKind::DuplicateTitle, title);
        }
        let above = parent.map_or(self.document, |parent| self.plan.items[parent].import_key);
        digest(&[&above, title.as_bytes(), &ordinal.to_be_bytes()])
    }

    /// The title as it may be stored, and what did not fit; cut between two words where it can be.
    fn shortened(&mut self, number: usize, title: String) -> (String, String) {
        let Some((limit, _)) = title.char_indices().nth(TITLE_LENGTH_MAX) else { return (title, String::new()) };
        self.find(number, FindingKind::TitleShortened, &title);
        let end = if title[limit..].starts_with(' ') { limit } else { title[..limit].rfind(' ').unwrap_or(limit) };
        let (start, rest) = title.split_at(end);
        (start.to_owned(), rest.trim_start().to_owned())
    }

    /// Adds a line to the description of an item. Blank lines outside of code become one.
    fn describe(&mut self, item: usize, number: usize, line: &Line<'_>) {
        self.continued = (!line.is_blank()).then_some(item);
        self.ignoring = false;
        let draft = &mut self.drafts[item];
        let base = *draft.base.get_or_insert(line.indent);
        let description = &mut self.plan.items[item].description;
        let adjacent = std::mem::replace(&mut draft.last, number) + 1 == number;
        let separator = if description.is_empty() {
            ""
        } else if adjacent {
            "\n"
        } else {
            "\n\n"
        };
        let indent = if line.is_blank() { 0 } else { line.indent.saturating_sub(base) };
        if draft.full || description.len() + separator.len() + indent + line.text.len() > DESCRIPTION_BYTES_MAX {
            if !std::mem::replace(&mut draft.full, true) {
                self.find(number, FindingKind::DescriptionShortened, line.text);
            }
            return;
        }
        description.push_str(separator);
        description.extend(std::iter::repeat_n(' ', indent));
        description.push_str(line.text);
    }

    fn find(&mut self, line: usize, kind: FindingKind, text: &str) {
        if self.plan.findings.len() < FINDINGS_MAX {
            self.plan.findings.push(Finding::new(line, kind, text));
        }
    }

    fn end(mut self) -> Result<Plan, Unreadable> {
        for item in &mut self.plan.items {
            item.description.truncate(item.description.trim_end().len());
        }
        if self.plan.items.is_empty() { Err(Unreadable::Empty) } else { Ok(self.plan) }
    }
}
