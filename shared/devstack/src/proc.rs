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
    let stat = Stat::of(pid)?;
    (stat.alive && names.contains(&&*stat.name)).then_some(stat.parent)
}

/// What the kernel says of a process. Source: proc_pid_stat(5).
struct Stat {
    name: String,
    alive: bool,
    parent: u32,
}

impl Stat {
    fn of(pid: u32) -> Option<Stat> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (before, after) = stat.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let mut after = after.split_whitespace();
        let alive = !matches!(after.next()?, "Z" | "X");
        Some(Stat { name: name.to_owned(), alive, parent: after.next()?.parse().ok()? })
    }
}

/// What a test leaves running that is over, in words: the `servers` it had, by name and pid, and every child that the calling thread started
/// itself. Servers of other tests of the process, which have a thread of their own to start them, are none of these. A zombie counts as gone.
pub fn left_behind(servers: &[(&str, u32)]) -> Vec<String> {
    let ours = |pid: u32| Stat::of(pid).filter(|stat| stat.alive && stat.parent == std::process::id());
    let children = fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    let children = children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok());
    let children = children.filter_map(|pid| Some(format!("`{}` (pid {pid}) still runs", ours(pid)?.name)));
    let servers = servers.iter().filter(|(_, pid)| ours(*pid).is_some()).map(|(name, pid)| format!("{name} (pid {pid}) still runs"));
    servers.chain(children).collect()
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
    Stat::of(pid).is_some_and(|stat| stat.alive)
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
