//! `muster up`: the same data again, one at a time, and nothing left behind however it ends.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

/// One suite at a time: two cores are all there are.
static ALONE: Mutex<()> = Mutex::new(());

pub(crate) fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A running `muster up`.
struct Up {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// What it printed up to "Ctrl-C stops everything".
    welcome: String,
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.arg("up").arg("--folder").arg(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    for variable in ["DATABASE_URL", "NATS_URL", "REDIS_URL"] {
        command.env_remove(variable);
    }
    for service in ["identity", "authorization", "tasks", "audit"] {
        command.args(["--set", &format!("{service}.port=0"), "--set", &format!("{service}.admin_port=0")]);
    }
    command
}

impl Up {
    fn start(folder: &Path) -> Up {
        let mut child = command(folder).stderr(Stdio::inherit()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut welcome = String::new();
        while !welcome.contains("Ctrl-C stops everything") {
            assert_ne!(stdout.read_line(&mut welcome).unwrap(), 0, "it ended early: {welcome}");
        }
        Up { child, stdout, welcome }
    }

    /// Sends `signal` and waits for the end.
    fn end(mut self, signal: &str) -> bool {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let success = self.child.wait().unwrap().success();
        drop(self.stdout);
        success
    }

    /// Its children and theirs, by pid.
    fn descendants(&self) -> Vec<u32> {
        let mut found = vec![self.child.id()];
        let mut at = 0;
        while at < found.len() {
            for task in fs::read_dir(format!("/proc/{}/task", found[at])).into_iter().flatten().flatten() {
                let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
                found.extend(children.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
            }
            at += 1;
        }
        found.split_off(1)
    }
}

/// Whether a process lives; a zombie counts as gone.
fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

fn assert_gone(pids: &[u32]) {
    let began = Instant::now();
    while pids.iter().any(|pid| lives(*pid)) {
        assert!(began.elapsed() < Duration::from_secs(2), "left behind: {:?}", pids.iter().filter(|pid| lives(**pid)).collect::<Vec<_>>());
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn it_says_where_everything_is_and_ctrl_c_leaves_nothing() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let up = Up::start(folder.path());
    for word in ["identity", "authorization", "tasks", "audit", "postgres://", "nats://", "admin@muster.example", "grpcurl"] {
        assert!(up.welcome.contains(word), "{word} is missing in: {}", up.welcome);
    }
    let children = up.descendants();
    assert!(children.len() >= 3, "PostgreSQL, NATS and Redis run: {children:?}");
    assert!(up.end("-INT"), "Ctrl-C is no failure");
    assert_gone(&children);
}

#[test]
fn a_kill_leaves_no_child_and_the_next_start_finds_the_same_data() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let first = Up::start(folder.path());
    let children = first.descendants();
    first.end("-KILL");
    assert_gone(&children);
    let again = Up::start(folder.path());
    let children = again.descendants();
    assert!(again.end("-TERM"), "SIGTERM is no failure");
    assert_gone(&children);
}

#[test]
fn a_second_one_beside_it_is_told_the_pid_and_the_address() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let first = Up::start(folder.path());
    let second = command(folder.path()).output().unwrap();
    let told = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success());
    assert!(told.contains(&first.child.id().to_string()) && told.contains("127.0.0.1:"), "{told}");
    assert!(first.end("-TERM"));
}
