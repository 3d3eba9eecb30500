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

/// What stands above the figures.
#[derive(Debug)]
pub(super) struct Heading {
    /// What they were measured on.
    pub(super) machine: String,
    /// When.
    pub(super) date: time::Date,
    /// Rounds of each comparison.
    pub(super) rounds: usize,
}

/// What the kernel says of this machine: cores, processor, memory.
pub(super) fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        text.lines().find(|line| line.starts_with(key)).and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let processor = value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "processor unknown".into());
    let memory = value(&read("/proc/meminfo"), "MemTotal").and_then(|text| text.split(' ').next()?.parse::<f64>().ok()).unwrap_or_default();
    format!("{cores} cores of {processor}, {:.0} GiB", memory / (1024.0 * 1024.0))
}

/// Puts the figures into the README at `path`, between its two markers, under `heading`.
///
/// # Errors
/// The file has no markers.
pub(super) fn readme(path: &Path, figures: &[Figure], heading: &Heading) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let (before, rest) = text.split_once(BEGIN).context("the README has no marker where figures begin")?;
    let (_, after) = rest.split_once(END).context("the README has no marker where figures end")?;
    let mut block =
        format!("\n{}; {}. Ratios are to floors of the same run; medians of {} rounds.\n\n", heading.machine, heading.date, heading.rounds);
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
