//! Named places at which a test may kill this process, to prove that what a commit promised survives.
//!
//! `MUSTER_CRASH_AT=after_outbox_insert:3` sends SIGKILL to the own process when it passes that place for the third time: no destructor, no
//! flush, no goodbye, as a pulled plug. Before it dies it appends the name and a newline to the file `MUSTER_CRASH_LOG`, so that a harness
//! counts the hits of each point. In release builds the macro is nothing.
//!
//! Deliberately absent: random faults, delays, and errors that are returned. Those are proxies and processes of the tests.

use std::fs::OpenOptions;
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Kills the process here when the environment asks for this place (see [`mod@crate::crash`]).
#[macro_export]
macro_rules! crash_point {
    ($name:literal) => {
        if cfg!(debug_assertions) {
            $crate::crash::reached($name);
        }
    };
}

struct Plan {
    name: String,
    countdown: AtomicU64,
}

static PLAN: OnceLock<Option<Plan>> = OnceLock::new();

/// Counts one pass of `name`, and does not return from the one that the environment names. Use [`crate::crash_point!`].
pub fn reached(name: &str) {
    let plan = PLAN.get_or_init(|| std::env::var("MUSTER_CRASH_AT").ok().and_then(|text| Plan::parse(&text)));
    if plan.as_ref().is_some_and(|plan| plan.is_due(name)) {
        die(name);
    }
}

impl Plan {
    /// Reads `name:n`, n from 1; `name` alone is `name:1`.
    fn parse(text: &str) -> Option<Self> {
        let (name, passes) = text.split_once(':').unwrap_or((text, "1"));
        let passes = passes.parse().ok().filter(|passes| *passes > 0)?;
        Some(Plan { name: name.to_owned(), countdown: AtomicU64::new(passes) })
    }

    fn is_due(&self, name: &str) -> bool {
        name == self.name && self.countdown.fetch_sub(1, Ordering::SeqCst) == 1
    }
}

fn die(name: &str) {
    if let Ok(path) = std::env::var("MUSTER_CRASH_LOG")
        && let Ok(mut file) = OpenOptions::new().append(true).create(true).open(path)
    {
        // One write: processes that die at the same moment must not mix their lines.
        let _ = file.write_all(format!("{name}\n").as_bytes());
    }
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_nth_pass_of_the_named_place_is_due() {
        let plan = Plan::parse("after_begin:2").unwrap();
        let due: Vec<bool> = ["after_begin", "after_commit", "after_begin", "after_begin"].map(|name| plan.is_due(name)).into();
        assert_eq!(due, [false, false, true, false]);
    }

    #[test]
    fn a_plan_that_cannot_be_read_is_no_plan() {
        assert!(Plan::parse("after_begin:0").is_none());
        assert!(Plan::parse("after_begin:soon").is_none());
        assert_eq!(Plan::parse("after_begin").unwrap().countdown.into_inner(), 1);
    }
}
