//! What the keeping thread knows beside the cells of the list: the use of records that have left it, and what is on the disk.

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use super::journal::{self, Entry, Extent, Key, Row, State};
use crate::domain::clock::Timestamp;
use crate::registry::diff::only_in;
use crate::registry::{Client, Record, Snapshot};

/// Records that are not in the list are remembered up to this many: those that left last.
const MOST_GONE: usize = 100_000;
/// How often the same list is gone through for records that left it long ago.
const FOLLOW_AGAIN: Duration = Duration::from_secs(3600);
/// The times of callers are written this often; new callers at once.
const CALLERS_AGAIN: Duration = Duration::from_secs(60);

/// The use of records that are not in the list. Of those that are, their cells know everything.
pub(super) struct Memory {
    gone: State,
    /// Which of these are not on the disk as they are.
    unsaved: HashSet<Key>,
    keep_gone: Duration,
    /// The list that was followed last, and when.
    followed: Option<(u64, Timestamp)>,
    /// The generation of the list that the cells were handed over to last: one before it says nothing of who left.
    handed_to: u64,
}

impl Memory {
    pub(super) fn new(keep_gone: Duration) -> Self {
        Self { gone: State::default(), unsaved: HashSet::new(), keep_gone, followed: None, handed_to: 0 }
    }

    /// Takes over what a file said: the cells of the list are given what is known of them, the rest is remembered.
    pub(super) fn take(&mut self, mut state: State, list: &Snapshot, now: Timestamp) {
        for (client, record) in records(list) {
            if state.entries.is_empty() {
                break;
            }
            let key = Key::of(&client.key, record);
            let Some(entry) = state.entries.remove(&key) else { continue };
            let entry = Entry { seen: entry.seen.clamped(now), ..entry };
            record.uses.restore(entry.seen.clone());
            // It may be leaving the list just now, and what its cell knew was taken before this.
            if self.gone.entries.contains_key(&key) {
                self.remember(key, Entry { gone: Some(now), ..entry });
            }
        }
        for (key, entry) in state.entries {
            let gone = Some(entry.gone.map_or(now, |at| at.min(now)));
            self.remember(key, Entry { seen: entry.seen.clamped(now), gone, ..entry });
        }
        self.followed = None;
    }

    /// Before a list takes the place of another: what is known of records that leave is remembered, and the cells of those
    /// that enter are given what is known of them.
    pub(super) fn hand_over(&mut self, old: &Snapshot, new: &Snapshot, now: Timestamp) {
        self.handed_to = new.generation;
        for (client, record) in only_in(old, new) {
            let entry = Entry {
                client: client.key.id.as_str().into(),
                tenant: client.key.tenant.as_str().into(),
                secret: record.id.as_str().into(),
                seen: record.uses.seen(),
                gone: Some(now),
            };
            self.remember(Key::of(&client.key, record), entry);
        }
        if self.gone.entries.is_empty() {
            return;
        }
        for (client, record) in only_in(new, old) {
            if let Some(entry) = self.gone.entries.get(&Key::of(&client.key, record)) {
                record.uses.restore(entry.seen.clone());
            }
        }
    }

    /// Whether nothing is remembered.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.gone.entries.is_empty()
    }

    fn remember(&mut self, key: Key, entry: Entry) {
        self.gone.take(key, entry);
        self.unsaved.insert(key);
    }

    /// Forgets of the records that left the list those that are back in it, and those that left long ago.
    pub(super) fn follow(&mut self, list: &Snapshot, now: Timestamp) {
        let known = |(generation, at)| generation == list.generation && now.since(at) < FOLLOW_AGAIN;
        if list.generation < self.handed_to || self.followed.is_some_and(known) {
            return;
        }
        self.followed = Some((list.generation, now));
        let mut gone = Vec::new();
        let mut forgotten = Vec::new();
        for (key, entry) in &self.gone.entries {
            match listed(list, key, entry) {
                // Once more, as it may have entered while the file was read.
                Some(record) => {
                    record.uses.restore(entry.seen.clone());
                    forgotten.push(*key);
                }
                None => gone.push((entry.gone.unwrap_or(now), *key)),
            }
        }
        gone.sort_unstable_by_key(|(since, _)| std::cmp::Reverse(*since));
        let keep = gone.iter().take_while(|(since, _)| now.since(*since) < self.keep_gone).count().min(MOST_GONE);
        for key in forgotten.into_iter().chain(gone.drain(keep..).map(|(_, key)| key)) {
            self.gone.entries.remove(&key);
            self.unsaved.remove(&key);
        }
    }

    /// Adds the lines of those that are not on the disk as they are. Behind the others: of two lines of a record that is
    /// just leaving the later one counts.
    pub(super) fn departures(&mut self, changes: &mut Changes) {
        for key in self.unsaved.drain() {
            let Some(entry) = self.gone.entries.get(&key) else { continue };
            let _infallible = journal::write(&key, entry.row(), Extent::Full, &mut changes.bytes);
        }
    }

    /// All of it, to be written anew.
    pub(super) fn everything(&mut self, list: Arc<Snapshot>) -> Everything {
        self.unsaved.clear();
        Everything { list, gone: self.gone.entries.iter().map(|(key, entry)| (*key, entry.clone())).collect() }
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

impl Changes {
    /// What the cells of a list know and the disk does not.
    pub(super) fn of(list: &Snapshot) -> Self {
        let mut changes = Self::default();
        for (client, record) in records(list).filter(|(_, record)| record.uses.has_news()) {
            let (before, is_new) = (changes.bytes.len(), record.uses.is_new());
            let _infallible = keep(client, record, false, &mut changes.bytes);
            if is_new {
                changes.new += (changes.bytes.len() - before) as u64;
            }
        }
        changes
    }
}

/// Everything: what the cells know when it is written, and the records that left before.
pub(super) struct Everything {
    list: Arc<Snapshot>,
    gone: Vec<(Key, Entry)>,
}

impl Everything {
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(journal::header().as_bytes())?;
        records(&self.list).try_for_each(|(client, record)| keep(client, record, true, out))?;
        self.gone.iter().try_for_each(|(key, entry)| journal::write(key, entry.row(), Extent::Full, out))
    }
}

/// Writes the line of a record, after which there is no news of it. Who fails to bring it to the disk writes everything anew.
fn keep(client: &Client, record: &Record, whole: bool, out: &mut impl Write) -> io::Result<()> {
    let uses = &record.uses;
    // Before the rest of it: what is noted in between is news once more.
    let (is_new, revision) = (uses.is_new(), uses.revision());
    let seen = uses.seen();
    let (old, mark) = (uses.kept_callers(), seen.mark());
    let stale = old.callers != mark.callers || mark.latest.since(old.latest) >= CALLERS_AGAIN;
    let extent = if whole || is_new || stale { Extent::Full } else { Extent::Short };
    let (key, of) = (Key::of(&client.key, record), &client.key);
    let (client, tenant, secret) = (of.id.as_str(), of.tenant.as_str(), record.id.as_str());
    journal::write(&key, Row { client, tenant, secret, seen: &seen, gone: None }, extent, out)?;
    uses.kept(revision);
    if extent == Extent::Full {
        uses.callers_kept(mark);
    }
    Ok(())
}

/// The record of a list that an entry is of.
fn listed<'s>(list: &'s Snapshot, key: &Key, entry: &'s Entry) -> Option<&'s Record> {
    let client = list.tenancy(&entry.tenant).client(entry.client.as_bytes())?;
    client.records().iter().find(|record| record.id.as_str() == &*entry.secret && Key::of(&client.key, record) == *key)
}

fn records(list: &Snapshot) -> impl Iterator<Item = (&Client, &Record)> {
    list.clients.iter().flat_map(|client| client.records().iter().map(move |record| (client, record)))
}
