//! Whatever ends the parent, its children end: SIGKILL, SIGTERM, Ctrl-C in its terminal, a crash of one child first.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// A stack in a process of its own.
struct Parent {
    process: Child,
    children: Vec<u32>,
    dir: PathBuf,
}

impl Parent {
    fn start(name: &str) -> Self {
        let dir = PathBuf::from(format!("/var/tmp/muster-it-{name}-{}", std::process::id()));
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster-devstack"));
        // A group of its own stands for the job of a terminal.
        let mut process = command.arg(&dir).stdout(Stdio::piped()).process_group(0).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let said: Vec<String> = lines.take_while(|line| line != "ready").collect();
        let children: Vec<u32> = said.iter().filter_map(|line| line.split(' ').nth(1)?.parse().ok()).collect();
        assert_eq!(children.len(), 3, "{said:?}");
        Parent { process, children, dir }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.process)
    }

    /// What the servers forked: PostgreSQL's background processes.
    fn forked(&self) -> Vec<u32> {
        let pids = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| alive(*pid) && parent_of(*pid).is_some_and(|parent| self.children.contains(&parent))).collect()
    }

    fn all_gone_within_two_seconds(&mut self, forked: &[u32]) {
        self.process.wait().unwrap();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(2) {
            if self.children.iter().chain(forked).all(|pid| !alive(*pid)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let left = self.children.iter().chain(forked).filter(|pid| alive(**pid)).collect::<Vec<_>>();
        panic!("still there: {left:?} of {:?} and {forked:?}", self.children);
    }
}

impl Parent {
    fn postgres_was_shut_down_in_order(&self) {
        let log = std::fs::read_to_string(self.dir.join("log/postgres.log")).unwrap();
        assert!(log.contains("received fast shutdown request") && log.contains("shutting down"), "{log}");
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// A zombie counts as gone: it runs nothing and holds nothing.
fn alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.trim_start().starts_with('Z'))
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn a_sigkill_leaves_no_child() {
    let mut parent = Parent::start("kill");
    let forked = parent.forked();
    assert!(forked.len() >= 3, "PostgreSQL's own processes are counted too");
    kill_process(parent.pid(), Signal::KILL).unwrap();
    parent.all_gone_within_two_seconds(&forked);
}

#[test]
fn a_sigterm_stops_in_good_order() {
    let mut parent = Parent::start("term");
    kill_process(parent.pid(), Signal::TERM).unwrap();
    parent.all_gone_within_two_seconds(&[]);
    parent.postgres_was_shut_down_in_order();
}

#[test]
fn a_ctrl_c_reaches_the_parent_alone_and_stops_in_good_order() {
    let mut parent = Parent::start("int");
    kill_process_group(parent.pid(), Signal::INT).unwrap();
    parent.all_gone_within_two_seconds(&[]);
    parent.postgres_was_shut_down_in_order();
}

#[test]
fn a_sigkill_after_a_child_crashed_leaves_no_child_either() {
    let mut parent = Parent::start("crash");
    let forked = parent.forked();
    kill_process(Pid::from_raw(parent.children[0] as i32).unwrap(), Signal::KILL).unwrap();
    kill_process(parent.pid(), Signal::KILL).unwrap();
    parent.all_gone_within_two_seconds(&forked);
}

#[test]
fn the_folder_of_a_killed_parent_starts_again_with_its_data() {
    let mut parent = Parent::start("again");
    kill_process(parent.pid(), Signal::KILL).unwrap();
    parent.all_gone_within_two_seconds(&[]);
    let again = Parent::start("again");
    assert!(again.children.iter().all(|pid| alive(*pid)));
}

#[test]
fn a_second_process_on_the_folder_is_told_of_the_first() {
    let parent = Parent::start("second");
    let second = Command::new(env!("CARGO_BIN_EXE_muster-devstack")).arg(&parent.dir).output().unwrap();
    let said = String::from_utf8(second.stdout).unwrap();
    assert!(!second.status.success());
    assert!(said.contains(&format!("in use by process {}, which answers on 127.0.0.1:7103", parent.process.id())), "{said}");
}
