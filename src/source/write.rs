//! Changing a list on disk: under a lock, whole or not at all.
//!
//! What is there is compared again with what was read right before it is replaced, so that an editor without the lock
//! loses nothing; and it is replaced by a rename, so that whoever reads (or pulls the plug) finds the old file or the
//! new one.

mod folder;
mod replace;
pub mod rotation;
pub mod secret;
pub mod single;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::file;
use crate::config::clients::ClientList;
use crate::config::edit::{Edit, EditError, apply};
use crate::config::problem::Problems;
use crate::config::tree::{Doc, Language};
use replace::{Prepared, Target};

/// Asked again this often where somebody without the lock was faster.
const AGAIN: usize = 3;

/// One file of a list as it was read under the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListFile {
    /// Where it is.
    pub path: PathBuf,
    /// As messages show it.
    pub name: String,
    /// What it says.
    pub text: String,
    /// In which language.
    pub language: Language,
}

/// What to do to a file of those that were read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEdits {
    /// Its index; one past the last is the file that [`file_for_new_clients`] makes.
    pub file: usize,
    /// In this order.
    pub edits: Vec<Edit>,
}

/// What a file is to say: only what was read back, so that nothing else can replace a list.
pub struct NewText {
    file: usize,
    text: String,
}

impl NewText {
    /// Reads it back; `file` is the index of its file. With what it says.
    pub fn read_back(file: usize, of: &ListFile, text: String) -> Result<(Self, ClientList), EditError> {
        let (list, problems) = ClientList::parse(Doc { name: &of.name, text: &text }, of.language, file);
        match (list, problems.errors.first()) {
            (Some(list), None) => Ok((Self { file, text }, list)),
            (_, problem) => Err(EditError::Unreadable(problem.map(ToString::to_string).unwrap_or_default())),
        }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<T> {
    /// What the change said.
    pub value: T,
    /// The files that are new now, each with the SHA-256 of its bytes.
    pub files: Vec<(PathBuf, file::Fingerprint)>,
}

/// Why a list was not changed.
#[derive(Debug)]
pub enum WriteFailure<E> {
    /// The change itself was refused.
    Change(E),
    /// Somebody else changes this file all the time, or holds the lock of this folder.
    Conflict(PathBuf),
    /// It may not be changed here: where, and why with what to do.
    ReadOnly(PathBuf, String),
    /// The machine failed.
    Failed {
        /// On which file.
        path: PathBuf,
        /// How.
        error: io::Error,
        /// The files of the list that are changed nevertheless.
        changed: Vec<PathBuf>,
    },
    /// The text does not take the change.
    Edit(EditError),
}

impl<E: fmt::Display> fmt::Display for WriteFailure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Change(error) => error.fmt(f),
            Self::Conflict(path) => write!(
                f,
                "{}: somebody else is changing it again and again; nothing was changed: try again when they are done",
                path.display()
            ),
            Self::ReadOnly(path, why) => write!(f, "{}: {why}; nothing was changed", path.display()),
            Self::Failed { path, error, changed } if changed.is_empty() => write!(
                f,
                "{}: {error}; nothing was changed: remove the cause and run the command again",
                path.display()
            ),
            Self::Failed { path, error, changed } => {
                let changed: Vec<_> = changed.iter().map(|path| path.display().to_string()).collect();
                let path = path.display();
                write!(
                    f,
                    "{path}: {error}; changed already: {}: look at the list before the next command",
                    changed.join(", ")
                )
            }
            Self::Edit(error) => write!(f, "{error}; nothing was changed"),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for WriteFailure<E> {}

impl<E> WriteFailure<E> {
    fn failed(path: &Path, error: io::Error) -> Self {
        Self::Failed { path: path.to_owned(), error, changed: Vec::new() }
    }
}

/// Reads the list under its lock, lets `change` decide, and makes the edits to the files that change. `change` is asked again when
/// somebody without the lock (an editor) changed the files meanwhile. What still reads as `ours`, the files that an
/// earlier change wrote, is taken at once; another file that was just changed may still be being written.
pub fn rewrite<T, E>(
    list: &Path,
    ours: &[(PathBuf, file::Fingerprint)],
    mut change: impl FnMut(&[ListFile]) -> Result<(Vec<FileEdits>, T), E>,
) -> Result<Written<T>, WriteFailure<E>> {
    rewrite_texts(list, ours, |files| {
        let (edits, value) = change(files).map_err(WriteFailure::Change)?;
        let mut by_file: BTreeMap<usize, Vec<Edit>> = BTreeMap::new();
        for edits in edits {
            by_file.entry(edits.file).or_default().extend(edits.edits);
        }
        let edited = |(index, edits): (usize, Vec<Edit>)| edited(index, &file_at(list, files, index), &edits);
        Ok((by_file.into_iter().map(edited).collect::<Result<_, _>>()?, value))
    })
}

/// The same with a `change` that says what the files are to say.
pub fn rewrite_texts<T, E>(
    list: &Path,
    ours: &[(PathBuf, file::Fingerprint)],
    mut change: impl FnMut(&[ListFile]) -> Result<(Vec<NewText>, T), WriteFailure<E>>,
) -> Result<Written<T>, WriteFailure<E>> {
    let folder = folder::of(list).map_err(|error| WriteFailure::failed(list, error))?;
    let _lock = match folder::lock(&folder) {
        Ok(Some(lock)) => lock,
        Ok(None) => return Err(WriteFailure::Conflict(folder)),
        Err(error) => {
            let what = io::Error::new(error.kind(), format!("cannot lock the folder of the list: {error}"));
            return Err(WriteFailure::failed(&folder, what));
        }
    };
    let mut busy = list.to_owned();
    for _ in 0..=AGAIN {
        let files = read(list, ours)?;
        let (texts, value) = change(&files)?;
        match write(list, &folder, &files, &texts)? {
            Done::All(files) => return Ok(Written { value, files }),
            Done::Overtaken(path) => busy = path,
        }
    }
    Err(WriteFailure::Conflict(busy))
}

/// The index of the file that a new client goes to: the list's only one, or `clients.toml` of a folder; `clients.json`
/// where a folder holds no TOML. One past the last where that file is not there yet.
pub fn file_for_new_clients(list: &Path, files: &[ListFile]) -> usize {
    if !list.is_dir() {
        return 0;
    }
    let path = file_of_a_folder(list, files);
    files.iter().position(|file| file.path == path).unwrap_or(files.len())
}

/// The file of an index; the one that is to be made where it is one past the last.
pub fn file_at<'f>(list: &Path, files: &'f [ListFile], index: usize) -> Cow<'f, ListFile> {
    files.get(index).map_or_else(
        || {
            let path = file_of_a_folder(list, files);
            let language = file::language(&path).unwrap_or(Language::Toml);
            Cow::Owned(ListFile { name: path.display().to_string(), path, text: String::new(), language })
        },
        Cow::Borrowed,
    )
}

fn file_of_a_folder(list: &Path, files: &[ListFile]) -> PathBuf {
    let json = !files.is_empty() && files.iter().all(|file| file.language == Language::Json);
    list.join(if json { "clients.json" } else { "clients.toml" })
}

fn read<E>(list: &Path, ours: &[(PathBuf, file::Fingerprint)]) -> Result<Vec<ListFile>, WriteFailure<E>> {
    let mut problems = Problems::default();
    let paths = file::list_files(list, &mut problems);
    if let Some(problem) = problems.errors.first() {
        return Err(WriteFailure::failed(list, io::Error::other(problem.message.clone())));
    }
    let read_one = |path: PathBuf| {
        let failed = |why: String| WriteFailure::failed(&path, io::Error::other(why));
        let Some(language) = file::language(&path) else {
            return Err(failed("the name ends neither in .toml nor in .json: rename the file".to_owned()));
        };
        let bytes = file::read_known(&path, file::MOST_LIST, ours).map_err(|error| failed(file::unreadable(&error)))?;
        let text = String::from_utf8(bytes).map_err(|_| failed("is not UTF-8 text".to_owned()))?;
        Ok(ListFile { name: path.display().to_string(), path, text, language })
    };
    paths.into_iter().map(read_one).collect()
}

enum Done {
    All(Vec<(PathBuf, file::Fingerprint)>),
    /// Somebody changed this file between our reading and our writing.
    Overtaken(PathBuf),
}

/// Makes every new file beside its old one before the first takes its place.
fn write<E>(list: &Path, folder: &Path, files: &[ListFile], texts: &[NewText]) -> Result<Done, WriteFailure<E>> {
    let mut prepared: Vec<Prepared> = Vec::new();
    for NewText { file, text } in texts {
        let old = files.get(*file).map(|file| file.text.as_str());
        let file = file_at(list, files, *file);
        if old == Some(text.as_str()) {
            continue;
        }
        let target = Target::of(&file.path, old)?;
        if prepared.is_empty() {
            folder::sweep(folder);
        }
        prepared.push(Prepared::write(target, text.as_bytes())?);
    }
    if let Some(overtaken) = prepared.iter().find(|one| !one.target().unchanged()) {
        return Ok(Done::Overtaken(overtaken.target().path().to_owned()));
    }
    let mut done: Vec<(PathBuf, file::Fingerprint)> = Vec::new();
    for one in prepared {
        let path = one.target().path().to_owned();
        let changed = |done: &[(PathBuf, file::Fingerprint)]| done.iter().map(|(path, _)| path.clone()).collect();
        // Looked at again as late as can be.
        if !one.target().unchanged() {
            if done.is_empty() {
                return Ok(Done::Overtaken(path));
            }
            let error = io::Error::other("somebody else changed it meanwhile");
            return Err(WriteFailure::Failed { path, error, changed: changed(&done) });
        }
        let folder = one.target().folder().to_owned();
        match one.put_in_place() {
            Ok(digest) => done.push((path, digest)),
            Err(failure) if done.is_empty() => return Err(failure),
            Err(WriteFailure::ReadOnly(path, why)) => {
                return Err(WriteFailure::Failed { path, error: io::Error::other(why), changed: changed(&done) });
            }
            Err(WriteFailure::Failed { path, error, .. }) => {
                return Err(WriteFailure::Failed { path, error, changed: changed(&done) });
            }
            Err(other) => return Err(other),
        }
        if let Err(error) = folder::sync(&folder) {
            let why = format!("is changed, but the disk did not confirm it, and a power cut may undo it: {error}");
            let path = done.last().map_or(folder, |(path, _)| path.clone());
            return Err(WriteFailure::Failed { path, error: io::Error::other(why), changed: changed(&done) });
        }
    }
    Ok(Done::All(done))
}

/// The new text of a file.
fn edited<E>(index: usize, file: &ListFile, edits: &[Edit]) -> Result<NewText, WriteFailure<E>> {
    let text = apply(&file.text, file.language, edits).map_err(|error| match error {
        EditError::Unreadable(why) => WriteFailure::Edit(EditError::Unreadable(format!("{}: {why}", file.name))),
        other => WriteFailure::Edit(other),
    })?;
    NewText::read_back(index, file, text).map(|(text, _)| text).map_err(WriteFailure::Edit)
}
