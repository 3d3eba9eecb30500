//! What long work is at, on standard error: on a terminal one line that is drawn anew and taken away at the end, elsewhere a line now and then.
//!
//! Deliberately absent: bars and shares of a whole. Most of what a command waits for is one call, and how far that is nobody knows.

use std::{
    io::{IsTerminal, Write, stderr},
    pin::pin,
    time::Duration,
};

use tokio::time::{Instant, interval_at};

/// How often the line of a terminal is drawn; what is done sooner is not told at all.
const DRAWN_EVERY: Duration = Duration::from_millis(250);
/// How often a line is written where lines stay.
const WRITTEN_EVERY: Duration = Duration::from_secs(10);
/// To the beginning of the line, and what stands there away.
const ERASE: &str = "\r\x1b[2K";

/// Work that goes on, one piece after the other.
#[derive(Debug)]
pub(crate) struct Progress {
    told: bool,
    is_terminal: bool,
    began: Instant,
    /// When the next word is due.
    due: Instant,
}

impl Progress {
    /// Begins now; says something when it is `told`.
    pub(crate) fn new(told: bool) -> Progress {
        Progress::on(stderr().is_terminal(), told)
    }

    fn on(is_terminal: bool, told: bool) -> Progress {
        let began = Instant::now();
        Progress { told, is_terminal, began, due: began + Self::period(is_terminal) }
    }

    fn period(is_terminal: bool) -> Duration {
        if is_terminal { DRAWN_EVERY } else { WRITTEN_EVERY }
    }

    /// Does `work` and says meanwhile that it is at `what`.
    pub(crate) async fn during<T>(&mut self, what: &str, work: impl Future<Output = T>) -> T {
        self.during_to(&mut stderr(), what, work).await
    }

    async fn during_to<T>(&mut self, out: &mut impl Write, what: &str, work: impl Future<Output = T>) -> T {
        if !self.told {
            return work.await;
        }
        let mut work = pin!(work);
        let mut ticks = interval_at(self.due, Self::period(self.is_terminal));
        let mut drawn = false;
        let done = loop {
            tokio::select! {
                biased;
                done = &mut work => break done,
                now = ticks.tick() => {
                    let line = format!("{what} ({} s)", self.began.elapsed().as_secs());
                    // Nobody is told where standard error is closed.
                    let _ = if self.is_terminal { write!(out, "{ERASE}{line}") } else { writeln!(out, "{line}") };
                    let _ = out.flush();
                    (drawn, self.due) = (self.is_terminal, now + Self::period(self.is_terminal));
                }
            }
        };
        if drawn {
            let _ = write!(out, "{ERASE}");
            let _ = out.flush();
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    /// What is told of two pieces of work that take `seconds` each.
    async fn told(mut progress: Progress, seconds: u64) -> String {
        let mut out = Vec::new();
        for what in ["digging", "planting"] {
            progress.during_to(&mut out, what, sleep(Duration::from_secs(seconds))).await;
        }
        String::from_utf8(out).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn where_lines_stay_there_is_one_now_and_then_across_pieces() {
        assert_eq!(told(Progress::on(false, true), 16).await, "digging (10 s)\nplanting (20 s)\nplanting (30 s)\n");
        assert_eq!(told(Progress::on(false, true), 4).await, "", "what is done soon is not told");
    }

    #[tokio::test(start_paused = true)]
    async fn on_a_terminal_one_line_is_drawn_anew_and_taken_away() {
        let drawn = told(Progress::on(true, true), 2).await;
        assert!(drawn.contains(&format!("{ERASE}digging (1 s){ERASE}")) && drawn.contains("planting (3 s)"), "{drawn:?}");
        assert!(drawn.ends_with(ERASE) && !drawn.contains('\n'), "{drawn:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_told_to_who_wants_nothing() {
        assert_eq!(told(Progress::on(true, false), 60).await, "");
    }
}
