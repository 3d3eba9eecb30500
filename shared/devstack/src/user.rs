//! Whom the servers run as: PostgreSQL refuses root, and the others need none of its rights.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

/// The user of the children.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) uid: u32,
    gid: u32,
    /// Whether this process is root and has to become that user.
    drops: bool,
}

impl User {
    /// This user; for root the user `postgres`, else `nobody`.
    pub(crate) fn of_children() -> Result<Self, Error> {
        let uid = rustix::process::geteuid().as_raw();
        if uid != 0 {
            return Ok(Self { uid, gid: rustix::process::getegid().as_raw(), drops: false });
        }
        let passwd = fs::read_to_string("/etc/passwd").map_err(Error::io("read /etc/passwd"))?;
        let (uid, gid) = entry(&passwd, "postgres").or_else(|| entry(&passwd, "nobody")).ok_or_else(|| Error::Missing {
            what: "an unprivileged user",
            instead:
                "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor `nobody`: make one, or run as a plain user"
                    .to_owned(),
        })?;
        Ok(Self { uid, gid, drops: true })
    }

    /// `setpriv` that becomes this user, asks for `death` at the end of its parent thread, and then is `program`: the pid stays.
    pub(crate) fn command(&self, program: &Path, death: Option<&str>) -> Command {
        let mut command = Command::new("setpriv");
        if self.drops {
            command.args([format!("--reuid={}", self.uid), format!("--regid={}", self.gid), "--clear-groups".to_owned()]);
        }
        if let Some(signal) = death {
            command.arg(format!("--pdeathsig={signal}"));
        }
        command.arg("--").arg(program).env_clear().env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into()));
        command
    }

    /// Makes the folder `dir` that this user alone (and root) enters.
    pub(crate) fn private_dir(&self, dir: &Path) -> Result<(), Error> {
        if !dir.is_dir() {
            fs::create_dir_all(dir).map_err(Error::io(format!("make {}", dir.display())))?;
            restrict(dir, 0o700)?;
            self.own(dir)?;
        }
        let owner = fs::metadata(dir).map_err(Error::io(format!("look at {}", dir.display())))?.uid();
        if owner == self.uid {
            return Ok(());
        }
        let why = format!(
            "{} belongs to user id {owner}, the servers would run as {}; use another folder or run as before",
            dir.display(),
            self.uid
        );
        Err(Error::Failed { what: "the data folder", why })
    }

    /// Gives `path` to this user.
    pub(crate) fn own(&self, path: &Path) -> Result<(), Error> {
        if self.drops {
            chown(path, Some(self.uid), Some(self.gid)).map_err(Error::io(format!("give {} away", path.display())))
        } else {
            Ok(())
        }
    }

    /// The first folder on the way to `path`, itself included, that this user can't pass: its mode denies it.
    pub(crate) fn stopped_at(&self, path: &Path) -> Option<PathBuf> {
        let mut ancestors: Vec<&Path> = path.ancestors().collect();
        ancestors.reverse();
        ancestors.into_iter().find(|ancestor| fs::metadata(ancestor).is_ok_and(|found| !self.passes(&found))).map(Path::to_path_buf)
    }

    fn passes(&self, found: &fs::Metadata) -> bool {
        let bit = match () {
            () if found.uid() == self.uid => 0o100,
            () if found.gid() == self.gid => 0o010,
            () => 0o001,
        };
        found.mode() & bit != 0
    }
}

pub(crate) fn restrict(path: &Path, mode: u32) -> Result<(), Error> {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    fs::set_permissions(path, mode).map_err(Error::io(format!("restrict {}", path.display())))
}

fn entry(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let line = passwd.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))?;
    let fields: Vec<&str> = line.split(':').collect();
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "postgresql:x:1:2::/:/bin/sh\npostgres:x:104:106:PostgreSQL:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(entry(passwd, "postgres"), Some((104, 106)));
        assert_eq!(entry(passwd, "nobody"), None);
    }

    #[test]
    fn a_folder_of_root_alone_stops_anyone_else() {
        let stranger = User { uid: 12_345, gid: 12_345, drops: true };
        let dir = std::env::temp_dir().join(format!("muster-passes-{}", std::process::id()));
        let inner = dir.join("inner");
        fs::create_dir_all(&inner).unwrap();
        restrict(&dir, 0o700).unwrap();
        assert_eq!(stranger.stopped_at(&inner), Some(dir.clone()));
        restrict(&dir, 0o755).unwrap();
        assert_eq!(stranger.stopped_at(&inner), None);
        fs::remove_dir_all(dir).unwrap();
    }
}
