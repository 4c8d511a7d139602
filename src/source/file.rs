//! A client list in a file, or in a directory of files as Kubernetes mounts them; and the secret files it names.
//!
//! Reading is bounded and patient: a file that is just being written is read again, one that vanished under a symlink
//! swap is looked for again, and what is not a regular file is refused before it can block.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::config::clients::{ClientEntry, ClientList, Material, SecretStatus, Spot, place};
use crate::config::problem::{Place, Problems};
use crate::config::tree::{Doc, Language};
use crate::domain::mint;
use crate::domain::secret::Secret;
use crate::registry::build::SecretFiles;

/// A million secrets are 200 MiB.
pub(super) const MOST_LIST: u64 = 512 << 20;
/// As much as a header may hold, and more.
const MOST_SECRET: u64 = 64 << 10;
/// A file changed more recently than this may still be being written.
const SETTLING: Duration = Duration::from_millis(50);
/// Tries before a file is taken, or given up, as it is.
const TRIES: usize = 10;

/// The text of one file.
pub struct Text {
    name: String,
    path: PathBuf,
    /// What the path led to just before it was read.
    target: PathBuf,
    text: String,
    language: Language,
}

/// Everything that a list is made of, as read at one moment.
pub struct Content {
    /// The entries of all files, in the order of the files' names.
    pub entries: Vec<ClientEntry>,
    /// The files that had their `[end]`.
    pub guarded: Vec<String>,
    /// The secret files.
    pub files: SecretFiles,
    /// Every secret file that is named, with its digest (zeros for one that cannot be read): for the next look and for
    /// watching.
    pub secrets: BTreeMap<PathBuf, Fingerprint>,
    /// Why secret files cannot be read. They were looked for long enough, however many clients name them.
    unreadable: HashMap<PathBuf, String>,
    texts: Vec<Text>,
}

/// A digest over the bytes of everything that was read.
pub type Fingerprint = [u8; 32];

/// Whether a file may still be being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// It may: one that was just changed is read again until it stays the same.
    Settle,
    /// It may not: it was put in its place whole.
    Whole,
}

/// Reads the texts of a list, and tells which files cannot be read. A file that went between the listing of its folder
/// and its own reading (a mounted Secret was swapped) makes both be done again.
pub fn read(path: &Path, patience: Patience) -> (Vec<Text>, Problems) {
    for _ in 0..TRIES {
        let (texts, problems, vanished) = read_once(path, patience);
        if (!vanished || !path.is_dir()) && places(&texts).still() {
            return (texts, problems);
        }
        std::thread::sleep(SETTLING / 2);
    }
    let (texts, problems, _) = read_once(path, patience);
    (texts, problems)
}

fn read_once(path: &Path, patience: Patience) -> (Vec<Text>, Problems, bool) {
    let mut problems = Problems::default();
    let mut texts = Vec::new();
    let mut vanished = false;
    for path in list_files(path, &mut problems) {
        let Some(language) = language(&path) else {
            let message = "the name ends neither in .toml nor in .json: rename the file";
            problems.error(Place::whole(path.display().to_string()), "", message);
            continue;
        };
        let name = path.display().to_string();
        let target = path.canonicalize().unwrap_or_default();
        match read_with(&path, MOST_LIST, patience).map(String::from_utf8) {
            Ok(Ok(text)) => {
                check_mode(&path, false, &mut problems);
                texts.push(Text { name, path, target, text, language });
            }
            Ok(Err(_)) => problems.error(Place::whole(name), "", "is not UTF-8 text"),
            Err(error) => {
                vanished |= error.kind() == io::ErrorKind::NotFound;
                problems.error(Place::whole(name), "", unreadable(&error));
            }
        }
    }
    (texts, problems, vanished)
}

/// What each path of a list led to when it was read.
pub struct Places(Vec<(PathBuf, PathBuf)>);

/// Where texts were read from.
pub fn places(texts: &[Text]) -> Places {
    Places(texts.iter().map(|text| (text.path.clone(), text.target.clone())).collect())
}

impl Places {
    /// Whether each path still leads there. If not, a mount was swapped meanwhile, and what was read may be half of one
    /// state and half of another.
    pub fn still(&self) -> bool {
        self.0.iter().all(|(path, target)| path.canonicalize().is_ok_and(|now| now == *target))
    }
}

/// Everything that a list was made of, as digests.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The texts, and what could not be read.
    pub texts: Fingerprint,
    /// The secret files that were named; zeros for one that could not be read.
    pub secrets: BTreeMap<PathBuf, Fingerprint>,
    /// The names of the files.
    pub names: Box<[String]>,
}

impl Seen {
    /// Whether the texts are these, and the secret files they name hold what they held.
    pub fn is_now(&self, texts: &Fingerprint) -> bool {
        let now = |path: &PathBuf| read_secret(path).map_or([0; 32], |secret| Sha256::digest(secret.expose()).into());
        self.texts == *texts && self.secrets.iter().all(|(path, digest)| now(path) == *digest)
    }

    /// One digest of everything.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new_with_prefix(self.texts);
        self.secrets.values().for_each(|secret| hash.update(secret));
        hash.finalize().into()
    }
}

/// The fingerprint of texts and of what could not be read.
pub fn fingerprint(texts: &[Text], problems: &Problems) -> Fingerprint {
    let errors = problems.errors.iter().map(|error| Sha256::digest(error.to_string()).into());
    fingerprint_of(texts.iter().map(|text| text.text.as_str()), errors)
}

/// The fingerprint of texts that could all be read, in the order of their files.
pub fn fingerprint_of_texts<'t>(texts: impl Iterator<Item = &'t str>) -> Fingerprint {
    fingerprint_of(texts, std::iter::empty())
}

fn fingerprint_of<'t>(texts: impl Iterator<Item = &'t str>, more: impl Iterator<Item = Fingerprint>) -> Fingerprint {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    more.for_each(|digest| hash.update(digest));
    hash.finalize().into()
}

/// Parses texts and reads the secret files they name.
pub fn parse(texts: Vec<Text>, problems: &mut Problems) -> Content {
    let list = |(index, text): (usize, &Text)| {
        let (list, found) = ClientList::parse(Doc { name: &text.name, text: &text.text }, text.language, index);
        problems.absorb(found);
        list.unwrap_or_default()
    };
    let lists = texts.iter().enumerate().map(list).collect();
    content(texts, lists, problems)
}

/// Of texts that are read already: what each of them says, and the secret files that they name.
pub fn content(texts: Vec<Text>, lists: Vec<ClientList>, problems: &mut Problems) -> Content {
    let mut entries = Vec::new();
    let mut guarded = Vec::new();
    for (text, list) in texts.iter().zip(lists) {
        if list.end.is_some() {
            guarded.push(text.name.clone());
        }
        entries.extend(list.clients);
    }
    let mut content = Content { guarded, ..Content::of(texts) };
    content.read_secrets(&entries, problems);
    Content { entries, ..content }
}

impl Text {
    /// What a file is to say.
    pub fn to_be(path: PathBuf, text: String, language: Language) -> Self {
        let target = path.canonicalize().unwrap_or_default();
        Self { name: path.display().to_string(), path, target, text, language }
    }
}

impl Content {
    /// Of texts that nobody has read yet.
    pub fn of(texts: Vec<Text>) -> Self {
        let (files, secrets, unreadable) = (SecretFiles::new(), BTreeMap::new(), HashMap::new());
        Self { entries: Vec::new(), guarded: Vec::new(), files, secrets, unreadable, texts }
    }

    /// The texts, and nothing that was read of them.
    pub fn into_texts(self) -> Vec<Text> {
        self.texts
    }

    /// A text, and its language.
    pub fn text(&self, file: usize) -> Option<(&str, Language)> {
        self.texts.get(file).map(|text| (text.text.as_str(), text.language))
    }

    /// Notes that a file has its `[end]`.
    pub fn guard(&mut self, file: usize) {
        self.guarded.extend(self.texts.get(file).map(|text| text.name.clone()));
    }

    /// The names of the files.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.texts.iter().map(|text| &text.name)
    }

    /// Where an entry stands.
    pub fn place(&self, spot: Spot) -> Place {
        let docs: Vec<Doc<'_>> = self.texts.iter().map(|text| Doc { name: &text.name, text: &text.text }).collect();
        place(&docs, spot)
    }

    /// Reads secret files that a text names; one that cannot be read is left to [`Self::read_secrets`] to tell of.
    pub fn read_files<'p>(&mut self, file: usize, paths: impl Iterator<Item = &'p Path>, problems: &mut Problems) {
        let Some(folder) = self.texts.get(file).and_then(|text| text.path.parent()).map(Path::to_owned) else { return };
        for path in paths {
            let full = folder.join(path);
            if self.files.contains_key(&(file, path.to_owned())) {
                continue;
            }
            match read_secret(&full) {
                Ok(secret) => self.keep(file, path.to_owned(), full, secret, problems),
                Err(why) => drop(self.unreadable.insert(full, why)),
            }
        }
    }

    fn keep(&mut self, file: usize, path: PathBuf, full: PathBuf, secret: Secret, problems: &mut Problems) {
        check_mode(&full, true, problems);
        self.secrets.insert(full, Sha256::digest(secret.expose()).into());
        self.files.insert((file, path), secret);
    }

    /// Reads the secret files that entries of its texts name.
    pub fn read_secrets(&mut self, entries: &[ClientEntry], problems: &mut Problems) {
        let mut wanted: Vec<(Spot, String, PathBuf, bool)> = Vec::new();
        for client in entries {
            let own = client.upstream.iter().flat_map(|upstream| &upstream.secret_files);
            wanted.extend(
                own.map(|path| (client.spot, format!("client {:?}: upstream secret", client.key), path.clone(), false)),
            );
            for secret in &client.secrets {
                if let Material::File(path) = &secret.material {
                    let what = format!("client {:?}: secret {}", client.key, secret.id);
                    wanted.push((secret.spot, what, path.clone(), secret.status == SecretStatus::Revoked));
                }
            }
        }
        for (spot, what, path, revoked) in wanted {
            let Some(folder) = self.texts.get(spot.file).and_then(|text| text.path.parent()) else { continue };
            let full = folder.join(&path);
            let known = self.files.contains_key(&(spot.file, path.clone()));
            if known {
                continue;
            }
            let read = match self.unreadable.get(&full) {
                Some(why) => Err(why.clone()),
                None => read_secret(&full),
            };
            match read {
                Ok(secret) => self.keep(spot.file, path, full, secret, problems),
                Err(why) => {
                    // Somebody may have put the secret itself where the name of its file belongs.
                    let pasted = path.file_name().is_some_and(|name| mint::is_ours(name.as_encoded_bytes()));
                    let name = if pasted {
                        "(a generated secret, where a file's name belongs)".to_owned()
                    } else {
                        full.display().to_string()
                    };
                    let (place, message) = (self.place(spot), format!("{what}: {name} {why}"));
                    // Whoever revokes a secret may delete its file too: that must not keep the revocation out of force.
                    if revoked {
                        problems.warning(place, "", format!("{message}; revoked it stays all the same"));
                    } else {
                        problems.error(place, "", message);
                    }
                    self.secrets.insert(full.clone(), [0; 32]);
                    self.unreadable.insert(full, why);
                }
            }
        }
    }
}

/// Reads a secret from a file. One newline at its end is not part of it.
pub fn read_secret(path: &Path) -> Result<Secret, String> {
    let mut bytes = read_settled(path, MOST_SECRET).map_err(|error| unreadable(&error))?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    if bytes.is_empty() { Err("is empty".to_owned()) } else { Ok(Secret::new(bytes)) }
}

/// The files of a list: the path itself, or what a directory holds but for hidden names (`..data` among them).
pub(super) fn list_files(path: &Path, problems: &mut Problems) -> Vec<PathBuf> {
    if !path.is_dir() {
        return vec![path.to_owned()];
    }
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => {
            problems.error(Place::whole(path.display().to_string()), "", unreadable(&error));
            return Vec::new();
        }
    };
    let shown = |path: &PathBuf| path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."));
    let of_a_list = |path: &PathBuf| shown(path) && language(path).is_some() && !path.is_dir();
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(of_a_list).collect();
    files.sort();
    files
}

pub(super) fn language(path: &Path) -> Option<Language> {
    match path.extension()?.to_str()? {
        "toml" => Some(Language::Toml),
        "json" => Some(Language::Json),
        _ => None,
    }
}

/// Reads a file that is not just being written; one that vanished for a moment (a symlink swap) is looked for again.
pub(super) fn read_settled(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read_with(path, most, Patience::Settle)
}

/// The same, at once where it holds what we put there ourselves, whole: nobody is in the middle of writing that.
pub(super) fn read_known(path: &Path, most: u64, ours: &[(PathBuf, Fingerprint)]) -> io::Result<Vec<u8>> {
    let known = ours.iter().find(|(file, _)| file == path);
    match known.map(|(_, digest)| (read_with(path, most, Patience::Whole), digest)) {
        Some((Ok(bytes), digest)) if Fingerprint::from(Sha256::digest(&bytes)) == *digest => Ok(bytes),
        _ => read_settled(path, most),
    }
}

fn read_with(path: &Path, most: u64, patience: Patience) -> io::Result<Vec<u8>> {
    let mut last = Err(io::ErrorKind::NotFound.into());
    for _ in 0..TRIES {
        match read_whole(path, most) {
            Ok((bytes, settled)) if settled || patience == Patience::Whole => return Ok(bytes),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            other => last = other.map(|(bytes, _)| bytes),
        }
        std::thread::sleep(SETTLING / 2);
    }
    last
}

/// The bytes of a regular file, and whether they had settled: nobody wrote to it just before or while it was read.
fn read_whole(path: &Path, most: u64) -> io::Result<(Vec<u8>, bool)> {
    // Asked by name first: opening a FIFO would wait for its writer.
    let named = std::fs::metadata(path)?;
    if !named.is_file() {
        return Err(io::Error::other("is not a regular file"));
    }
    let mut file = File::open(path)?;
    let before = file.metadata()?;
    if before.len() > most {
        return Err(io::Error::other(format!("is larger than {most} bytes")));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(before.len()).unwrap_or(0));
    file.by_ref().take(most + 1).read_to_end(&mut bytes)?;
    let after = file.metadata()?;
    let same = stamp(&before) == stamp(&after) && bytes.len() as u64 == after.len();
    let fresh = after.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age < SETTLING));
    Ok((bytes, same && !fresh))
}

fn stamp(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

pub(super) fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist (or is a symlink to nowhere)".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read: check its owner and mode".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

/// Warns of a file that others can write, and of a secret that others can read.
pub fn check_mode(path: &Path, secret: bool, problems: &mut Problems) {
    let Ok(metadata) = std::fs::metadata(path) else { return };
    let mode = metadata.mode() & 0o777;
    let name = Place::whole(path.display().to_string());
    let us = rustix::process::geteuid().as_raw();
    if mode & 0o022 != 0 {
        problems.warning(name, "", format!("can be written by others (mode {mode:04o}): chmod go-w"));
    } else if secret && mode & 0o004 != 0 {
        problems.warning(name, "", format!("holds a secret and can be read by everybody (mode {mode:04o}): chmod o-r"));
    } else if metadata.uid() != us && metadata.uid() != 0 {
        problems.warning(name, "", format!("belongs to user {}, who can change it", metadata.uid()));
    }
}
