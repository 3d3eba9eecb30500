//! nats-server with JetStream, on a loopback port that it chooses itself and keeps over restarts.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use crate::child::Spec;
use crate::home::Home;
use crate::server::{Ready, Server, faults};
use crate::{Error, binaries, blocking};

const ENDS: &[(Signal, Duration)] = &[(Signal::TERM, Duration::from_secs(5))];
/// A test's server is a few milliseconds old and holds nothing worth a farewell.
const PASSING_ENDS: &[(Signal, Duration)] = &[];

/// A running nats-server. Clones are the same server; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct Nats(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    server: Server<u16>,
    port: u16,
}

impl Nats {
    /// A server alone in a folder of its own that goes with it: one for each test.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::TooOld`] or [`Error::Failed`].
    pub async fn temporary() -> Result<Self, Error> {
        blocking(|| Nats::run(&Arc::new(Home::temporary()?), false)).await
    }

    /// A server alone on the data in `dir`, without fsync.
    ///
    /// # Errors
    /// As [`temporary`](Self::temporary), and [`Error::Running`].
    pub async fn start(dir: impl AsRef<Path>) -> Result<Self, Error> {
        let dir = dir.as_ref().to_path_buf();
        blocking(move || Nats::run(&Arc::new(Home::at(&dir, "nats")?), false)).await
    }

    pub(crate) fn run(home: &Arc<Home>, durable: bool) -> Result<Self, Error> {
        let store = home.dir.join("nats");
        home.user.private_dir(&store)?;
        let program = home.runnable(binaries::nats()?)?;
        let ends = if home.temporary { PASSING_ENDS } else { ENDS };
        let log = home.log("nats");
        let config = home.run().join("nats.conf");
        let (args, cwd) = (vec!["-c".to_owned(), config.display().to_string()], store.clone());
        let stack = home.dir.clone();
        let spec = Spec { name: "nats-server", comm: "nats-server", program, args, home: stack, cwd, log, death: "KILL", ends };
        let first = configured(home, &spec, durable, None)?;
        let port = first.start()?.ok_or_else(|| Error::Failed { what: "nats-server", why: "it gave no port".to_owned() })?;
        // Whoever starts it again starts it on the port it chose, which is in the file now.
        write_config(home, durable, Some(port))?;
        Ok(Self(Arc::new(Inner { server: first, port })))
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.0.port)
    }
}

faults!(Nats);

fn configured(home: &Arc<Home>, spec: &Spec, durable: bool, port: Option<u16>) -> Result<Server<u16>, Error> {
    write_config(home, durable, port)?;
    let run = home.run();
    let ready: Ready<u16> = Box::new(move |pid| {
        let port = port_of(&run, pid)?;
        greets(port).then_some(port)
    });
    Ok(Server::new(home.clone(), spec.clone(), ready))
}

/// Writes what the server is started with: a port of its choice, or the one it had.
fn write_config(home: &Home, durable: bool, port: Option<u16>) -> Result<(), Error> {
    let run = home.run();
    let port = port.map_or_else(|| "-1".to_owned(), |port| port.to_string());
    // 2 min is the server's default: the kernel has every message at once, the disk some time later.
    let sync = if durable { "1s" } else { "2m" };
    let text = format!(
        "host: 127.0.0.1\nport: {port}\nports_file_dir: {run:?}\njetstream {{ store_dir: {:?}, sync_interval: {sync} }}\n",
        home.dir.join("nats")
    );
    let path = run.join("nats.conf");
    fs::write(&path, text).map_err(Error::io(format!("write {}", path.display())))?;
    home.user.own(&path)?;
    for stale in fs::read_dir(&run).into_iter().flatten().flatten().filter(|entry| entry.path().extension().is_some_and(|it| it == "ports"))
    {
        // One of a server before; the name holds its pid, so at worst it stays.
        let _ = fs::remove_file(stale.path());
    }
    Ok(())
}

/// The port in `nats-server_<pid>.ports`: `{"nats":["nats://127.0.0.1:38211"]}`. A program under another name names its file after itself.
fn port_of(run: &Path, pid: u32) -> Option<u16> {
    let end = format!("_{pid}.ports");
    let file = fs::read_dir(run).ok()?.flatten().find(|entry| entry.file_name().to_string_lossy().ends_with(&end))?;
    port_in(&fs::read_to_string(file.path()).ok()?)
}

fn port_in(text: &str) -> Option<u16> {
    let after = text.split_once("nats://127.0.0.1:")?.1;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Whether a server there says its INFO, which it does when it takes clients.
fn greets(port: u16) -> bool {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else { return false };
    let mut line = String::new();
    let timed = stream.set_read_timeout(Some(Duration::from_secs(1)));
    timed.and_then(|()| BufReader::new(stream).read_line(&mut line)).is_ok() && line.starts_with("INFO ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_the_ports_file() {
        assert_eq!(port_in(r#"{"nats": ["nats://127.0.0.1:38211"], "monitoring": []}"#), Some(38_211));
        assert_eq!(port_in("{}"), None);
    }
}
