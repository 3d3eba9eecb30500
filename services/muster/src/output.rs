//! How a command answers: a text for eyes, or with `--json` one document for scripts, whose fields `services/muster/README.md` names.
//!
//! Answers go to standard output. What is said on the way there goes to standard error (`progress`).

use std::io::{self, Write};

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use crate::progress::Progress;

/// How the answer is wanted.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Output {
    /// Answer with one JSON document.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say nothing of how the work goes on.
    #[arg(long, short, global = true)]
    quiet: bool,
}

impl Output {
    /// Prints `answer` as a document, or what `text` says of it.
    ///
    /// # Errors
    /// It can't be written, as JSON or at all.
    pub(crate) fn answer(self, answer: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        say(&if self.json { serde_json::to_string(answer)? } else { text() })
    }

    /// Says how long work goes on; nothing where that would be read by a script, or is not wanted.
    pub(crate) fn progress(self) -> Progress {
        Progress::new(!self.json && !self.quiet)
    }
}

/// Prints a command's answer. Whoever closed the output (`| head`) does not want the rest: that is no failure, and what runs goes on.
///
/// # Errors
/// It can't be written: a disk is full.
pub(crate) fn say(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{}", text.trim_end_matches('\n')).and_then(|()| stdout.flush());
    written
        .or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
        .context("the answer can't be written")
}
