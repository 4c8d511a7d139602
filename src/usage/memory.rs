//! What the keeping thread knows: every record's use as it was seen last, in the list or gone from it.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::time::Duration;

use super::journal::{self, Entry, Extent, Key, State};
use crate::domain::clock::Timestamp;
use crate::registry::cells::{Seen, Sighting};
use crate::registry::{Client, Record, Snapshot};

/// Records that are not in the list are remembered up to this many: those that left last.
const MOST_GONE: usize = 100_000;
/// How often the same list is gone through for records that left it long ago.
const FOLLOW_AGAIN: Duration = Duration::from_secs(3600);
/// The times of callers are written this often; new callers at once.
const CALLERS_AGAIN: Duration = Duration::from_secs(60);

/// All that is known.
pub(super) struct Memory {
    state: State,
    /// What of it is not on the disk.
    unsaved: HashSet<Key>,
    /// Which callers of a record are on the disk.
    written: HashMap<Key, Mark>,
    keep_gone: Duration,
    /// The list that was gone through last, and when.
    followed: Option<(u64, Timestamp)>,
}

/// Tells sets of callers apart, and how late the latest of them is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Mark {
    callers: u64,
    latest: Timestamp,
}

impl Memory {
    pub(super) fn new(keep_gone: Duration) -> Self {
        let (unsaved, written) = (HashSet::new(), HashMap::new());
        Self { state: State::default(), unsaved, written, keep_gone, followed: None }
    }

    /// Takes over what a file said.
    pub(super) fn take(&mut self, state: State, now: Timestamp) {
        let entries = state.entries.into_iter().map(|(key, entry)| {
            let (seen, gone) = (entry.seen.clamped(now), entry.gone.map(|at| at.min(now)));
            (key, Entry { seen, gone, ..entry })
        });
        self.state.merge(State { entries: entries.collect() });
        // Which of them are in the list is to be found out.
        self.followed = None;
    }

    /// Takes from the cells of a list what is new in them.
    pub(super) fn absorb(&mut self, list: &Snapshot) {
        for (client, record) in records(list).filter(|(_, record)| record.uses.has_news()) {
            // Before the rest of it: what is noted in between is news once more.
            let revision = record.uses.revision();
            let (key, seen) = (Key::of(&client.key, record), record.uses.seen());
            let entry = self.state.entries.entry(key).or_insert_with(|| Entry {
                client: client.key.id.as_str().into(),
                tenant: client.key.tenant.as_str().into(),
                secret: record.id.as_str().into(),
                seen: Seen::since(seen.tracking_since),
                gone: None,
            });
            // A line that stood alone in a damaged file may have been without them.
            if entry.client.is_empty() {
                entry.client = client.key.id.as_str().into();
                entry.tenant = client.key.tenant.as_str().into();
                entry.secret = record.id.as_str().into();
            }
            entry.seen.merge(seen);
            self.unsaved.insert(key);
            record.uses.kept(revision);
        }
    }

    /// Gives the cells of records that have just entered what is known of them.
    pub(super) fn restore(&self, list: &Snapshot) {
        records(list).filter(|(_, record)| record.uses.is_new()).for_each(|(client, record)| self.give(client, record));
    }

    /// Gives every cell what is known of its record.
    pub(super) fn restore_all(&self, list: &Snapshot) {
        records(list).for_each(|(client, record)| self.give(client, record));
    }

    fn give(&self, client: &Client, record: &Record) {
        if let Some(entry) = self.state.entries.get(&Key::of(&client.key, record)) {
            record.uses.restore(entry.seen.clone());
        }
    }

    /// Notes which records left the list, and forgets those that left long ago.
    pub(super) fn follow(&mut self, list: &Snapshot, now: Timestamp) {
        let known = |(generation, at)| generation == list.generation && now.since(at) < FOLLOW_AGAIN;
        if self.followed.is_some_and(known) {
            return;
        }
        self.followed = Some((list.generation, now));
        let listed: HashSet<Key> = records(list).map(|(client, record)| Key::of(&client.key, record)).collect();
        let mut gone = Vec::new();
        for (key, entry) in &mut self.state.entries {
            let since = (!listed.contains(key)).then(|| entry.gone.unwrap_or(now));
            if entry.gone != since {
                entry.gone = since;
                self.unsaved.insert(*key);
            }
            gone.extend(since.map(|since| (since, *key)));
        }
        gone.sort_unstable_by_key(|(since, _)| std::cmp::Reverse(*since));
        let keep = gone.iter().take_while(|(since, _)| now.since(*since) < self.keep_gone).count().min(MOST_GONE);
        for (_, key) in gone.drain(keep..) {
            self.state.entries.remove(&key);
            self.unsaved.remove(&key);
            self.written.remove(&key);
        }
    }

    /// The lines of what is not on the disk.
    pub(super) fn changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        for key in self.unsaved.drain() {
            let Some(entry) = self.state.entries.get(&key) else { continue };
            let mark = Mark::of(entry);
            let written = self.written.get(&key);
            let stale = |old: &Mark| old.callers != mark.callers || mark.latest.since(old.latest) >= CALLERS_AGAIN;
            let extent = if written.is_none_or(stale) { Extent::Full } else { Extent::Short };
            let before = changes.bytes.len();
            let _infallible = journal::write(&key, entry, extent, &mut changes.bytes);
            if written.is_none() {
                changes.new += (changes.bytes.len() - before) as u64;
            }
            if extent == Extent::Full {
                self.written.insert(key, mark);
            }
        }
        changes
    }

    /// All of it, to be written anew.
    pub(super) fn everything(&mut self) -> Everything {
        self.unsaved.clear();
        self.written = self.state.entries.iter().map(|(key, entry)| (*key, Mark::of(entry))).collect();
        Everything(self.state.entries.iter().map(|(key, entry)| (*key, entry.clone())).collect())
    }
}

/// Lines to be appended.
#[derive(Default)]
pub(super) struct Changes {
    /// The lines.
    pub(super) bytes: Vec<u8>,
    /// Bytes of those that are of records which had none.
    pub(super) new: u64,
}

/// Everything at a moment.
pub(super) struct Everything(Vec<(Key, Entry)>);

impl Everything {
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(journal::header().as_bytes())?;
        self.0.iter().try_for_each(|(key, entry)| journal::write(key, entry, Extent::Full, out))
    }
}

impl Mark {
    fn of(entry: &Entry) -> Self {
        let seen = &entry.seen;
        let all = || seen.from.iter().chain(&seen.refused.from);
        let hash = |sighting: &Sighting| {
            let mut hasher = DefaultHasher::new();
            (sighting.address, &sighting.user_agent, sighting.method).hash(&mut hasher);
            hasher.finish()
        };
        // The order changes with every use.
        let callers = all().map(hash).fold(0, u64::wrapping_add);
        Self { callers, latest: all().map(|sighting| sighting.at).max().unwrap_or(Timestamp::MIN) }
    }
}

fn records(list: &Snapshot) -> impl Iterator<Item = (&Client, &Record)> {
    list.clients.iter().flat_map(|client| client.records.iter().map(move |record| (&**client, record)))
}
