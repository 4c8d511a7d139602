//! The state file as a file: locked, appended to, written anew. Whatever interrupts it, the old or the new one is there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Timespec, Timestamps, UTIME_NOW, UTIME_OMIT};

use super::journal::{self, Found, State};

/// A state file that is ours alone.
pub(super) struct Store {
    path: PathBuf,
    file: File,
    /// How long it is.
    pub(super) size: u64,
    /// How long nobody had written or touched it when it was opened.
    pub(super) silent_for: Duration,
}

/// What became of opening one.
pub(super) enum Opened {
    /// It is ours; what it says, and how many of its lines could not be read.
    Ours(Store, State, usize),
    /// Another instance has it.
    Locked,
    /// A newer version wrote it.
    Newer(u32),
    /// It is no state file.
    Foreign,
}

/// How long nobody has written or touched a file.
pub(super) fn silence(metadata: &fs::Metadata) -> Duration {
    // A time ahead is one at which somebody wrote.
    metadata.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or_default()
}

/// Looks at a file that is being replaced.
const LOOKS: usize = 8;

impl Store {
    /// Opens and locks it, and makes it where it is missing.
    pub(super) fn open(path: &Path) -> io::Result<Opened> {
        for _ in 0..LOOKS {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
            if !file.metadata()?.is_file() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
            }
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(Opened::Locked),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            let silent_for = silence(&file.metadata()?);
            let store = Self { path: path.to_owned(), size: 0, silent_for, file };
            // Whoever had it may have renamed another one over it meanwhile.
            if !store.is_in_place() {
                continue;
            }
            return Ok(match journal::read(BufReader::new(&store.file))? {
                Found::Ours(state, damaged) => Opened::Ours(store, state, damaged),
                Found::Newer(version) => Opened::Newer(version),
                Found::Foreign => Opened::Foreign,
            });
        }
        Ok(Opened::Locked)
    }

    /// Whether the file of that name is still this one.
    pub(super) fn is_in_place(&self) -> bool {
        let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        self.file.metadata().and_then(|ours| Ok(same(ours, fs::metadata(&self.path)?))).unwrap_or(false)
    }

    /// Says that somebody is listening, where there is nothing else to say.
    pub(super) fn touch(&self) -> io::Result<()> {
        let at = |nanoseconds| Timespec { tv_sec: 0, tv_nsec: nanoseconds };
        let times = Timestamps { last_access: at(UTIME_OMIT), last_modification: at(UTIME_NOW) };
        Ok(rustix::fs::futimens(&self.file, &times)?)
    }

    /// Appends lines; they are on the disk when this returns.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)?;
        self.size += lines.len() as u64;
        self.file.sync_data()
    }

    /// Puts another file in place of this one: whole or not at all.
    pub(super) fn rewrite(&mut self, content: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>) -> io::Result<()> {
        let mut fresh = self.path.clone().into_os_string();
        fresh.push(".new");
        // One that an interrupted instance left: only who has the lock comes here.
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(&fresh)?;
        // Before it has the name, so that nobody else gets it.
        file.try_lock().map_err(|_| io::Error::other("the new file is locked"))?;
        let mut writer = BufWriter::with_capacity(1 << 18, &file);
        content(&mut writer)?;
        writer.flush()?;
        drop(writer);
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        self.size = file.metadata()?.len();
        self.file = file;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}
