//! The lives and deaths of a service's processes.

use std::{collections::BTreeMap, fs, os::unix::process::ExitStatusExt};

use tokio::time::sleep;

use super::plan::{Fate, POINTS};
use crate::suite::{Process, Suite};

/// SIGKILL. Source: signal(7).
const KILL: i32 = 9;
/// Where a process that dies at a crash point notes which, below the suite's folder: one file for each service.
const HITS: &str = "crash-points";

/// Ends `process`, which runs `service`, then lets one process after the other live and die as `fates` say. Answers the last one, which lives on.
pub(crate) async fn live(suite: &Suite, process: Process, service: &'static str, fates: Vec<Fate>) -> Process {
    process.kill();
    for fate in fates {
        match fate {
            Fate::Running(time) => {
                let mut process = suite.start(&[service], &[]);
                suite.ready(&mut process, service).await;
                sleep(time).await;
                process.kill();
            }
            Fate::Starting(time) => {
                let process = suite.start(&[service], &[]);
                sleep(time).await;
                process.kill();
            }
            Fate::At { point, pass } => {
                let log = suite.file(&format!("{HITS}-{service}")).display().to_string();
                let plan = [("MUSTER_CRASH_AT", format!("{point}:{pass}")), ("MUSTER_CRASH_LOG", log)];
                let mut process = suite.start(&[service], &plan);
                let status = process.end().await;
                assert_eq!(status.signal(), Some(KILL), "{service} did not die at {point}: {}", process.last_words());
            }
        }
    }
    let mut process = suite.start(&[service], &[]);
    suite.ready(&mut process, service).await;
    process
}

/// How often each crash point killed a process of a service.
pub(crate) fn hits(suite: &Suite) -> BTreeMap<(&'static str, &'static str), usize> {
    let hits = |(point, service): (&'static str, &'static str)| {
        let log = fs::read_to_string(suite.file(&format!("{HITS}-{service}"))).unwrap_or_default();
        ((point, service), log.lines().filter(|line| *line == point).count())
    };
    POINTS.into_iter().map(hits).collect()
}
