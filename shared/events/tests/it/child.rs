//! Processes of their own, so that they can be frozen and killed: this test binary again, running only `a_process_of_its_own`.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use runtime::{Clock, Shutdown};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Duration, Instant, timeout};

use crate::verbs::{Notes, change};
use crate::world::{World, open_db, open_log, quick};

const ROLE: &str = "MUSTER_EVENTS_TEST_ROLE";

/// A child process; killed when dropped.
pub(crate) struct Process {
    child: Child,
    log: Option<PathBuf>,
    born: Instant,
}

impl Process {
    /// Runs the log of `tasks` (`role` "tasks"), the inbox of `audit` ("audit") or one who changes things ("writer") in a process of its own.
    pub(crate) fn run(world: &World, role: &str) -> Self {
        Self::start(Self::command(world, role), None)
    }

    /// The same, and it kills itself when it passes `point` for the nth time.
    pub(crate) fn crashing(world: &World, role: &str, point: &str, nth: u32) -> Self {
        let log = std::env::temp_dir().join(format!("muster-crash-{}", runtime::Ids::system().next().simple()));
        let mut command = Self::command(world, role);
        command.env("MUSTER_CRASH_AT", format!("{point}:{nth}")).env("MUSTER_CRASH_LOG", &log);
        Self::start(command, Some(log))
    }

    fn command(world: &World, role: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child::a_process_of_its_own", "--ignored", "--test-threads", "1"]);
        command.env(ROLE, role).env("TEST_DATABASE", &world.database_url).env("TEST_NATS", world.nats.url());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn start(mut command: Command, log: Option<PathBuf>) -> Self {
        Self { child: command.spawn().unwrap(), log, born: Instant::now() }
    }

    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Whether it runs; fails the test when it has run for 30 s.
    pub(crate) fn lives(&mut self) -> bool {
        assert!(self.born.elapsed() < Duration::from_secs(30), "it never passed its crash point");
        self.child.try_wait().unwrap().is_none()
    }

    /// The crash point at which it killed itself; empty when it ended otherwise.
    pub(crate) fn crash_point(mut self) -> String {
        let log = self.log.take().unwrap();
        let name = std::fs::read_to_string(&log).unwrap_or_default();
        let _ = std::fs::remove_file(log);
        name.trim().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
#[ignore = "the body of a child process, started by other tests"]
async fn a_process_of_its_own() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let (database, nats) = (std::env::var("TEST_DATABASE").unwrap(), std::env::var("TEST_NATS").unwrap());
    let life = async {
        let shutdown = Shutdown::new();
        match role.as_str() {
            "tasks" => open_log(&database, &nats, "tasks", Clock::system(), quick()).await.run(shutdown).await,
            "writer" => {
                let db = open_db(&database, "tasks", Clock::system()).await;
                for number in 0.. {
                    change(&db, &format!("thing-{}", number % 2)).await;
                }
            }
            _ => {
                let log = open_log(&database, &nats, "audit", Clock::system(), quick()).await;
                log.inbox("audit", &["tasks"]).run(Notes::default(), shutdown).await;
            }
        }
    };
    // A child that its test forgot ends by itself.
    let _ = timeout(Duration::from_secs(180), life).await;
}
