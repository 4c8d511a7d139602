//! Last use over restarts: what requests note in the cells of the list is kept in a journal, `[state] path`.
//!
//! A thread of its own looks at the cells every few seconds and appends what has changed; what is written is on the disk
//! before the next look. Nothing here may stop the proxy: where the file cannot be read or written it is said so, and the
//! cells know it alone until it can. A record that leaves the list is remembered, so that it comes back with its use.

mod journal;
mod memory;
mod store;

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;

use self::journal::Found;
pub use self::journal::State;
use self::memory::{Changes, Memory};
use self::store::{Opened, Store};
use crate::domain::clock::Clock;
use crate::log::Log;
use crate::registry::Snapshot;

/// How often what has changed is written: what a kill can lose.
const EVERY: Duration = Duration::from_secs(5);
/// A restart takes less. After a longer silence nobody can say that a secret was not wanted meanwhile.
const SILENCE: Duration = Duration::from_secs(120);
/// A file may grow to twice what is live in it and this, before it is written anew.
const SLACK: u64 = 64 << 10;

/// Reads a state file without an instance. Nothing where there is none.
pub fn read(path: &Path) -> io::Result<Option<State>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let odd = |what: String| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    match journal::read(BufReader::new(file))? {
        Found::Ours(state, _) => Ok(Some(state)),
        Found::Newer(version) => odd(format!("it is of version {version}, which is newer than this relatch")),
        Found::Foreign => odd("it is no state file of relatch".to_owned()),
    }
}

/// What an instance is started with.
pub struct Start {
    /// The file; nothing where nothing is to be kept over a restart.
    pub path: Option<PathBuf>,
    /// How long a record that left the list is remembered.
    pub keep_gone: Duration,
    /// The list in force, before anybody is served.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// The time.
    pub clock: Arc<Clock>,
    /// Where trouble is told.
    pub log: Log,
}

/// The keeping of one instance.
pub struct Usage {
    memory: Arc<Mutex<Memory>>,
    clock: Arc<Clock>,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Usage {
    /// Restores what is known, and keeps what is noted from now on.
    pub fn start(start: Start) -> io::Result<Self> {
        let memory = Arc::new(Mutex::new(Memory::new(start.keep_gone)));
        let clock = start.clock.clone();
        let mut keeper = Keeper { memory: memory.clone(), store: None, trouble: None, live: 0, torn: false, start };
        keeper.begin();
        let (stop, stopped) = channel();
        let thread =
            std::thread::Builder::new().name("relatch-usage".to_owned()).spawn(move || keeper.run(&stopped))?;
        Ok(Self { memory, clock, stop, thread })
    }

    /// To be called with the list in force and the next one before that is published: what is known of records that
    /// leave is kept, and what is known of those that enter is restored.
    pub fn on_publish(&self) -> impl Fn(&Snapshot, &Snapshot) + Send + use<> {
        let (memory, clock) = (self.memory.clone(), self.clock.clone());
        move |old, new| locked(&memory).hand_over(old, new, clock.now())
    }

    /// Ends without a last word: what a kill would lose is lost. A thread in the middle of `fsync` would hold up the end
    /// of the process for as long as the disk takes.
    pub fn abandon(self) {
        std::mem::forget(self);
    }

    /// Writes what is left, at the end; gives up after `patience` on a disk that hangs.
    pub fn finish(self, patience: Duration) {
        drop(self.stop);
        let step = Duration::from_millis(5);
        let mut waited = Duration::ZERO;
        while !self.thread.is_finished() && waited < patience {
            std::thread::sleep(step);
            waited += step;
        }
    }
}

fn locked(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why nothing is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// It may pass.
    Passing,
    /// Only an operator can help: the file is not ours to write over.
    Lasting,
}

/// The thread that keeps.
struct Keeper {
    start: Start,
    memory: Arc<Mutex<Memory>>,
    store: Option<Store>,
    trouble: Option<Trouble>,
    /// Bytes of the file that are not outdated, about.
    live: u64,
    /// The last append may have left half a line.
    torn: bool,
}

impl Keeper {
    fn begin(&mut self) {
        self.open();
        self.follow();
    }

    fn run(mut self, stopped: &Receiver<()>) {
        // Nothing is written at once: neither a start nor an end that follows on its heels waits for the disk.
        loop {
            let ended = stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout);
            self.follow();
            if self.store.as_ref().is_some_and(|store| !store.is_in_place()) {
                self.store = None;
            }
            if self.store.is_none() && self.trouble != Some(Trouble::Lasting) {
                self.open();
            }
            self.save();
            if ended {
                return;
            }
        }
    }

    /// Looks which records that left the list need not be remembered any more.
    fn follow(&self) {
        let (list, now) = (self.start.snapshot.load_full(), self.start.clock.now());
        locked(&self.memory).follow(&list, now);
    }

    /// Opens the file and restores what it says.
    fn open(&mut self) {
        let Some(path) = &self.start.path else { return };
        let state = match Store::open(path) {
            Ok(Opened::Ours(store, state, damaged)) => {
                if damaged > 0 {
                    let name = path.display();
                    self.start.log.warn(
                        "lines of the state file cannot be read: what they said is lost",
                        &[("file", &name), ("lines", &damaged)],
                    );
                }
                let state = if store.silent_for > SILENCE { state.heard_from(self.start.clock.now()) } else { state };
                self.store = Some(store);
                // It is written anew, without what is outdated or damaged in it.
                self.torn = true;
                state
            }
            Ok(Opened::Locked) => return self.troubled(Trouble::Passing, "another instance writes it"),
            Ok(Opened::Newer(version)) => {
                let why = format!("a newer relatch wrote it (version {version}): move it away and restart");
                return self.troubled(Trouble::Lasting, &why);
            }
            Ok(Opened::Foreign) => {
                return self.troubled(Trouble::Lasting, "it is no state file: move it away and restart");
            }
            Err(error) => {
                // What cannot be written may still be read.
                let read = if self.trouble.is_none() { read(path).ok().flatten() } else { None };
                let silent_for = std::fs::metadata(path).map_or(Duration::ZERO, |metadata| store::silence(&metadata));
                self.troubled(Trouble::Passing, &error.to_string());
                let Some(state) = read else { return };
                if silent_for > SILENCE { state.heard_from(self.start.clock.now()) } else { state }
            }
        };
        let (list, now) = (self.start.snapshot.load_full(), self.start.clock.now());
        locked(&self.memory).take(state, &list, now);
    }

    /// Writes what has changed.
    fn save(&mut self) {
        let Some(store) = &mut self.store else { return };
        let list = self.start.snapshot.load_full();
        let written = if self.torn || store.size > 2 * self.live + SLACK {
            let lines = locked(&self.memory).everything(list);
            let written = store.rewrite(|file| lines.write(file));
            self.live = store.size;
            written
        } else {
            let mut lines = Changes::of(&list);
            locked(&self.memory).departures(&mut lines);
            self.live += lines.new;
            if lines.bytes.is_empty() { store.touch() } else { store.append(&lines.bytes) }
        };
        self.torn = written.is_err();
        match written {
            Ok(()) if self.trouble.take().is_some() => {
                self.start.log.info("the state file is written", &[]);
            }
            Ok(()) => {}
            Err(error) => self.troubled(Trouble::Passing, &error.to_string()),
        }
    }

    /// Says once what is wrong.
    fn troubled(&mut self, trouble: Trouble, why: &str) {
        if self.trouble != Some(trouble) {
            let file = self.start.path.as_deref().unwrap_or(Path::new("")).display().to_string();
            let fields: [(&str, &dyn std::fmt::Display); 2] = [("file", &file), ("reason", &why)];
            self.start.log.warn("last use is kept in memory only, and lost at the end", &fields);
        }
        self.trouble = Some(trouble);
    }
}

#[cfg(test)]
mod tests;
