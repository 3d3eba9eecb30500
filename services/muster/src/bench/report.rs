//! Figures as people read them: a table, JSON, and the block in the README.

use std::{path::Path, process::Command};

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
    /// Of which source.
    pub(super) commit: String,
    /// How the kernel shared the cores out.
    pub(super) cores: String,
    /// The groups that were measured.
    pub(super) groups: String,
    /// Rounds of each comparison.
    pub(super) rounds: usize,
    /// How long each of them lasted.
    pub(super) seconds: u64,
}

/// The commit that is checked out where this runs, with a mark when files differ from it.
pub(super) fn commit() -> String {
    let asked = Command::new("git").args(["describe", "--always", "--dirty", "--exclude=*"]).output();
    let told = asked.ok().filter(|asked| asked.status.success()).map(|asked| String::from_utf8_lossy(&asked.stdout).trim().to_owned());
    told.unwrap_or_else(|| "unknown".to_owned())
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
    let Heading { machine, date, commit, cores, groups, rounds, seconds } = heading;
    let mut block = format!(
        "\n{machine}, {cores}; {date}; commit {commit}; groups: {groups}. Ratios are to floors of the same run; medians of {rounds} rounds of {seconds} s.\n\n"
    );
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_between_the_markers_under_what_they_were_measured_on_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("README.md");
        std::fs::write(&path, format!("before\n{BEGIN}\nold\n{END}\nafter\n")).unwrap();
        let date = time::Date::from_calendar_date(2026, time::Month::May, 4).unwrap();
        let heading = Heading {
            machine: "a machine".into(),
            date,
            commit: "abc1234".into(),
            cores: "cores shared".into(),
            groups: "calls, create".into(),
            rounds: 3,
            seconds: 2,
        };
        let figure = Figure { name: "T", value: "1/s".into(), against: "2/s".into(), goal: "≥ 0.5", met: true };
        readme(&path, &[figure], &heading).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let told = "a machine, cores shared; 2026-05-04; commit abc1234; groups: calls, create. Ratios are to floors of the same run; medians of 3 rounds of 2 s.";
        assert!(text.starts_with(&format!("before\n{BEGIN}\n{told}\n")) && text.ends_with(&format!("{END}\nafter\n")), "{text}");
        assert!(text.contains("| T | 1/s | 2/s | ≥ 0.5 | yes |") && !text.contains("old"), "{text}");
    }
}
