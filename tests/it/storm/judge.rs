//! Which lists could be live when, and whether a decision is one of theirs.
//!
//! Seen from outside, a list may be live from the moment somebody begins to write
//! it until the moment the next one has been seen in force. Both ends are taken
//! generously: a decision is wrong only where no list that could be live made it.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use super::history::{Aim, History, LISTS};
use crate::support::caller::NoAnswer;

/// When each list was written, and when it was first seen in force; nanoseconds.
pub(super) struct Timeline {
    started: Instant,
    put: [AtomicU64; LISTS],
    seen: [AtomicU64; LISTS],
    last_seen: AtomicUsize,
}

/// Not yet.
const NEVER: u64 = u64::MAX;

impl Timeline {
    /// The first list is in force already.
    pub(super) fn new(started: Instant) -> Self {
        let at = |list| AtomicU64::new(if list == 0 { 0 } else { NEVER });
        Self { started, put: std::array::from_fn(at), seen: std::array::from_fn(at), last_seen: AtomicUsize::new(0) }
    }

    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap()
    }

    /// A list is about to be written.
    pub(super) fn put(&self, list: usize) {
        self.put[list].store(self.now(), Ordering::SeqCst);
    }

    /// A list was seen in force.
    pub(super) fn seen(&self, list: usize) {
        self.seen[list].store(self.now(), Ordering::SeqCst);
        self.last_seen.store(list, Ordering::SeqCst);
    }

    /// The list that was seen in force last.
    pub(super) fn last_seen(&self) -> usize {
        self.last_seen.load(Ordering::Relaxed)
    }

    /// The lists that could be live at some instant of this time.
    fn live(&self, from: u64, to: u64) -> impl Iterator<Item = usize> {
        (0..LISTS).filter(move |list| {
            let replaced = self.seen.get(list + 1).map_or(NEVER, |next| next.load(Ordering::SeqCst));
            self.put[*list].load(Ordering::SeqCst) <= to && replaced >= from
        })
    }
}

/// One question and its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) aim: Aim,
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) answer: Result<(u16, bool), NoAnswer>,
}

/// What came of the storm.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Accepted by every list that could be live.
    pub(super) must_pass: usize,
    /// ... by none of them.
    pub(super) must_fail: usize,
    /// ... by some.
    pub(super) either: usize,
    pub(super) wrong: Vec<String>,
}

impl Verdict {
    pub(super) fn first_wrong(&self) -> String {
        self.wrong.iter().take(10).map(|wrong| format!("  {wrong}\n")).collect()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { must_pass, must_fail, either, wrong } = self;
        write!(f, "{must_pass} had to pass, {must_fail} to fail, {either} either, {} are wrong", wrong.len())
    }
}

/// Holds every answer against the lists that could be live.
pub(super) fn judge(asked: &[Asked], history: &History, timeline: &Timeline) -> Verdict {
    let mut verdict = Verdict::default();
    for one in asked {
        let live: Vec<usize> = timeline.live(one.sent, one.answered).collect();
        let accepting = live.iter().filter(|list| history.accepts(**list, one.aim)).count();
        let allowed: &[u16] = match accepting {
            0 => {
                verdict.must_fail += 1;
                &[401]
            }
            all if all == live.len() => {
                verdict.must_pass += 1;
                &[200]
            }
            _ => {
                verdict.either += 1;
                &[200, 401]
            }
        };
        // Nobody is shut out of its connection while nobody stops.
        if !matches!(one.answer, Ok((status, false)) if allowed.contains(&status)) {
            let (at, took) = (one.sent / 1_000_000, (one.answered - one.sent) / 1_000);
            let Asked { aim, answer, .. } = one;
            verdict.wrong.push(format!("{aim:?} at {at} ms, {took} us: {answer:?}, lists {live:?} allow {allowed:?}"));
        }
    }
    verdict
}
