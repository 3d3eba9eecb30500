//! Figures as people read them: a table, JSON, and the block in the README.

use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::table;

/// Between these two lines of the README stand the figures of the last `muster bench --readme`.
const BEGIN: &str = "<!-- figures: begin -->";
const END: &str = "<!-- figures: end -->";

/// One figure, with what it is held against.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    /// What was measured.
    pub(super) name: &'static str,
    /// The figure with its unit.
    pub(super) value: String,
    /// What it is a ratio to, or what it was measured with.
    pub(super) against: String,
    /// The goal.
    pub(super) goal: &'static str,
    /// Whether the goal is met in this run.
    pub(super) met: bool,
}

/// A table for the terminal.
pub(super) fn text(figures: &[Figure]) -> String {
    let rows: Vec<[String; 5]> = figures.iter().map(row).collect();
    table::render(["figure", "value", "against", "goal", "met"], &rows)
}

/// Puts the figures into the README at `path`, between its two markers, headed by `machine` and `date`.
///
/// # Errors
/// The file has no markers.
pub(super) fn readme(path: &Path, figures: &[Figure], machine: &str, date: &str) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let (before, rest) = text.split_once(BEGIN).context("the README has no marker where figures begin")?;
    let (_, after) = rest.split_once(END).context("the README has no marker where figures end")?;
    let mut block = format!("\n{machine}, {date}. Ratios to floors of the same run; medians of three rounds.\n\n");
    block.push_str("| figure | value | against | goal | met |\n| --- | --- | --- | --- | --- |\n");
    for figure in figures {
        block.push_str(&format!("| {} |\n", row(figure).join(" | ")));
    }
    Ok(std::fs::write(path, format!("{before}{BEGIN}{block}{END}{after}"))?)
}

fn row(figure: &Figure) -> [String; 5] {
    let met = if figure.met { "yes" } else { "no" };
    [figure.name.to_owned(), figure.value.clone(), figure.against.clone(), figure.goal.to_owned(), met.to_owned()]
}
