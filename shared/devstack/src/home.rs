//! The folder of a stack: found, moved when it can't serve, locked against a second stack.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::process::Signal;

use crate::user::{User, restrict};
use crate::{Error, proc};

/// The longest path of a folder whose sockets still have a valid path: 107 bytes (unix(7)) less `/run/.s.PGSQL.65535`, with some to spare.
const DIR_BYTES_MAX: usize = 80;
/// The kernel's names of what runs here.
const COMMS: [&str; 3] = ["postgres", "nats-server", "redis-server"];
/// What the folders of [`Home::temporary`] begin with; the pid of the process that made one follows.
const TEMPORARY: &str = "muster-test-";

/// The folder asked for can't serve, and another one does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The folder that was asked for.
    pub from: PathBuf,
    /// The folder that holds the data.
    pub to: PathBuf,
    /// Why, in words.
    pub why: String,
}

/// The folder of one stack, held until this is dropped.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) dir: PathBuf,
    pub(crate) moved: Option<Moved>,
    pub(crate) user: User,
    pub(crate) temporary: bool,
    lock: Mutex<File>,
}

impl Home {
    /// Takes `dir`, or its stand-in under /var/tmp; ends what an earlier process left running there.
    pub(crate) fn at(dir: &Path, address: &str) -> Result<Self, Error> {
        let user = User::of_children()?;
        fs::create_dir_all(dir).map_err(Error::io(format!("make {}", dir.display())))?;
        let dir = dir.canonicalize().map_err(Error::io(format!("find {}", dir.display())))?;
        match misfit(&dir, &user) {
            None => Self::take(dir, None, user, address),
            Some(why) => {
                let to = stand_in(&dir)?;
                let moved = Moved { from: dir, to: to.clone(), why };
                Self::take(to, Some(moved), user, address)
            }
        }
    }

    /// A folder of its own that goes with this; those of dead processes go too.
    pub(crate) fn temporary() -> Result<Self, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let user = User::of_children()?;
        let standard = std::env::temp_dir();
        let below = if misfit(&standard.join("muster-test-1234567-1234"), &user).is_none() { standard } else { PathBuf::from("/var/tmp") };
        sweep(&below);
        let dir = below.join(format!("{TEMPORARY}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst)));
        fs::create_dir(&dir).map_err(Error::io(format!("make {}", dir.display())))?;
        restrict(&dir, 0o755)?;
        let dir = dir.canonicalize().map_err(Error::io(format!("find {}", dir.display())))?;
        let mut home = Self::take(dir, None, user, "a test")?;
        home.temporary = true;
        Ok(home)
    }

    fn take(dir: PathBuf, moved: Option<Moved>, user: User, address: &str) -> Result<Self, Error> {
        let path = dir.join("lock");
        let tried = || Error::io(format!("lock {}", path.display()));
        let mut lock = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path).map_err(tried())?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(running(&dir, &mut lock)),
            Err(TryLockError::Error(source)) => return Err(tried()(source)),
        }
        // The lock is free, so whoever still runs here has lost the process that it belongs to.
        proc::end_all(&dir, &COMMS, Signal::QUIT);
        user.private_dir(&dir.join("run"))?;
        let log = dir.join("log");
        fs::create_dir_all(&log).map_err(Error::io(format!("make {}", log.display())))?;
        let home = Self { dir, moved, user, temporary: false, lock: Mutex::new(lock) };
        home.set_address(address)?;
        Ok(home)
    }

    /// Writes down who holds the folder and where it answers, for whoever comes second.
    pub(crate) fn set_address(&self, address: &str) -> Result<(), Error> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let text = format!("{}\n{address}\n", std::process::id());
        let written = lock.rewind().and_then(|()| lock.set_len(0)).and_then(|()| lock.write_all(text.as_bytes()));
        written.map_err(Error::io("write the lock file"))
    }

    /// Where a server's sockets and other passing files are.
    pub(crate) fn run(&self) -> PathBuf {
        self.dir.join("run")
    }

    /// A server's log; what is older than the last 10 MB goes.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        let path = self.dir.join("log").join(format!("{name}.log"));
        if fs::metadata(&path).is_ok_and(|found| found.size() > 10_000_000) {
            // At worst the log stays long.
            let _ = fs::remove_file(&path);
        }
        path
    }

    /// `program` where the children's user can run it: itself, or a copy in this folder when it lies behind a closed door.
    pub(crate) fn runnable(&self, program: PathBuf) -> Result<PathBuf, Error> {
        // Debian's redis-server is a link to a program that asks its own name who it is: the name stays, what it leads to is checked.
        let program = std::path::absolute(&program).map_err(Error::io(format!("find {}", program.display())))?;
        let found = program.canonicalize().map_err(Error::io(format!("find {}", program.display())))?;
        if self.user.stopped_at(&program).or_else(|| self.user.stopped_at(&found)).is_none() {
            return Ok(program);
        }
        let name = program.file_name().unwrap_or(program.as_os_str());
        let copy = self.run().join(name);
        let fresh = |path: &Path| fs::metadata(path).map(|found| found.size()).ok();
        if fresh(&copy) != fresh(&found) {
            // By a program of its own: what this process has open to write, a child that another thread starts has too for a moment, and then nobody
            // can run it (ETXTBSY).
            let copied = Command::new("cp").arg("--").arg(&found).arg(&copy).output();
            let copied =
                copied.and_then(|cp| if cp.status.success() { Ok(()) } else { Err(io::Error::other(String::from_utf8_lossy(&cp.stderr))) });
            copied.map_err(Error::io(format!("copy {}", found.display())))?;
            restrict(&copy, 0o755)?;
        }
        Ok(copy)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.temporary {
            // What can't be removed now is swept by the next one.
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// Why the servers can't work in `dir`.
fn misfit(dir: &Path, user: &User) -> Option<String> {
    if let Some(closed) = user.stopped_at(dir) {
        return Some(format!("{} is closed to user id {}, which the servers run as", closed.display(), user.uid));
    }
    let bytes = dir.as_os_str().len();
    (bytes > DIR_BYTES_MAX).then(|| format!("its path has {bytes} bytes, and a socket's path allows {DIR_BYTES_MAX}"))
}

/// The folder under /var/tmp that stands in for `dir`: the same one every time, and only if it is ours.
fn stand_in(dir: &Path) -> Result<PathBuf, Error> {
    let uid = rustix::process::geteuid().as_raw();
    let path = PathBuf::from(format!("/var/tmp/muster-{:016x}", fnv(&format!("{uid}:{}", dir.display()))));
    match fs::create_dir(&path) {
        Ok(()) => restrict(&path, 0o755)?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(Error::io(format!("make {}", path.display()))(error)),
    }
    let found = fs::symlink_metadata(&path).map_err(Error::io(format!("look at {}", path.display())))?;
    if !found.is_dir() || found.uid() != uid || found.mode() & 0o022 != 0 {
        return Err(Error::Failed { what: "the data folder", why: format!("{} is not a folder of ours alone; remove it", path.display()) });
    }
    Ok(path)
}

/// FNV-1a, 64 bits: a name that stays the same over compilers and years. Source: RFC 9923.
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

fn running(dir: &Path, lock: &mut File) -> Error {
    let mut text = String::new();
    // What can't be read is said as unknown.
    let _ = lock.read_to_string(&mut text);
    let mut lines = text.lines();
    let pid = lines.next().and_then(|pid| pid.parse().ok()).unwrap_or_default();
    let address = lines.next().unwrap_or("an address it has not said yet").to_owned();
    Error::Running { dir: dir.to_path_buf(), pid, address }
}

/// Removes the temporary folders of processes that are gone.
fn sweep(below: &Path) {
    let uid = rustix::process::geteuid().as_raw();
    let Ok(entries) = fs::read_dir(below) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(TEMPORARY)).and_then(|rest| rest.split('-').next()?.parse().ok());
        let ours = fs::symlink_metadata(entry.path()).is_ok_and(|found| found.is_dir() && found.uid() == uid);
        if ours && pid.is_some_and(|pid| !proc::is_alive(pid)) {
            proc::end_all(&entry.path(), &COMMS, Signal::KILL);
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_has_the_same_name_every_time_and_another_for_another_folder() {
        assert_eq!(fnv(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv("a"), 0xaf63_dc4c_8601_ec8c);
        assert_ne!(fnv("0:/root/a"), fnv("0:/root/b"));
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_a_misfit() {
        let user = User::of_children().unwrap();
        assert!(misfit(&PathBuf::from(format!("/{}", "x".repeat(DIR_BYTES_MAX))), &user).unwrap().contains("a socket's path allows"));
        assert_eq!(misfit(Path::new("/var/tmp"), &user), None);
    }

    #[test]
    fn a_program_behind_a_closed_door_is_copied_to_where_it_can_run() {
        if !rustix::process::geteuid().is_root() {
            return; // A plain user's servers run what the user runs.
        }
        let home = Home::temporary().unwrap();
        let closed = home.dir.join("closed");
        fs::create_dir(&closed).unwrap();
        restrict(&closed, 0o700).unwrap();
        fs::write(closed.join("program"), "#!/bin/sh\n").unwrap();
        assert_eq!(home.runnable(closed.join("program")).unwrap(), home.run().join("program"));
        assert!(home.user.command(&home.run().join("program"), None).status().unwrap().success());
        assert_eq!(home.runnable("/bin/sh".into()).unwrap(), Path::new("/bin/sh"));
    }

    #[test]
    fn temporary_folders_of_dead_processes_are_swept_and_others_stay() {
        let below = std::env::temp_dir().join(format!("muster-sweep-{}", std::process::id()));
        let (dead, alive) = (below.join(format!("{TEMPORARY}4194304-0")), below.join(format!("{TEMPORARY}{}-0", std::process::id())));
        fs::create_dir_all(&dead).unwrap();
        fs::create_dir_all(&alive).unwrap();
        sweep(&below);
        assert!(!dead.exists() && alive.exists());
        fs::remove_dir_all(below).unwrap();
    }
}
