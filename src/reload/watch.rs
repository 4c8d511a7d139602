//! The reloading thread: file events, the clock and signals, all into one function.
//!
//! Events are hints. The kubelet replaces a mounted Secret by renaming a symlink, which a watch on the file itself does
//! not see; so the folders are watched, a burst is waited out, the content is compared, and now and then it is compared
//! without any event at all.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::oneshot;

use super::{Outcome, Prepared, Reloader, Trigger};
use crate::domain::clock::instant;
use crate::log::Log;

/// A write, a rename and a chmod of one edit come within this time.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// A few reloads may follow each other at once; of many, one in this time, and what is asked meanwhile is one.
const SPACING: Duration = Duration::from_millis(20);
/// How many are a few.
const A_FEW: u32 = 4;
/// As many as the system follows.
const MOST_LINKS: usize = 40;

/// Takes triggers. Cheap to clone; never blocks.
#[derive(Clone)]
pub struct Triggers(Sender<Pull>);

/// A trigger, and who wants to hear what came of it.
struct Pull {
    trigger: Trigger,
    /// What is expected to stand in the files.
    prepared: Option<Box<Prepared>>,
    tell: Option<oneshot::Sender<Arc<Outcome>>>,
}

impl Triggers {
    /// Asks for a reload.
    pub fn pull(&self, trigger: Trigger) {
        let _at_shutdown_nobody_listens = self.0.send(Pull { trigger, prepared: None, tell: None });
    }

    /// Asks for a reload and waits for its outcome; nothing where the reloading has ended.
    pub async fn reload(&self, trigger: Trigger) -> Option<Arc<Outcome>> {
        self.ask(trigger, None).await
    }

    /// The same of a list that we wrote ourselves, and that is read and built already.
    pub async fn put_in_force(&self, prepared: Prepared) -> Option<Arc<Outcome>> {
        self.ask(Trigger::Command { allow_shrink: true, written: true }, Some(Box::new(prepared))).await
    }

    async fn ask(&self, trigger: Trigger, prepared: Option<Box<Prepared>>) -> Option<Arc<Outcome>> {
        let (tell, told) = oneshot::channel();
        self.0.send(Pull { trigger, prepared, tell: Some(tell) }).ok()?;
        told.await.ok()
    }
}

/// Starts the thread.
pub fn start(mut reloader: Reloader, poll: Duration, log: Log) -> std::io::Result<Triggers> {
    let (sender, triggers) = channel();
    let mut folders = Folders::new(sender.clone(), log);
    folders.watch(&reloader.paths());
    std::thread::Builder::new().name("relatch-reload".to_owned()).spawn(move || {
        let mut pace = Pace { credit: A_FEW, since: instant() };
        while let Some(Next { trigger, prepared, listeners }) = next(&triggers, poll) {
            let outcome = Arc::new(reloader.reload_once(trigger, prepared.map(|prepared| *prepared)));
            for listener in listeners {
                let _may_have_gone = listener.send(outcome.clone());
            }
            folders.watch(&reloader.paths());
            // A command waits for its answer before it asks again: it keeps its own pace.
            if !matches!(trigger, Trigger::Command { .. }) {
                pace.step();
            }
        }
    })?;
    Ok(Triggers(sender))
}

/// Keeps reloads apart when they come in a flood.
struct Pace {
    credit: u32,
    since: Instant,
}

impl Pace {
    /// Spends one reload, and waits where there is none left to spend.
    fn step(&mut self) {
        let earned = instant().saturating_duration_since(self.since).as_millis() / SPACING.as_millis();
        self.credit = (self.credit + u32::try_from(earned).unwrap_or(A_FEW).min(A_FEW)).min(A_FEW);
        self.since = instant();
        match self.credit.checked_sub(1) {
            Some(left) => self.credit = left,
            None => std::thread::sleep(SPACING),
        }
    }
}

/// Pulls that came together.
struct Next {
    trigger: Trigger,
    prepared: Option<Box<Prepared>>,
    listeners: Vec<oneshot::Sender<Arc<Outcome>>>,
}

/// Waits for a trigger; those that come together are one, and a person's question is not lost among them.
fn next(pulls: &Receiver<Pull>, poll: Duration) -> Option<Next> {
    let first = match pulls.recv_timeout(poll) {
        Ok(pull) => pull,
        Err(RecvTimeoutError::Timeout) => {
            return Some(Next { trigger: Trigger::Poll, prepared: None, listeners: Vec::new() });
        }
        Err(RecvTimeoutError::Disconnected) => return None,
    };
    let mut together = vec![first];
    if together.iter().all(|pull| pull.trigger == Trigger::Event) {
        // An edit's events are waited out, unless somebody asks meanwhile.
        let until = instant() + DEBOUNCE;
        while let Ok(pull) = pulls.recv_timeout(until.saturating_duration_since(instant())) {
            let asked = pull.trigger.is_asked();
            together.push(pull);
            if asked {
                break;
            }
        }
    }
    together.extend(pulls.try_iter());
    let strongest = together.iter().map(|pull| pull.trigger).reduce(Trigger::with)?;
    let (prepared, listeners): (Vec<_>, Vec<_>) = together.into_iter().map(|pull| (pull.prepared, pull.tell)).unzip();
    Some(Next {
        trigger: strongest,
        prepared: prepared.into_iter().flatten().next_back(),
        listeners: listeners.into_iter().flatten().collect(),
    })
}

/// The folders that are watched.
struct Folders {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<(PathBuf, u64)>,
    ours: Arc<Mutex<Ours>>,
    log: Log,
}

/// Whether an event may mean a new list. Names that come, go or are renamed always may (a mounted Secret changes by the
/// renaming of a symlink next to it); a write to some other file of the folder, such as a log, does not; and reading is
/// what we do ourselves.
fn concerns(event: &notify::Event, ours: &Ours) -> bool {
    match event.kind {
        EventKind::Access(_) => false,
        EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_)) => {
            event.paths.is_empty() || event.paths.iter().any(|path| ours.has(path))
        }
        _ => true,
    }
}

/// What a write must be to for it to concern us: a file of one of these names, or anything in one of these folders.
#[derive(Default)]
struct Ours {
    names: HashSet<OsString>,
    folders: Vec<PathBuf>,
}

impl Ours {
    fn has(&self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| self.names.contains(name))
            || self.folders.iter().any(|folder| path.parent() == Some(folder))
    }
}

impl Folders {
    fn new(triggers: Sender<Pull>, log: Log) -> Self {
        let ours: Arc<Mutex<Ours>> = Arc::default();
        let known = ours.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let known = known.lock().unwrap_or_else(PoisonError::into_inner);
            if event.map_or(true, |event| concerns(&event, &known)) {
                let _at_shutdown_nobody_listens =
                    triggers.send(Pull { trigger: Trigger::Event, prepared: None, tell: None });
            }
        });
        if let Err(error) = &watcher {
            log.warn("file events are not available, contents are compared at intervals", &[("error", error)]);
        }
        Self { watcher: watcher.ok(), watched: BTreeSet::new(), ours, log }
    }

    /// Watches the folder of each path, and of what it points to. A folder that was replaced is watched anew.
    fn watch(&mut self, paths: &[PathBuf]) {
        let Some(watcher) = &mut self.watcher else { return };
        let (ours, folders) = places(paths);
        *self.ours.lock().unwrap_or_else(PoisonError::into_inner) = ours;
        // A folder that was replaced by another of its name is another folder.
        let with_inode = |folder: PathBuf| {
            let inode = inode(&folder);
            (folder, inode)
        };
        let wanted: BTreeSet<(PathBuf, u64)> = folders.into_iter().map(with_inode).collect();
        for (gone, _) in self.watched.difference(&wanted) {
            let _may_not_exist = watcher.unwatch(gone);
        }
        for (folder, _) in wanted.difference(&self.watched) {
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                let name = folder.display();
                self.log.warn(
                    "a folder cannot be watched, it is looked at at intervals",
                    &[("folder", &name), ("error", &error)],
                );
            }
        }
        self.watched = wanted;
    }
}

fn inode(folder: &Path) -> u64 {
    std::fs::metadata(folder).map_or(0, |metadata| metadata.ino())
}

/// What is ours, and the folders to watch for it: of each path, of what it points to, and of a folder itself. A list may
/// name a secret file for each client, mostly in one folder: that is followed once.
fn places(paths: &[PathBuf]) -> (Ours, BTreeSet<PathBuf>) {
    let (mut ours, mut folders) = (Ours::default(), HashMap::new());
    // By one name each: two of them are one watch, and to end it by the one would end it by the other.
    let named = |folder: &Path| folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    for path in paths {
        let chain = chain(path);
        if chain.last().is_some_and(|end| end.is_dir()) {
            let folder = named(path);
            ours.folders.extend([path.clone(), folder.clone()]);
            folders.insert(path.clone(), folder);
        } else {
            ours.names.extend(chain.iter().filter_map(|path| Some(path.file_name()?.to_owned())));
        }
        for folder in chain.iter().map(|path| parent(path)) {
            folders.entry(folder.to_owned()).or_insert_with(|| named(folder));
        }
    }
    (ours, folders.into_values().collect())
}

/// A path, and what it points to, link by link.
fn chain(path: &Path) -> Vec<PathBuf> {
    // Without a slash at its end, behind which a link is its target.
    let plain = |path: &Path| path.components().collect();
    let mut chain: Vec<PathBuf> = vec![plain(path)];
    while chain.len() < MOST_LINKS
        && let Some(last) = chain.last()
        && let Ok(link) = last.read_link()
    {
        chain.push(plain(&parent(last).join(link)));
    }
    chain
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn each_folder_on_the_way_to_a_file_is_watched_and_by_one_name() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let at = |name: &str| root.join(name);
        for folder in ["mount/..1", "lists"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        std::fs::write(at("mount/..1/clients.toml"), "").unwrap();
        // As the kubelet mounts a Secret, and a link to that.
        symlink("..1", at("mount/..data")).unwrap();
        symlink("..data/clients.toml", at("mount/clients.toml")).unwrap();
        symlink("mount", at("link")).unwrap();
        symlink(at("link/clients.toml"), at("lists/renamed.toml")).unwrap();
        symlink("itself", at("lists/itself")).unwrap();
        symlink("../link/", at("lists/far")).unwrap();
        for (path, names, folders) in [
            ("mount/clients.toml", vec!["clients.toml"], vec!["mount", "mount/..1"]),
            ("link/clients.toml", vec!["clients.toml"], vec!["mount", "mount/..1"]),
            ("lists/renamed.toml", vec!["clients.toml", "renamed.toml"], vec!["lists", "mount", "mount/..1"]),
            ("lists/none.toml", vec!["none.toml"], vec!["lists"]),
            ("lists/itself", vec!["itself"], vec!["lists"]),
            ("lists", vec![], vec!["", "lists"]),
            ("link", vec![], vec!["", "mount"]),
            ("lists/far/", vec![], vec!["", "lists", "mount"]),
        ] {
            let (ours, watched) = places(&[at(path)]);
            assert_eq!(
                ours.names.into_iter().collect::<BTreeSet<_>>(),
                names.into_iter().map(OsString::from).collect(),
                "{path}"
            );
            assert_eq!(
                watched,
                folders.iter().map(|folder| root.join(folder).components().collect()).collect(),
                "{path}"
            );
        }
        assert!(places(&[at("link")]).0.has(&at("mount/any.toml")), "a folder's files, by the name that events have");
    }
}
