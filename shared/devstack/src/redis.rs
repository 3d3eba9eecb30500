//! redis-server on a Unix socket, without persistence: it holds only what may be lost.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use crate::child::Spec;
use crate::home::Home;
use crate::server::{Server, faults};
use crate::{Error, binaries};

/// There is nothing to save, so nothing to wait for.
const ENDS: &[(Signal, Duration)] = &[];

/// A running redis-server. Clones are the same server; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct Redis(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    server: Server<()>,
}

impl Redis {
    pub(crate) fn start(home: &Arc<Home>) -> Result<Self, Error> {
        let dir = home.dir.join("redis");
        home.user.private_dir(&dir)?;
        let socket = home.run().join("redis.sock");
        let program = home.runnable(binaries::redis()?)?;
        let (path, folder) = (socket.display().to_string(), dir.display().to_string());
        let args = ["--port", "0", "--unixsocket", &path, "--unixsocketperm", "700", "--save", "", "--appendonly", "no", "--dir", &folder];
        let args = args.map(str::to_owned).to_vec();
        let log = home.log("redis");
        let stack = home.dir.clone();
        let spec =
            Spec { name: "redis-server", comm: "redis-server", program, args, home: stack, cwd: dir, log, death: "KILL", ends: ENDS };
        let server = Server::new(home.clone(), spec, Box::new(move |_| answers(&socket)));
        server.start()?;
        Ok(Self(Arc::new(Inner { server })))
    }

    /// Its URL, as the crate `redis` takes it.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.0.server.home().run().join("redis.sock").display())
    }
}

faults!(Redis);

fn answers(socket: &Path) -> Option<()> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.write_all(b"PING\r\n").ok()?;
    let mut answer = [0_u8; 5];
    stream.read_exact(&mut answer).ok()?;
    (&answer == b"+PONG").then_some(())
}
