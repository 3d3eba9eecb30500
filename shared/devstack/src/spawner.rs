//! The thread that starts every child.
//!
//! Why a thread of its own: Linux sends the parent-death signal when the *thread* that spawned a child ends, and a test's thread or an idle
//! thread of a pool ends long before the process. This one never does.

use std::io;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

type Job = (Command, Sender<io::Result<Child>>);

/// Spawns `command` from the thread that lives as long as the process.
pub(crate) fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
    let gone = || io::Error::other("the thread that starts children is gone");
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, inbox) = channel::<Job>();
        std::thread::Builder::new()
            .name("devstack".to_owned())
            .spawn(move || {
                for (mut command, answer) in inbox {
                    // Whoever asked may be gone; the child is then reaped with this process.
                    let _ = answer.send(command.spawn());
                }
            })
            .map_or_else(|_| channel().0, |_| jobs)
    });
    let (answer, child) = channel();
    spawner.send((command, answer)).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}
