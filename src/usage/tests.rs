//! The keeping as a whole, on a real disk and without waiting.

use tempfile::TempDir;

use super::*;
use crate::config::clients::ClientList;
use crate::config::settings::Log as LogSettings;
use crate::config::settings::kinds::{LogFormat, LogLevel};
use crate::config::tree::{Doc, Language};
use crate::domain::clock::Timestamp;
use crate::registry::Record;
use crate::registry::build::{Ground, SecretFiles, build};

const CLIENTS: usize = 200;

fn list(clients: std::ops::Range<usize>, previous: Option<&Snapshot>) -> Snapshot {
    let one = |n: usize| format!("[[client]]\nid = \"c{n}\"\n[[client.secret]]\nid = \"s{n}\"\nsecret = \"v{n}\"\n");
    let text: String = clients.map(one).collect();
    let list = ClientList::parse(Doc { name: "f", text: &text }, Language::Toml, 0).0.unwrap();
    let keep_revoked = Duration::ZERO;
    let ground =
        Ground { files: &SecretFiles::new(), previous, forwards: false, endpoints: &[], keep_revoked, now: at(1000) };
    build(list.clients, &ground, previous.map_or(0, |list| list.generation + 1), Vec::new()).0.unwrap()
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn record(list: &Snapshot, number: usize) -> &Record {
    &list.tenancy("").client(format!("c{number}").as_bytes()).unwrap().records()[0]
}

/// A keeper of this list in this folder, not running by itself.
fn keeper(dir: &TempDir, list: Snapshot, keep_gone: Duration) -> Keeper {
    let clock = Arc::new(Clock::start());
    let settings = LogSettings { format: LogFormat::Json, level: LogLevel::Error, access: false, audit: None };
    let dropped = prometheus::IntCounter::new("a", "b").unwrap();
    let (log, _writer) = Log::start(&settings, clock.clone(), dropped).unwrap();
    let (path, snapshot) = (Some(dir.path().join("state")), Arc::new(ArcSwap::from_pointee(list)));
    let memory = Arc::new(Mutex::new(Memory::new(keep_gone)));
    let start = Start { path, keep_gone, snapshot, clock, log };
    let mut keeper = Keeper { memory, store: None, trouble: None, live: 0, torn: false, start };
    keeper.begin();
    keeper.save();
    keeper
}

/// Another list takes the place of the one in force.
fn publish(keeper: &Keeper, list: Snapshot) {
    let old = keeper.start.snapshot.load_full();
    locked(&keeper.memory).hand_over(&old, &list, keeper.start.clock.now());
    keeper.start.snapshot.store(Arc::new(list));
}

fn look(keeper: &mut Keeper) {
    keeper.follow();
    keeper.save();
}

fn known(dir: &TempDir) -> State {
    read(&dir.path().join("state")).unwrap().unwrap()
}

#[test]
fn under_many_changes_the_file_stays_within_twice_what_is_live_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let first = list(0..CLIENTS, None);
    let cells: Vec<_> = (0..CLIENTS).map(|n| record(&first, n).uses.clone()).collect();
    let mut keeper = keeper(&dir, first, Duration::ZERO);
    let size = || std::fs::metadata(dir.path().join("state")).unwrap().len();
    let (least, mut largest) = (size(), 0);
    for round in 1..=300u64 {
        cells.iter().for_each(|cell| cell.note(at(1000 + round)));
        look(&mut keeper);
        largest = largest.max(size());
    }
    // A batch of short lines may stand above the mark before the file is written anew.
    assert!(largest < 2 * 2 * least + SLACK + 200 * CLIENTS as u64, "{largest} bytes, {least} of them live");
    let list = keeper.start.snapshot.load_full();
    let state = known(&dir);
    for (number, cell) in cells.iter().enumerate() {
        let client = &list.tenancy("").client(format!("c{number}").as_bytes()).unwrap().key;
        assert_eq!(state.seen(client, record(&list, number)), Some(cell.seen()));
        assert_eq!(cell.uses(), 300);
    }
}

#[test]
fn a_look_that_finds_nothing_new_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = keeper(&dir, list(0..3, None), Duration::ZERO);
    let before = std::fs::read(dir.path().join("state")).unwrap();
    look(&mut keeper);
    assert_eq!(std::fs::read(dir.path().join("state")).unwrap(), before);
    record(&keeper.start.snapshot.load_full(), 1).uses.note(at(5000));
    look(&mut keeper);
    let after = std::fs::read(dir.path().join("state")).unwrap();
    assert!(after.starts_with(&before));
    assert_eq!(after[before.len()..].iter().filter(|b| **b == b'\n').count(), 1);
}

#[test]
fn what_left_the_list_is_remembered_as_long_as_it_should_and_no_longer() {
    for (keep_gone, remembered) in [(Duration::from_secs(3600), 3), (Duration::ZERO, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = keeper(&dir, list(0..3, None), keep_gone);
        let old = keeper.start.snapshot.load_full();
        publish(&keeper, list(0..1, Some(&old)));
        look(&mut keeper);
        keeper.torn = true;
        look(&mut keeper);
        assert_eq!(known(&dir).entries.len(), remembered, "{keep_gone:?}");
    }
}

#[test]
fn a_file_that_was_taken_away_is_made_anew_with_everything_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let keeper = keeper(&dir, list(0..3, None), Duration::ZERO);
    let list = keeper.start.snapshot.load_full();
    record(&list, 2).uses.note(at(5000));
    std::fs::remove_file(dir.path().join("state")).unwrap();
    let (stop, stopped) = channel();
    drop(stop);
    keeper.run(&stopped);
    assert_eq!(known(&dir).seen(&list.clients[2].key, record(&list, 2)).unwrap().uses, 1);
}

#[test]
fn a_record_that_comes_back_has_its_use_and_its_line_says_that_it_is_here() {
    let dir = tempfile::tempdir().unwrap();
    let mut keeper = keeper(&dir, list(0..3, None), Duration::from_secs(3600));
    let first = keeper.start.snapshot.load_full();
    record(&first, 2).uses.note(at(5000));
    publish(&keeper, list(0..1, Some(&first)));
    // On the disk it is gone, whatever is written next: what changed, or everything.
    for torn in [false, true] {
        keeper.torn = torn;
        look(&mut keeper);
        let gone: Vec<_> = known(&dir).entries.into_values().filter(|entry| entry.gone.is_some()).collect();
        assert_eq!(gone.len(), 2);
        assert_eq!(gone.iter().map(|entry| entry.seen.uses).sum::<u64>(), 1);
    }
    publish(&keeper, list(0..3, Some(&keeper.start.snapshot.load_full())));
    let back = keeper.start.snapshot.load_full();
    assert_eq!(record(&back, 2).uses.seen(), record(&first, 2).uses.seen(), "before anybody looks");
    record(&back, 2).uses.note(at(6000));
    look(&mut keeper);
    assert!(locked(&keeper.memory).is_empty(), "nothing is remembered beside its cell");
    let state = known(&dir);
    assert!(state.entries.values().all(|entry| entry.gone.is_none()));
    assert_eq!(state.seen(&back.clients[2].key, record(&back, 2)).map(|seen| seen.uses), Some(2));
}

#[test]
fn a_file_that_is_read_late_gives_its_part_to_records_that_have_just_left() {
    let dir = tempfile::tempdir().unwrap();
    let mut before = keeper(&dir, list(0..2, None), Duration::from_secs(3600));
    record(&before.start.snapshot.load_full(), 1).uses.note(at(5000));
    look(&mut before);
    let state = known(&dir);
    drop(before);
    let late = tempfile::tempdir().unwrap();
    let keeper = keeper(&late, list(0..2, None), Duration::from_secs(3600));
    let old = keeper.start.snapshot.load_full();
    publish(&keeper, list(0..1, Some(&old)));
    // Whoever reads the file has looked for the list before the other took its place.
    locked(&keeper.memory).take(state, &old, at(7000));
    publish(&keeper, list(0..2, Some(&keeper.start.snapshot.load_full())));
    assert_eq!(record(&keeper.start.snapshot.load_full(), 1).uses.uses(), 1);
}

#[test]
fn a_look_between_the_handing_over_and_the_publishing_forgets_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let keeper = keeper(&dir, list(0..2, None), Duration::from_secs(24 * 3600));
    let old = keeper.start.snapshot.load_full();
    record(&old, 1).uses.note(at(5000));
    let new = list(0..1, Some(&old));
    locked(&keeper.memory).hand_over(&old, &new, keeper.start.clock.now());
    // Late enough for the same list to be gone through again.
    keeper.start.clock.pass(Duration::from_secs(3601));
    keeper.follow();
    keeper.start.snapshot.store(Arc::new(new));
    publish(&keeper, list(0..2, Some(&keeper.start.snapshot.load_full())));
    assert_eq!(record(&keeper.start.snapshot.load_full(), 1).uses.uses(), 1);
}
