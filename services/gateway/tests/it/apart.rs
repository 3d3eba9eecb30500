//! An edge in a process of its own: it can be frozen and killed, and what it takes of memory is its own.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use gateway::Config;
use rpc::server::Limits;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::edge::{Edge, SOON};

/// What that process is told: its port, and where its upstream is.
const PORT: &str = "MUSTER_TEST_EDGE_PORT";
const UPSTREAM: &str = "MUSTER_TEST_EDGE_UPSTREAM";

/// The process; it ends when dropped.
pub(crate) struct Apart {
    process: Child,
    pub(crate) address: SocketAddr,
}

/// In the process of an edge, serves for ever; goes on in any other. A test that wants an edge of its own begins with it.
pub(crate) async fn serve_if_told(config: Config, limits: Limits) {
    let told = |name| std::env::var(name).ok();
    if let (Some(port), Some(upstream)) = (told(PORT), told(UPSTREAM)) {
        let _edge = Edge::at(port.parse().unwrap(), upstream.parse().unwrap(), config, limits).await;
        std::future::pending::<()>().await;
    }
}

impl Apart {
    /// The edge of the test called `test`, before `upstream`; on `port`, or a free one for 0.
    pub(crate) async fn start(test: &str, upstream: SocketAddr, port: u16) -> Apart {
        let address = TcpListener::bind(("127.0.0.1", port)).unwrap().local_addr().unwrap();
        // So that no process outlives the test, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(std::env::current_exe().unwrap()).args(["--exact", test]);
        command.env(PORT, address.port().to_string()).env(UPSTREAM, upstream.to_string());
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let listens = async {
            while TcpStream::connect(address).await.is_err() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, listens).await.expect("it starts");
        Apart { process, address }
    }

    /// What it holds of memory, in MiB. Source: proc(5), `VmRSS`.
    pub(crate) fn resident_mib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<usize>().unwrap() / 1024
    }

    /// Stops it in its tracks: it answers nothing and closes nothing until it is thawed.
    pub(crate) fn freeze(&self) {
        kill_process(Pid::from_child(&self.process), Signal::STOP).unwrap();
    }

    pub(crate) fn thaw(&self) {
        kill_process(Pid::from_child(&self.process), Signal::CONT).unwrap();
    }

    /// Kills it, without a word.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // It fails when the process is gone already, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
