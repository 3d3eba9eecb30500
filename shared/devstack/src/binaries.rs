//! Finds the servers' programs, and refuses versions that would fail later and in silence.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

use crate::Error;

/// Where Debian and its kin keep the server of each major version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// The folder of `postgres` and `initdb`: of major version `of` when data of that version is there, else the newest.
pub(crate) fn postgres(of: Option<u32>) -> Result<PathBuf, Error> {
    let mut found: Vec<(u32, PathBuf)> = Vec::new();
    let configured = output(Path::new("pg_config"), &["--bindir"]).map(|dir| PathBuf::from(dir.trim()));
    let packaged = fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    for dir in configured.into_iter().chain(packaged) {
        let version = output(&dir.join("postgres"), &["--version"]).and_then(|text| numbers(&text).first().copied());
        if let Some(version) = version.filter(|_| dir.join("initdb").is_file()) {
            found.push((version, dir));
        }
    }
    let newest_first = |list: &mut Vec<(u32, PathBuf)>| list.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    newest_first(&mut found);
    if let Some(of) = of {
        found.retain(|(version, _)| *version == of);
    }
    match found.into_iter().next() {
        Some((version, dir)) if version >= 15 => Ok(dir),
        Some((version, dir)) => Err(Error::TooOld {
            program: dir.join("postgres"),
            found: version.to_string(),
            wanted: "muster needs PostgreSQL 15 or newer: install it (Debian: apt-get install postgresql)",
        }),
        None => Err(Error::Missing {
            what: "PostgreSQL",
            instead: of.map_or_else(
                || "install PostgreSQL 15 or newer (Debian: apt-get install postgresql)".to_owned(),
                |of| format!("the data are of version {of} and no such server is installed: install it, or move the folder away"),
            ),
        }),
    }
}

/// `nats-server`: named by MUSTER_NATS_SERVER, else `.muster/tools/nats-server` here or in a folder above, else on PATH.
pub(crate) fn nats() -> Result<PathBuf, Error> {
    let named = env::var_os("MUSTER_NATS_SERVER").map(PathBuf::from);
    let program =
        named.or_else(|| upward(".muster/tools/nats-server")).or_else(|| on_path("nats-server")).ok_or_else(|| Error::Missing {
            what: "nats-server",
            instead: "run `make tools`, which puts it into .muster/tools, or name one in MUSTER_NATS_SERVER".to_owned(),
        })?;
    checked(program)
}

/// `redis-server` on PATH.
pub(crate) fn redis() -> Result<PathBuf, Error> {
    on_path("redis-server")
        .ok_or_else(|| Error::Missing { what: "redis-server", instead: "install it (Debian: apt-get install redis-server)".to_owned() })
}

/// Asks a nats-server for its version, once for each path and process.
fn checked(program: PathBuf) -> Result<PathBuf, Error> {
    static CHECKED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
    let mut checked = CHECKED.lock().unwrap_or_else(PoisonError::into_inner);
    if checked.contains(&program) {
        return Ok(program);
    }
    let text = output(&program, &["--version"]).ok_or_else(|| Error::Missing {
        what: "nats-server",
        instead: format!("{} does not run; run `make tools`, or name another in MUSTER_NATS_SERVER", program.display()),
    })?;
    if !new_enough(&text) {
        let found = text.trim().trim_start_matches("nats-server: ").to_owned();
        let wanted = "muster needs 2.10 or newer, because older ones drop consumer filters in silence: run `make tools`";
        return Err(Error::TooOld { program, found, wanted });
    }
    checked.push(program.clone());
    Ok(program)
}

fn new_enough(text: &str) -> bool {
    numbers(text).get(..2).is_some_and(|version| version >= &[2, 10][..])
}

/// The numbers in a text, in order: `nats-server: v2.10.3` has 2, 10, 3.
fn numbers(text: &str) -> Vec<u32> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

fn output(program: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

fn upward(relative: &str) -> Option<PathBuf> {
    let here = env::current_dir().ok();
    let manifest = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let starts: Vec<PathBuf> = here.into_iter().chain(manifest).collect();
    starts.iter().flat_map(|start| start.ancestors()).map(|dir| dir.join(relative)).find(|path| path.is_file())
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for text in ["nats-server: v2.10.0", "nats-server: v2.15.1", "nats-server: v3.0.0"] {
            assert!(new_enough(text), "{text}");
        }
        for text in ["nats-server: v2.9.10", "nats-server: v1.14.0", "nonsense"] {
            assert!(!new_enough(text), "{text}");
        }
    }

    #[test]
    fn an_old_nats_server_is_refused_in_words() {
        let program = env::temp_dir().join(format!("muster-old-nats-{}", std::process::id()));
        fs::write(&program, "#!/bin/sh\necho 'nats-server: v2.9.10'\n").unwrap();
        crate::user::restrict(&program, 0o755).unwrap();
        let told = checked(program.clone()).unwrap_err().to_string();
        fs::remove_file(program).unwrap();
        assert!(told.contains("is version v2.9.10, and muster needs 2.10 or newer") && told.contains("make tools"), "{told}");
    }

    #[test]
    fn data_of_a_version_that_is_not_installed_are_told_of() {
        let told = postgres(Some(9)).unwrap_err().to_string();
        assert!(told.contains("the data are of version 9"), "{told}");
    }
}
