//! How the kernel shares the cores out to what runs here, and the control group in which it does so by thread.
//!
//! Where no service manager or container runtime has put a process into a control group, the kernel shares cores out by session (autogroup), and each
//! process of PostgreSQL is a session of its own: beside two hashing threads such a process waited up to 170 ms for a core, and with it GetUser.
//! Whoever runs PostgreSQL on a machine turns that off (`kernel.sched_autogroup_enabled=0`) or has a group. So the bench runs in one of its own.
//! Source: sched(7), "The autogroup feature", which is in effect in the root group alone; cgroups(7).

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// Where the first version of control groups has the one for cores, and where the second has all of them.
const FIRST: &str = "/sys/fs/cgroup/cpu";
const SECOND: &str = "/sys/fs/cgroup";
/// The group, which runs after one that was killed find again.
const NAME: &str = "muster-bench";

/// How cores are shared out to the bench and what it starts, as long as it holds this.
pub(super) struct Cores {
    /// The group that this process was put into, below the root.
    group: Option<PathBuf>,
    by: By,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Thread,
    Session,
}

impl Cores {
    /// Puts this process into a control group, if cores are shared out by session here and it may do so.
    pub(super) fn by_thread() -> Self {
        let is_on = fs::read_to_string("/proc/sys/kernel/sched_autogroup_enabled").is_ok_and(|text| text.trim() == "1");
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let subtree = fs::read_to_string(Path::new(SECOND).join("cgroup.subtree_control")).unwrap_or_default();
        let Some(root) = root_of(&groups, &subtree).filter(|_| is_on) else {
            let by = if is_on && is_root(&groups) { By::Session } else { By::Thread };
            return Cores { group: None, by };
        };
        match enter(&root.join(NAME)) {
            Ok(group) => Cores { group: Some(group), by: By::Thread },
            Err(_) => Cores { group: None, by: By::Session },
        }
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.by {
            By::Thread => "cores shared out by thread",
            By::Session => "cores shared out by session (autogroup)",
        })
    }
}

impl Drop for Cores {
    fn drop(&mut self) {
        let Some(group) = &self.group else { return };
        let left = group.parent().map(join);
        // It stays where somebody else is in it.
        if left.is_some_and(|left| left.is_ok()) {
            let _ = fs::remove_dir(group);
        }
    }
}

/// The root group that this process is in, where a group below it has its own share of cores; `None` if it is in another one, or may not make any.
fn root_of(groups: &str, subtree: &str) -> Option<PathBuf> {
    match path(groups, "cpu") {
        Some("/") => Some(FIRST.into()),
        Some(_) => None,
        None => (path(groups, "")? == "/" && subtree.split_whitespace().any(|controller| controller == "cpu")).then(|| SECOND.into()),
    }
}

/// Whether this process is in the root group as far as cores go.
fn is_root(groups: &str) -> bool {
    path(groups, "cpu").or_else(|| path(groups, "")) == Some("/")
}

/// The path of this process's group under `controller`, or with none under the second version. Each line is `id:controllers:path`.
fn path<'a>(groups: &'a str, controller: &str) -> Option<&'a str> {
    groups.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|name| name == controller).then_some(path)
    })
}

/// Puts this process into `group`, which is made if it is not there.
fn enter(group: &Path) -> io::Result<PathBuf> {
    fs::create_dir(group).or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })?;
    join(group)?;
    Ok(group.to_owned())
}

fn join(group: &Path) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), std::process::id().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST_VERSION: &str = "3:memory:/somewhere\n1:cpu,cpuacct:/\n0::/\n";

    #[test]
    fn a_process_in_the_root_group_of_cores_can_be_given_a_group() {
        assert_eq!(root_of(FIRST_VERSION, ""), Some(FIRST.into()));
        assert_eq!(root_of("0::/\n", "cpu memory\n"), Some(SECOND.into()));
    }

    #[test]
    fn one_that_has_a_group_is_left_there_and_one_whose_group_would_have_no_share_is_not_moved() {
        assert_eq!(root_of("1:cpu:/system.slice/muster.service\n0::/\n", "cpu"), None);
        assert_eq!(root_of("0::/user.slice\n", "cpu"), None);
        assert_eq!(root_of("0::/\n", "cpuset memory"), None);
        assert!(is_root("0::/\n") && is_root(FIRST_VERSION) && !is_root("0::/user.slice\n"));
    }
}
