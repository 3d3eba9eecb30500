//! One running child: signals, and an end that is bounded.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::user::User;
use crate::{Error, proc, spawner, wait};

/// How a server is started and ended.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    /// As the kernel names its processes.
    pub(crate) comm: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    /// The folder of the stack.
    pub(crate) home: PathBuf,
    /// The working folder, below the folder of the stack.
    pub(crate) cwd: PathBuf,
    pub(crate) log: PathBuf,
    /// What the kernel sends it when this process dies.
    pub(crate) death: &'static str,
    /// What ends it, each with the time it is given; SIGKILL comes after the last.
    pub(crate) ends: &'static [(Signal, Duration)],
}

#[derive(Debug)]
pub(crate) struct Child {
    process: std::process::Child,
    spec: Spec,
}

impl Child {
    pub(crate) fn spawn(spec: &Spec, user: &User) -> Result<Self, Error> {
        let tried = |what: &str| Error::io(format!("{what} for {}", spec.name));
        let log = OpenOptions::new().create(true).append(true).open(&spec.log).map_err(tried("open the log"))?;
        let mut command = user.command(&spec.program, Some(spec.death));
        command.args(&spec.args).current_dir(&spec.cwd).process_group(0);
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(tried("open the log"))?).stderr(log);
        let process = spawner::spawn(command).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => Error::Missing {
                what: "setpriv",
                instead: "install util-linux; it starts the servers so that they die with muster".to_owned(),
            },
            _ => Error::Io { tried: format!("start {}", spec.name), source },
        })?;
        Ok(Self { process, spec: spec.clone() })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Whether it still runs; reaps it when it doesn't.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Ends it, with its whole folder's worth of processes; bounded by the times of its spec and a second.
    pub(crate) fn end(&mut self) {
        for (signal, at_most) in self.spec.ends {
            self.wake();
            proc::signal(self.pid(), *signal);
            if wait::until(*at_most, || (!self.is_running()).then_some(())).is_some() {
                break;
            }
        }
        self.kill();
    }

    /// SIGKILL to it and to what it left behind, then waits until all of it is gone.
    pub(crate) fn kill(&mut self) {
        if self.is_running() {
            if let Some(group) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
                // It fails when the group is gone.
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = self.process.wait();
        }
        proc::end_all(&self.spec.home, &[self.spec.comm], Signal::KILL);
    }

    /// Stops every process of the server in its tracks: nothing answers, no connection closes.
    pub(crate) fn pause(&self) {
        proc::signal(self.pid(), Signal::STOP);
        for pid in proc::working_in(&self.spec.home, &[self.spec.comm]) {
            proc::signal(pid, Signal::STOP);
        }
    }

    pub(crate) fn wake(&self) {
        for pid in proc::working_in(&self.spec.home, &[self.spec.comm]) {
            proc::signal(pid, Signal::CONT);
        }
        proc::signal(self.pid(), Signal::CONT);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.is_running() {
            self.end();
        }
    }
}
