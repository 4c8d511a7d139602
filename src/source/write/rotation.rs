//! What is known of a rotation at the far end while it goes on, in a hidden file beside the secret file that gets the new
//! secret: that it was asked for, then the secret itself, before anything else can lose it; at the end which one it was. An
//! interrupted run is found out and finished by it.
//!
//! The file's blocks are on the disk before the far end is asked, and each part is written in one sector's place, so that
//! neither a full disk nor a kill can come between a secret and its keeping. A lock on it keeps a second run out.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::folder;
use crate::domain::secret::Secret;
use crate::hash;
use crate::provider::{FarSecret, Provider};

/// What was to be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Whom.
    pub provider: Provider,
    /// The application's id there.
    pub app: String,
    /// The ids of the secrets that were there before.
    pub before: Vec<String>,
}

/// How far the last run came.
#[derive(Debug)]
pub enum Stage {
    /// There was none.
    Fresh,
    /// It asked for a new secret, and what came of it is not known.
    Asked(Note),
    /// It got one, which is here.
    Made(Note, FarSecret),
    /// It was finished: the new secret's id, and its digest.
    Done(Note, Option<String>, String),
}

/// The record of a rotation, held against other runs.
pub struct Record {
    file: File,
    path: PathBuf,
    /// Whether nothing worth keeping stands in it.
    blank: bool,
}

#[derive(Serialize, Deserialize)]
struct Made {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<Zeroizing<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// Where the second part begins: behind the first, in a sector of its own.
const SECOND: usize = 4096;
/// Both parts.
const WHOLE: usize = 2 * SECOND;

impl Record {
    /// Opens or makes the record beside a secret file. Nothing where another run holds it.
    pub fn open(secret_file: &Path) -> io::Result<Option<(Self, Stage)>> {
        let name = secret_file.file_name().unwrap_or_default().to_string_lossy();
        let path = secret_file.with_file_name(format!(".{name}.relatch-rotation"));
        let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let (file, fresh) = match made {
            Ok(file) => (file, true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (ours(&path)?, false),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Another run may have ended between our opening it and our lock, and taken it away.
        if file.metadata()?.nlink() == 0 {
            return Ok(None);
        }
        let mut record = Self { file, path, blank: fresh };
        if fresh {
            record.reserve()?;
        }
        let stage = record.read()?;
        record.blank = matches!(stage, Stage::Fresh);
        Ok(Some((record, stage)))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A secret is about to be asked for.
    pub fn asking(&mut self, note: &Note) -> io::Result<()> {
        self.reserve()?;
        self.write_at(0, &serde_json::to_vec(note)?)?;
        self.blank = false;
        Ok(())
    }

    /// This is the secret.
    pub fn made(&mut self, made: &FarSecret) -> io::Result<()> {
        let text = made.secret.as_ref().and_then(|secret| std::str::from_utf8(secret.expose()).ok());
        let secret = text.map(|text| Zeroizing::new(text.to_owned()));
        let made = Made { id: made.id.clone(), secret, digest: None };
        self.write_at(SECOND, &Zeroizing::new(serde_json::to_vec(&made)?))
    }

    /// It is in its place and taken: of the secret only the digest stays.
    pub fn done(&mut self, id: Option<&str>, secret: &Secret) -> io::Result<()> {
        self.file.set_len(WHOLE as u64)?;
        let digest = digest(secret);
        self.write_at(
            SECOND,
            &serde_json::to_vec(&Made { id: id.map(str::to_owned), secret: None, digest: Some(digest) })?,
        )
    }

    /// Nothing came of it: the next run begins anew.
    pub fn forget(&mut self) {
        self.blank = true;
    }

    fn reserve(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&[b' '; WHOLE])?;
        self.file.sync_all()?;
        folder::sync(self.path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")))
    }

    /// Everything up to the end of a part, so that nothing of what stood there shows through.
    fn write_at(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        let mut part = Zeroizing::new(vec![b' '; SECOND.max(bytes.len())]);
        if let Some(begin) = part.get_mut(..bytes.len()) {
            begin.copy_from_slice(bytes);
        }
        if at < SECOND && part.len() > SECOND {
            return Err(io::Error::other("the application's id is too long to be noted"));
        }
        self.file.seek(SeekFrom::Start(at as u64))?;
        self.file.write_all(&part)?;
        self.file.sync_all()
    }

    fn read(&mut self) -> io::Result<Stage> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(WHOLE));
        self.file.seek(SeekFrom::Start(0))?;
        (&self.file).take(1 << 20).read_to_end(&mut bytes)?;
        let (first, second) = bytes.split_at_checked(SECOND).unwrap_or((&bytes, &[]));
        let Ok(note) = serde_json::from_slice::<Note>(first) else { return Ok(Stage::Fresh) };
        let Ok(made) = serde_json::from_slice::<Made>(second) else { return Ok(Stage::Asked(note)) };
        Ok(match made {
            Made { id, digest: Some(digest), .. } => Stage::Done(note, id, digest),
            Made { id, secret: Some(secret), .. } => {
                let secret = Some(Secret::new(secret.as_bytes().to_vec()));
                Stage::Made(note, FarSecret { id, active: true, created: None, secret })
            }
            Made { .. } => Stage::Asked(note),
        })
    }
}

/// What a finished record knows a secret by.
pub fn digest(secret: &Secret) -> String {
    hash::sha256(secret.expose()).bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.blank {
            // The next run takes it for what it is, an empty one.
            let _nothing_stays = std::fs::remove_file(&self.path);
        }
    }
}

/// A record that is there: a regular file of ours and no link to anywhere.
fn ours(path: &Path) -> io::Result<File> {
    let metadata = path.symlink_metadata()?;
    if !metadata.is_file() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("is not a file of ours: look who put it there, and remove it"));
    }
    OpenOptions::new().read(true).write(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(file: &Path) -> String {
        match Record::open(file).unwrap().map(|(_, stage)| stage) {
            None => "held".to_owned(),
            Some(Stage::Fresh) => "fresh".to_owned(),
            Some(Stage::Asked(note)) => format!("asked {}", note.before.join(" ")),
            Some(Stage::Made(_, made)) => {
                let secret = made.secret.unwrap();
                format!("made {:?} {}", made.id, std::str::from_utf8(secret.expose()).unwrap())
            }
            Some(Stage::Done(_, id, known)) => {
                assert_eq!(known, digest(&Secret::new(b"the new one".to_vec())));
                format!("done {id:?}")
            }
        }
    }

    #[test]
    fn a_record_says_how_far_a_run_came_and_nothing_of_an_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new.secret");
        let path = folder.path().join(".new.secret.relatch-rotation");
        assert_eq!(stage(&file), "fresh");
        assert!(!path.exists(), "nothing stays of a run that asked nothing");
        let note = |before: &[&str]| Note {
            provider: Provider::Okta,
            app: "app".to_owned(),
            before: before.iter().map(|id| (*id).to_owned()).collect(),
        };
        let open = || Record::open(&file).unwrap().unwrap().0;
        let made = |text: &str| FarSecret {
            id: Some("ocs".to_owned()),
            secret: Some(Secret::new(text.into())),
            ..FarSecret::default()
        };
        let mut record = open();
        record.asking(&note(&["a", "b"])).unwrap();
        assert_eq!(stage(&file), "held");
        drop(record);
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(stage(&file), "asked a b");
        open().made(&made("the new one")).unwrap();
        assert_eq!(stage(&file), "made Some(\"ocs\") the new one");
        open().made(&made(&"x".repeat(9000))).unwrap();
        open().done(Some("ocs"), &Secret::new(b"the new one".to_vec())).unwrap();
        assert_eq!(stage(&file), "done Some(\"ocs\")");
        assert!(!std::fs::read_to_string(&path).unwrap().contains("the new one"));
        open().asking(&note(&[])).unwrap();
        assert_eq!(stage(&file), "asked ", "and nothing of the one before");
        let long = "x".repeat(9000);
        open().made(&made(&long)).unwrap();
        assert_eq!(stage(&file), format!("made Some(\"ocs\") {long}"));
        open().forget();
        assert!(!path.exists());
    }

    #[test]
    fn a_record_that_was_cut_is_one_that_asked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new.secret");
        let path = folder.path().join(".new.secret.relatch-rotation");
        let note = Note { provider: Provider::Hydra, app: "a".to_owned(), before: Vec::new() };
        Record::open(&file).unwrap().unwrap().0.asking(&note).unwrap();
        let secret = Some(Secret::new(b"n".to_vec()));
        Record::open(&file).unwrap().unwrap().0.made(&FarSecret { secret, ..FarSecret::default() }).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in [SECOND, SECOND + 5, SECOND + 12] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(stage(&file), "asked ", "{cut}");
        }
        std::fs::write(&path, &whole[..7]).unwrap();
        assert_eq!(stage(&file), "fresh");
    }
}
