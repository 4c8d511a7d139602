//! The file: opened to be appended to, each line one write, so that several processes may write to it and a copy that is
//! truncated goes on at its new end.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Whether there is time for a disk or a pipe that does not answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// A thread of its own waits.
    Endless,
    /// A command, which somebody waits for.
    None,
}

/// A file that lines are appended to; opened when it is needed.
pub(super) struct AuditFile {
    path: PathBuf,
    patience: Patience,
    file: Option<File>,
    /// It ends with half a line.
    torn: bool,
}

impl AuditFile {
    pub(super) const fn new(path: PathBuf, patience: Patience) -> Self {
        Self { path, patience, file: None, torn: false }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line by one write. What failed may have left half of it, which the next one ends.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        // One that was deleted would take lines that nobody will read.
        if self.file.as_ref().is_some_and(|file| file.metadata().is_ok_and(|found| found.nlink() == 0)) {
            self.reopen();
        }
        let appended = self.try_append(line);
        if appended.is_err() {
            // What is wrong may be this file, and not its name.
            self.file = None;
        }
        appended
    }

    fn try_append(&mut self, line: &[u8]) -> io::Result<()> {
        self.open()?;
        let Some(file) = &mut self.file else { return Err(ErrorKind::NotFound.into()) };
        let ended;
        let line = if self.torn {
            ended = [b"\n", line].concat();
            &ended
        } else {
            line
        };
        let written = loop {
            match file.write(line) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                written => break written?,
            }
        };
        self.torn = if written == 0 { self.torn } else { written < line.len() };
        if written < line.len() {
            Err(io::Error::new(ErrorKind::StorageFull, "half a line was written"))
        } else {
            Ok(())
        }
    }

    /// Lets go of the file: the next line goes to the one that has the name then.
    pub(super) fn reopen(&mut self) {
        self.file = None;
        self.torn = false;
    }

    /// Opens it where it is not open.
    pub(super) fn open(&mut self) -> io::Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        let mut options = OpenOptions::new();
        options.append(true).mode(0o600);
        // Whoever owns the folder does not choose which file of another root's command writes to.
        let mut flags = OFlags::NOFOLLOW;
        flags.set(OFlags::NONBLOCK, self.patience == Patience::None);
        options.custom_flags(flags.bits().cast_signed());
        let made = options.clone().create_new(true).open(&self.path);
        let (file, is_new) = match made {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => (options.open(&self.path)?, false),
            made => (made?, true),
        };
        let found = file.metadata()?;
        if is_new && self.patience == Patience::None {
            give_to_the_owner_of_the_folder(&self.path, &file);
        }
        if found.is_file() && found.len() > 0 {
            self.torn |= !ends_a_line(&self.path);
        }
        self.file = Some(file);
        Ok(())
    }
}

/// A command of root must not keep an instance of another user from its own log.
fn give_to_the_owner_of_the_folder(path: &Path, file: &File) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let (true, Ok(found)) = (rustix::process::geteuid().is_root(), folder.metadata()) {
        let _stays_ours = fchown(file, Some(found.uid()), Some(found.gid()));
    }
}

/// Whether a file that is not empty ends with a line feed. One that may not be read is taken for whole.
fn ends_a_line(path: &Path) -> bool {
    let last = || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok::<_, io::Error>(last == *b"\n")
    };
    last().unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn lines_go_to_the_end_of_the_file_that_has_the_name_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("a"), folder.path().join("a.1"));
        let mut file = AuditFile::new(path.clone(), Patience::Endless);
        file.append(b"1\n").unwrap();
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        std::fs::rename(&path, &moved).unwrap();
        file.append(b"2\n").unwrap();
        file.reopen();
        file.append(b"3\n").unwrap();
        assert_eq!((read(&moved), read(&path)), ("1\n2\n".to_owned(), "3\n".to_owned()));
        // As copytruncate does it.
        OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
        file.append(b"4\n").unwrap();
        assert_eq!(read(&path), "4\n");
        std::fs::remove_file(&path).unwrap();
        file.append(b"5\n").unwrap();
        assert_eq!(read(&path), "5\n");
    }

    #[test]
    fn half_a_line_is_ended_before_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "whole\nhal").unwrap();
        let mut file = AuditFile::new(path.clone(), Patience::Endless);
        file.append(b"1\n").unwrap();
        file.append(b"2\n").unwrap();
        assert_eq!(read(&path), "whole\nhal\n1\n2\n");
    }

    #[test]
    fn what_cannot_be_written_is_an_error_and_tried_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("a");
        let mut file = AuditFile::new(path.clone(), Patience::None);
        assert!(file.append(b"1\n").is_err());
        std::fs::create_dir(folder.path().join("missing")).unwrap();
        file.append(b"2\n").unwrap();
        assert_eq!(read(&path), "2\n");
        let mut full = AuditFile::new("/dev/full".into(), Patience::Endless);
        assert!(full.append(b"1\n").is_err() && full.append(b"2\n").is_err());
    }
}
