//! Looks at processes through /proc.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::wait;

/// The living processes of the names given that belong to the stack in `dir`: their command line names it or they work in it, or a process
/// does that is above them. A pid that now means another process is not mistaken for it.
///
/// Why both: a backend's command line is a title, and the working folder of another user's process can't be read without CAP_SYS_PTRACE,
/// which root lacks in most containers.
pub(crate) fn working_in(dir: &Path, names: &[&str]) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let named: Vec<(u32, u32)> = pids.filter_map(|pid| Some((pid, parent_of_named(pid, names)?))).collect();
    let mut found: Vec<u32> = named.iter().map(|(pid, _)| *pid).filter(|pid| belongs(*pid, dir)).collect();
    // A tree of two levels: the server, and what it forked.
    let forked = named.iter().filter(|(pid, parent)| found.contains(parent) && !found.contains(pid)).map(|(pid, _)| *pid);
    found.extend(forked.collect::<Vec<_>>());
    found
}

/// The parent of a living process whose name is one of `names`.
fn parent_of_named(pid: u32, names: &[&str]) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (before, after) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let mut after = after.split_whitespace();
    let alive = !matches!(after.next()?, "Z" | "X");
    let parent = after.next()?.parse().ok()?;
    (alive && names.contains(&name)).then_some(parent)
}

fn belongs(pid: u32, dir: &Path) -> bool {
    let works_there = fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
    works_there || fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| mentions(&String::from_utf8_lossy(&line), dir))
}

/// Whether a path below `dir` stands in a command line, whose arguments end with NUL: `redis-server unixsocket:<dir>/run/redis.sock`.
fn mentions(line: &str, dir: &Path) -> bool {
    line.contains(&format!("{}/", dir.display()))
}

/// Whether the process is there and no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It fails when the process is gone, which is what every signal here is for.
        let _ = kill_process(pid, signal);
    }
}

/// Ends what works in `dir`: with `gently` first, with SIGKILL after three seconds. Tells whether anything was there.
pub(crate) fn end_all(dir: &Path, names: &[&str], gently: Signal) -> bool {
    let found = working_in(dir, names);
    for with in [gently, Signal::KILL] {
        for pid in working_in(dir, names) {
            signal(pid, with);
            signal(pid, Signal::CONT);
        }
        if wait::until(Duration::from_secs(3), || working_in(dir, names).is_empty().then_some(())).is_some() {
            break;
        }
    }
    !found.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_mentions_a_folder_only_by_its_whole_name() {
        let line = "/usr/bin/postgres\0-D\0/var/tmp/muster-1/postgres\0-k\0/var/tmp/muster-1/run\0";
        assert!(mentions(line, Path::new("/var/tmp/muster-1")));
        assert!(!mentions(line, Path::new("/var/tmp/muster")));
    }

    #[test]
    fn this_process_lives_and_no_process_has_the_highest_pid() {
        assert!(is_alive(std::process::id()));
        assert!(!is_alive(4_194_304));
    }
}
