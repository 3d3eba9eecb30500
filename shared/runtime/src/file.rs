//! Files that appear whole or not at all, whoever else makes the same ones, and whatever is killed meanwhile.
//!
//! Deliberately absent: what is in them, and locks. A draft beside the file is moved to its place in one step.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::Ids;

/// Makes the file at `path` with `bytes`, unless there is one: of several that make it at once the first one stays, so read it afterwards.
/// `mode` is that of the file, such as `0o600`.
///
/// # Errors
/// It can't be written.
pub fn create_once(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let draft = draft(path, bytes, mode)?;
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Puts `bytes` at `path`, in place of what was there: a reader sees all of the one or all of the other.
///
/// # Errors
/// It can't be written.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    fs::rename(draft(path, bytes, mode)?, path)
}

fn draft(path: &Path, bytes: &[u8], mode: u32) -> io::Result<PathBuf> {
    let draft = path.with_extension(format!("draft-{}", Ids::system().next()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_that_make_a_file_at_once_one_stays_and_no_draft() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks.key");
        let seen: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let make = |n: u8| {
                create_once(&path, &[n; 1_000], 0o600).unwrap();
                fs::read(&path).unwrap()
            };
            let makers: Vec<_> = (0..16).map(|n| scope.spawn(move || make(n))).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        assert!(seen.iter().all(|bytes| *bytes == seen[0] && bytes.len() == 1_000));
        replace(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
