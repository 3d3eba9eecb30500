//! PostgreSQL: on a Unix socket, and on a loopback port when one is asked for.
//!
//! Who can enter the folder of the socket (its user and root) needs no password. The port asks for one: `postgres.password` beside the data.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;

use crate::child::Spec;
use crate::home::Home;
use crate::server::{Server, faults};
use crate::{Error, binaries, proc, user};

/// Fast shutdown ends sessions and writes a checkpoint; immediate shutdown leaves the rest to recovery.
const KEPT_ENDS: &[(Signal, Duration)] = &[(Signal::INT, Duration::from_secs(15)), (Signal::QUIT, Duration::from_secs(5))];
/// Data that go anyway need no checkpoint.
const PASSING_ENDS: &[(Signal, Duration)] = &[(Signal::QUIT, Duration::from_secs(5))];
/// The port in the name of the socket when no TCP port is asked for.
const STANDARD_PORT: u16 = 5432;

/// A running PostgreSQL. Clones are the same server; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct Postgres(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    server: Server<()>,
    port: Option<u16>,
    password: String,
}

impl Postgres {
    pub(crate) fn start(home: &Arc<Home>, durable: bool, port: Option<u16>) -> Result<Self, Error> {
        let data = home.dir.join("postgres");
        let of = fs::read_to_string(data.join("PG_VERSION")).ok().and_then(|text| text.trim().parse().ok());
        let bin = binaries::postgres(of)?;
        let password = password(home)?;
        if of.is_none() {
            initdb(home, &bin, &data, &password, durable)?;
        }
        home.user.private_dir(&data)?;
        forget_reused_pid(&data)?;
        let ends = if home.temporary { PASSING_ENDS } else { KEPT_ENDS };
        let spec = Spec {
            name: "PostgreSQL",
            comm: "postgres",
            program: bin.join("postgres"),
            args: arguments(&data, &home.run(), durable, port),
            home: home.dir.clone(),
            cwd: data.clone(),
            log: home.log("postgres"),
            death: "QUIT",
            ends,
        };
        let server = Server::new(home.clone(), spec, Box::new(move |pid| is_ready(&data, pid)));
        server.start()?;
        Ok(Self(Arc::new(Inner { server, port, password })))
    }

    /// The URL of `database` for `user` over the Unix socket, without a password; sqlx and psql both take it.
    pub fn url(&self, user: &str, database: &str) -> String {
        let port = self.0.port.unwrap_or(STANDARD_PORT);
        format!(
            "postgres://{}@localhost:{port}/{}?host={}",
            encoded(user),
            encoded(database),
            encoded(&self.socket_dir().to_string_lossy())
        )
    }

    /// The URL of `database` over TCP for the superuser, with its password; `None` when no port was asked for.
    pub fn tcp_url(&self, database: &str) -> Option<String> {
        self.0.port.map(|port| format!("postgres://postgres:{}@127.0.0.1:{port}/{}", self.0.password, encoded(database)))
    }

    /// The folder of the Unix socket, as `psql -h` takes it.
    pub fn socket_dir(&self) -> PathBuf {
        self.0.server.home().run()
    }
}

faults!(Postgres);

/// Removes a postmaster.pid whose pid another process has today: PostgreSQL would take that one for a server on these data. Nothing of ours
/// runs here any more (`Home` saw to it). With a pid that is free the file stays: it leads PostgreSQL to the shared memory it left behind.
fn forget_reused_pid(data: &Path) -> Result<(), Error> {
    let path = data.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(()) };
    let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
    if pid.is_some_and(|pid| !proc::is_alive(pid)) {
        return Ok(());
    }
    fs::remove_file(&path).map_err(Error::io("remove a stale postmaster.pid"))
}

fn arguments(data: &Path, run: &Path, durable: bool, port: Option<u16>) -> Vec<String> {
    let listen = if port.is_some() { "127.0.0.1" } else { "" };
    let mut args = vec![
        "-D".to_owned(),
        data.display().to_string(),
        "-k".to_owned(),
        run.display().to_string(),
        "-h".to_owned(),
        listen.to_owned(),
        "-p".to_owned(),
        port.unwrap_or(STANDARD_PORT).to_string(),
    ];
    let on = |right: bool| if right { "on" } else { "off" };
    let settings = [
        ("fsync", on(durable)),
        ("full_page_writes", on(durable)),
        // A commit that was answered is in the kernel, also without fsync: a killed server keeps it.
        ("synchronous_commit", "on"),
        ("unix_socket_permissions", "0700"),
        ("max_connections", "300"),
        ("shared_buffers", "64MB"),
        ("timezone", "UTC"),
        ("jit", "off"),
        // A client that is gone in the middle of a statement is noticed within a second.
        ("client_connection_check_interval", "1s"),
        // `muster bench` asks when a row was committed.
        ("track_commit_timestamp", "on"),
    ];
    args.extend(settings.iter().flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]));
    args
}

/// Makes the data folder under another name and renames it: one that was cut short is made again.
fn initdb(home: &Home, bin: &Path, data: &Path, password: &str, durable: bool) -> Result<(), Error> {
    let making = data.with_extension("making");
    if making.exists() {
        fs::remove_dir_all(&making).map_err(Error::io(format!("remove {}", making.display())))?;
    }
    home.user.private_dir(&making)?;
    let pwfile = home.run().join("initdb.password");
    fs::write(&pwfile, password).map_err(Error::io("write the password for initdb"))?;
    user::restrict(&pwfile, 0o600)?;
    home.user.own(&pwfile)?;
    let mut command = home.user.command(&bin.join("initdb"), None);
    command.args([
        "-U",
        "postgres",
        "--auth-local=trust",
        "--auth-host=scram-sha-256",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "--no-instructions",
    ]);
    command.arg(format!("--pwfile={}", pwfile.display())).arg("-D").arg(&making).current_dir(&making);
    if !durable {
        command.arg("--no-sync");
    }
    let made = command.output().map_err(Error::io("run initdb"));
    fs::remove_file(&pwfile).map_err(Error::io("remove the password for initdb"))?;
    let made = made?;
    if !made.status.success() {
        return Err(Error::Failed { what: "initdb", why: String::from_utf8_lossy(&made.stderr).trim().to_owned() });
    }
    fs::rename(&making, data).map_err(Error::io(format!("rename {}", making.display())))
}

/// The superuser's password for TCP, made once and kept beside the data.
fn password(home: &Home) -> Result<String, Error> {
    let path = home.dir.join("postgres.password");
    if let Ok(kept) = fs::read_to_string(&path)
        && kept.len() == 32
    {
        return Ok(kept);
    }
    let mut random = [0_u8; 16];
    let read = fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut random));
    read.map_err(Error::io("read /dev/urandom"))?;
    let made: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    fs::write(&path, "").map_err(Error::io(format!("write {}", path.display())))?;
    user::restrict(&path, 0o600)?;
    fs::write(&path, &made).map_err(Error::io(format!("write {}", path.display())))?;
    Ok(made)
}

/// Line 1 of postmaster.pid is the server's pid, line 8 its state: what `pg_ctl` polls.
fn is_ready(data: &Path, pid: u32) -> Option<()> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let lines: Vec<&str> = text.lines().collect();
    let ours = lines.first()?.trim().parse() == Ok(pid) && proc::is_alive(pid);
    (ours && lines.get(7)?.trim() == "ready").then_some(())
}

/// A part of a URL with everything but letters, digits and `-._~/` in percents.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
