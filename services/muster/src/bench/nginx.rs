//! nginx as an edge, to measure ours against.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::net::TcpStream;

use super::{process::Process, suite};

/// An nginx that passes gRPC on to `upstream`, with all that it keeps in `folder`; none when it is not installed. One process: it is killed by its
/// number, and with several the others would stay.
///
/// # Errors
/// It does not start.
pub(super) async fn start(folder: &Path, upstream: SocketAddr) -> anyhow::Result<Option<(Process, SocketAddr)>> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, suite::free_port()?));
    std::fs::create_dir_all(folder)?;
    let file = folder.join("nginx.conf");
    std::fs::write(&file, configuration(folder, address, upstream))?;
    // Who is not root does not look for programs where Debian puts this one.
    let there = |program: &&str| Command::new(program).arg("-v").stderr(Stdio::null()).status().is_ok();
    let Some(program) = ["nginx", "/usr/sbin/nginx"].into_iter().find(there) else { return Ok(None) };
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", program, "-e"]).arg(folder.join("error.log")).arg("-p").arg(folder).arg("-c").arg(&file);
    let process = Process::spawn(command).context("nginx")?;
    let began = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(10), "nginx does not start: see {}", folder.join("error.log").display());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(Some((process, address)))
}

/// HTTP/2 on both sides, connections that are kept, and a line in a log for each call, as the gateway writes one.
fn configuration(folder: &Path, address: SocketAddr, upstream: SocketAddr) -> String {
    let folder = folder.display();
    let kept = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|name| format!("    {name}_temp_path {folder}/{name};\n")).concat();
    format!(
        "daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
{kept}    access_log {folder}/access.log;
    upstream services {{
        server {upstream};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address} http2;
        keepalive_requests 1000000000;
        location / {{ grpc_pass grpc://services; }}
    }}
}}
"
    )
}
