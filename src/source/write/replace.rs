//! Replacing one file: the new one is made beside the old one, on the disk before it has the name.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Uid};
use sha2::{Digest, Sha256};

use super::{WriteFailure, folder};
use crate::source::file::Fingerprint;

/// As many as Linux follows.
const MOST_LINKS: usize = 40;
/// What is written there the kubelet would overwrite.
const MOUNTED: &str = "is mounted by Kubernetes: edit the Secret that it comes from (`kubectl edit secret`, or what makes it), \
                       and it is taken up from there by itself";
/// Tries for a name that is free.
const NAMES: usize = 100;

/// A file that may be replaced, as it was when it was read.
pub(super) struct Target {
    /// As the list names it.
    path: PathBuf,
    /// The file itself, behind all links.
    real: PathBuf,
    folder: PathBuf,
    /// What it said; nothing where it is to be made.
    old: Option<String>,
    metadata: Option<Metadata>,
}

impl Target {
    /// Finds the file that a path leads to, and refuses what must not be replaced.
    pub(super) fn of<E>(path: &Path, old: Option<&str>) -> Result<Self, WriteFailure<E>> {
        let read_only = |why: &str| Err(WriteFailure::ReadOnly(path.to_owned(), why.to_owned()));
        let failed = |error: io::Error| WriteFailure::failed(path, error);
        let absolute = std::path::absolute(path).map_err(failed)?;
        let mut real = absolute.clone();
        for _ in 0..MOST_LINKS {
            if is_mounted(&real) {
                return read_only(MOUNTED);
            }
            let Ok(metadata) = real.symlink_metadata() else { break };
            if !metadata.is_symlink() {
                break;
            }
            if !trusted(&metadata) {
                return read_only(
                    "is a symlink of another user, who could lead it anywhere: edit the file it leads to",
                );
            }
            let next = std::fs::read_link(&real).map_err(failed)?;
            real = real.parent().unwrap_or(Path::new("/")).join(next);
        }
        let linked = real != absolute;
        let parent = real.parent().unwrap_or(Path::new("/")).canonicalize().map_err(failed)?;
        let real = parent.join(real.file_name().unwrap_or_default());
        if is_mounted(&real) {
            return read_only(MOUNTED);
        }
        let metadata = match real.symlink_metadata() {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound && old.is_none() => None,
            Err(error) => return Err(failed(error)),
        };
        if let Some(metadata) = &metadata {
            if !metadata.is_file() {
                return read_only("is not a regular file");
            }
            if linked && !trusted(metadata) {
                return read_only("is a symlink to a file of another user: edit that file as that user");
            }
        }
        Ok(Self { path: path.to_owned(), real, folder: parent, old: old.map(str::to_owned), metadata })
    }

    /// As the list names it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the file itself is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether it still says what it said.
    pub(super) fn unchanged(&self) -> bool {
        match (std::fs::read(&self.real), &self.old) {
            (Ok(bytes), Some(old)) => bytes == old.as_bytes(),
            (Err(error), None) => error.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// Hashes in a list are for us alone; a group that was let in on purpose stays in.
    fn mode(&self) -> u32 {
        match self.metadata.as_ref().map(|metadata| metadata.mode() & 0o777) {
            Some(0o640) => 0o640,
            _ => 0o600,
        }
    }
}

/// A new file beside the old one, complete and on the disk. Gone when it is dropped before it took its place.
pub(super) struct Prepared {
    target: Target,
    temporary: Temporary,
    digest: Fingerprint,
}

struct Temporary(Option<PathBuf>);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // The next run removes it where this one cannot.
            let _swept_later = std::fs::remove_file(path);
        }
    }
}

impl Prepared {
    /// Writes the bytes beside its target.
    pub(super) fn write<E>(target: Target, bytes: &[u8]) -> Result<Self, WriteFailure<E>> {
        let (file, temporary) = create(&target.folder).map_err(|error| refused(&target.path, &error))?;
        let temporary = Temporary(Some(temporary));
        own(&file, &target)?;
        fill(&file, &target, bytes).map_err(|error| refused(&target.path, &error))?;
        Ok(Self { target, temporary, digest: Sha256::digest(bytes).into() })
    }

    /// What it is to replace.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Gives it the name.
    pub(super) fn put_in_place<E>(mut self) -> Result<Fingerprint, WriteFailure<E>> {
        if let Some(temporary) = &self.temporary.0 {
            retried(|| std::fs::rename(temporary, &self.target.real))
                .map_err(|error| refused(&self.target.path, &error))?;
        }
        self.temporary.0 = None;
        Ok(self.digest)
    }
}

/// A file with a name of ours that nobody else has, for us alone.
fn create(folder: &Path) -> io::Result<(File, PathBuf)> {
    for number in 0..NAMES {
        let path = folder::temporary(folder, number);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many files of killed runs stand beside it: remove .relatch-*.tmp"))
}

/// Gives the new file to whom the old one belongs.
fn own<E>(file: &File, target: &Target) -> Result<(), WriteFailure<E>> {
    let Some(old) = &target.metadata else { return Ok(()) };
    let new = file.metadata().map_err(|error| refused(&target.path, &error))?;
    if (old.uid(), old.gid()) == (new.uid(), new.gid()) {
        return Ok(());
    }
    rustix::fs::fchown(file, Some(Uid::from_raw(old.uid())), Some(Gid::from_raw(old.gid()))).map_err(|error| {
        let why = format!(
            "belongs to user {} and group {}, to whom the new file cannot be given ({}): run the command as that user",
            old.uid(),
            old.gid(),
            io::Error::from(error)
        );
        WriteFailure::ReadOnly(target.path.clone(), why)
    })
}

/// Everything that must be on the disk before the file has the name: a rename may get there before it.
fn fill(mut file: &File, target: &Target, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.set_permissions(Permissions::from_mode(target.mode()))?;
    file.sync_all()
}

fn retried<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Whether only we or root can have put it there.
fn trusted(metadata: &Metadata) -> bool {
    metadata.uid() == 0 || metadata.uid() == rustix::process::geteuid().as_raw()
}

/// Whether a path goes through a mounted Secret or `ConfigMap`, where `..data` leads to the files in force.
fn is_mounted(path: &Path) -> bool {
    path.ancestors().any(|part| {
        part.file_name().is_some_and(|name| name == "..data")
            || part.parent().is_some_and(|folder| {
                folder.join("..data").symlink_metadata().is_ok_and(|metadata| metadata.is_symlink())
            })
    })
}

/// What the operator can do about an error.
pub(super) fn refused<E>(path: &Path, error: &io::Error) -> WriteFailure<E> {
    let why = match error.kind() {
        io::ErrorKind::ReadOnlyFilesystem => {
            "is on a read-only file system: edit it where it comes from, and it is taken up from there by itself"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            format!("its folder may not be written by us ({error}): run the command as the user it belongs to")
        }
        _ => {
            return WriteFailure::failed(path, io::Error::new(error.kind(), format!("cannot be written: {error}")));
        }
    };
    WriteFailure::ReadOnly(path.to_owned(), why)
}
