//! The folder of a list: its lock, its leftovers, its place on the disk.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// An edit takes milliseconds; who waits longer waits for somebody who hangs.
const PATIENCE: Duration = Duration::from_secs(10);
const BETWEEN_TRIES: Duration = Duration::from_millis(10);

/// The folder that holds a list: itself, or that of the file which the path leads to.
pub(super) fn of(list: &Path) -> io::Result<PathBuf> {
    let list = list.canonicalize()?;
    if list.is_dir() {
        return Ok(list);
    }
    list.parent().map(Path::to_owned).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Locks a folder against other commands until the file is dropped; a lock needs no file of its own this way. Nothing
/// where somebody holds it for longer than anybody should.
pub(super) fn lock(folder: &Path) -> io::Result<Option<File>> {
    let file = File::open(folder)?;
    for _ in 0..PATIENCE.as_millis() / BETWEEN_TRIES.as_millis() {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => std::thread::sleep(BETWEEN_TRIES),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(None)
}

/// Makes renames in a folder last.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A name that no list reads, since it is hidden, and that we know again.
pub(super) fn temporary(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!(".relatch-{}-{number}.tmp", std::process::id()))
}

/// Removes what a killed run left behind: files of ours with our names. Only under the lock is it known that none of
/// them is in use.
pub(super) fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let us = rustix::process::geteuid().as_raw();
    for entry in entries.flatten() {
        let ours = entry.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.uid() == us);
        if ours && entry.file_name().to_str().is_some_and(is_temporary) {
            // One that stays harms nobody, and the next run tries again.
            let _harmless = std::fs::remove_file(entry.path());
        }
    }
}

fn is_temporary(name: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    name.strip_prefix(".relatch-")
        .and_then(|name| name.strip_suffix(".tmp"))
        .and_then(|name| name.split_once('-'))
        .is_some_and(|(process, number)| digits(process) && digits(number))
}
