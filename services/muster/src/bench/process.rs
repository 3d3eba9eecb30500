//! A process under measurement.

use std::{
    process::{Child, Command},
    time::Duration,
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

/// A running process; ended when dropped.
pub(super) struct Process(Child);

impl Process {
    /// Starts `command`.
    ///
    /// # Errors
    /// It can't be started.
    pub(super) fn spawn(mut command: Command) -> anyhow::Result<Process> {
        Ok(Process(command.spawn()?))
    }

    /// CPU time so far, user and system: fields 14 and 15 of `/proc/<pid>/stat`, in ticks of 10 ms.
    pub(super) fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// The resident set, in millions of bytes.
    ///
    /// # Errors
    /// The process is gone.
    pub(super) fn resident_megabytes(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a process has a resident set")?;
        Ok(line.split_whitespace().next().context("a figure")?.parse::<f64>()? * 1_024.0 / 1e6)
    }

    /// Stops it in its tracks: it does nothing until [`wake`](Process::wake).
    pub(super) fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub(super) fn wake(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).context("a process has a number")?;
        Ok(kill_process(pid, signal)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It fails when the process is gone already, which is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
