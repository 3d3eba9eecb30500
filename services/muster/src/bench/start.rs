//! How long it takes until calls are taken, and what is held when nobody calls.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use super::{figures::figure, process::Process, report::Figure, suite::Suite};
use crate::serve::SERVICES;

/// How long a process has nothing to do before its memory is read.
const REST: Duration = Duration::from_secs(5);

/// All services in one process, from its start until each takes calls, and what it holds when it has nothing to do.
pub(super) async fn at_rest(suite: &Suite) -> anyhow::Result<Vec<Figure>> {
    let began = Instant::now();
    let process = suite.start(&["serve", "all"])?;
    for service in SERVICES {
        suite.ready(service).await?;
    }
    let ready = began.elapsed().as_secs_f64();
    suite.seed().await?;
    tokio::time::sleep(REST).await;
    let megabytes = process.resident_megabytes()?;
    let warm = warm(suite).await?;
    Ok(vec![
        figure(
            "memory at rest, all services in one process",
            format!("{megabytes:.0} MB"),
            format!("resident set, {} s after the last call", REST.as_secs()),
            "≤ 150 MB",
            megabytes <= 150.0,
        ),
        figure(
            "start of the process to ready, all services",
            format!("{ready:.2} s"),
            "PostgreSQL and NATS running, schemas migrated".into(),
            "≤ 5 s",
            ready <= 5.0,
        ),
        figure(
            "muster up to ready, warm folder",
            format!("{:.2} s", warm.as_secs_f64()),
            "starts PostgreSQL, NATS and Redis, migrates, serves, seeds".into(),
            "≤ 5 s",
            warm <= Duration::from_secs(5),
        ),
    ])
}

/// What identity holds in a process of its own before anybody signs in: no arena of a hash is there yet, or there any more.
pub(super) async fn identity_alone(process: &Process) -> anyhow::Result<Figure> {
    tokio::time::sleep(REST).await;
    let megabytes = process.resident_megabytes()?;
    let against = format!("resident set, {} s after it was ready", REST.as_secs());
    Ok(figure("memory at rest, identity alone", format!("{megabytes:.0} MB"), against, "≤ 45 MB", megabytes <= 45.0))
}

/// `muster up`, as a person types it, from its start to its welcome; the second time in one folder.
async fn warm(suite: &Suite) -> anyhow::Result<Duration> {
    let folder = suite.folder("up");
    tokio::task::spawn_blocking(move || {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("up").arg("--folder").arg(&folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        for variable in ["DATABASE_URL", "NATS_URL", "REDIS_URL"] {
            command.env_remove(variable);
        }
        for service in SERVICES {
            command.args(["--set", &format!("{service}.port=0"), "--set", &format!("{service}.admin_port=0")]);
        }
        up(&mut command)?;
        up(&mut command)
    })
    .await?
}

/// Once: starts it, waits for its welcome, stops it.
fn up(command: &mut Command) -> anyhow::Result<Duration> {
    let began = Instant::now();
    let mut child = command.spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
    let welcomed = lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("Muster is ready")));
    let took = began.elapsed();
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process has a number")?;
    kill_process(pid, Signal::INT)?;
    // Read to the end: who can't print what it has to say does not end well.
    lines.for_each(drop);
    let ended = child.wait()?;
    anyhow::ensure!(welcomed.is_some() && ended.success(), "muster up did not become ready");
    Ok(took)
}
