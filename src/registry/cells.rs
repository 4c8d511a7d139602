//! What requests write: atomics on the record they used and on its client. Carried over from snapshot to snapshot.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError};

use once_cell::race::OnceBox;

use crate::domain::clock::Timestamp;
use crate::domain::oauth::{AuthMethod, AuthResult, BasicEncoding};
use crate::domain::source::Source;

/// When a secret was used, and from where. Requests touch the atomics; the rest is sampled, off their path.
// In this order: with a counter before it, in a place of 48 bytes, what a request writes never stands in two lines of a cache.
#[repr(C)]
pub struct UseCell {
    tracking_since: AtomicU64,
    last_used: AtomicU64,
    uses: AtomicU64,
    /// Who presented it. Most secrets of a long list never are: this has no place on the heap until then.
    callers: OnceBox<Mutex<Callers>>,
    /// Changes beside uses, so that whoever keeps this cell over restarts sees that there is news.
    sampled: AtomicU32,
    /// [`UseCell::revision`] as it was kept last.
    kept: AtomicU32,
}

/// Who presented a secret, last.
#[derive(Default)]
struct Callers {
    accepted: Vec<Sighting>,
    refused: Refusals,
    /// Which of them have been kept.
    kept: Mark,
}

/// Tells sets of callers apart, and how late the latest of them is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// A sum over who they are.
    pub callers: u64,
    /// When the latest of them came.
    pub latest: Timestamp,
}

/// Of nobody.
impl Default for Mark {
    fn default() -> Self {
        Self { callers: 0, latest: Timestamp::MIN }
    }
}

/// A cell of which nothing has been kept, not even its beginning: no revision.
const NEVER: u32 = u32::MAX;

/// Where a secret was presented from, last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The caller's address.
    pub address: Source,
    /// Its User-Agent, cut to [`MAX_USER_AGENT`]; empty where it sent none.
    pub user_agent: Box<str>,
    /// How it presented the secret.
    pub method: AuthMethod,
    /// When, last.
    pub at: Timestamp,
}

/// Bytes of a User-Agent that are kept.
pub const MAX_USER_AGENT: usize = 120;
/// Callers of one secret that are kept: the latest.
pub const MAX_SIGHTINGS: usize = 8;

/// A dead secret that is still presented.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// How often.
    pub count: u64,
    /// From where, the latest first.
    pub from: Vec<Sighting>,
}

/// What is known of a secret's use at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Since when uses are observed: nothing is known about the time before.
    pub tracking_since: Timestamp,
    /// The last successful use; nothing where none was observed.
    pub last_used: Option<Timestamp>,
    /// Successful uses since tracking began.
    pub uses: u64,
    /// From where, the latest first.
    pub from: Vec<Sighting>,
    /// Presented while it was not accepted.
    pub refused: Refusals,
}

impl Seen {
    /// Nothing but the beginning.
    pub const fn since(tracking_since: Timestamp) -> Self {
        let refused = Refusals { count: 0, from: Vec::new() };
        Self { tracking_since, last_used: None, uses: 0, from: Vec::new(), refused }
    }

    /// The last time it was presented and refused; nothing where none was observed.
    pub fn last_refused(&self) -> Option<Timestamp> {
        self.refused.from.first().map(|sighting| sighting.at)
    }

    /// What tells its callers from others.
    pub fn mark(&self) -> Mark {
        let hash = |sighting: &Sighting| {
            let mut hasher = DefaultHasher::new();
            (sighting.address, &sighting.user_agent, sighting.method).hash(&mut hasher);
            hasher.finish()
        };
        let all = self.from.iter().chain(&self.refused.from);
        // A sum, as their order changes with every use.
        all.fold(Mark::default(), |mark, sighting| Mark {
            callers: mark.callers.wrapping_add(hash(sighting)),
            latest: mark.latest.max(sighting.at),
        })
    }

    /// What this and `other` tell together of one secret: nothing moves back in time or count.
    pub fn merge(&mut self, other: Self) {
        self.tracking_since = self.tracking_since.min(other.tracking_since);
        self.last_used = self.last_used.max(other.last_used);
        self.uses = self.uses.max(other.uses);
        self.refused.count = self.refused.count.max(other.refused.count);
        other.from.into_iter().rev().for_each(|sighting| note(&mut self.from, sighting));
        other.refused.from.into_iter().rev().for_each(|sighting| note(&mut self.refused.from, sighting));
    }

    /// The same without a time that has not come: one that a clock wrote down which has since been set back.
    #[must_use]
    pub fn clamped(mut self, now: Timestamp) -> Self {
        self.tracking_since = self.tracking_since.min(now);
        self.last_used = self.last_used.map(|at| at.min(now));
        for sighting in self.from.iter_mut().chain(&mut self.refused.from) {
            sighting.at = sighting.at.min(now);
        }
        self
    }
}

/// Puts a sighting among those that are kept: the latest first, one for each caller, no more than are kept. Of two at
/// one time the one that comes later stands first.
fn note(kept: &mut Vec<Sighting>, mut new: Sighting) {
    let same =
        |old: &Sighting| old.address == new.address && old.method == new.method && old.user_agent == new.user_agent;
    if let Some(at) = kept.iter().position(same) {
        new.at = new.at.max(kept.remove(at).at);
    }
    let place = kept.iter().position(|old| old.at <= new.at).unwrap_or(kept.len());
    kept.insert(place, new);
    kept.truncate(MAX_SIGHTINGS);
}

/// Printable ASCII of what a caller said, cut to [`MAX_USER_AGENT`] at the end of a word where there is one.
pub fn user_agent(said: &[u8]) -> Box<str> {
    let cut = said.get(..MAX_USER_AGENT).unwrap_or(said);
    let whole = match cut.iter().rposition(|b| *b == b' ') {
        // Half a word could be half of something that must not show.
        Some(end) if cut.len() < said.len() && end > 0 => cut.get(..end).unwrap_or(cut),
        _ => cut,
    };
    whole.iter().map(|b| if matches!(b, b' '..=b'~') { char::from(*b) } else { '?' }).collect()
}

impl UseCell {
    /// Observed from now on: nothing is known about the time before.
    pub const fn tracked_since(now: Timestamp) -> Self {
        Self {
            tracking_since: AtomicU64::new(now.millis()),
            last_used: AtomicU64::new(0),
            uses: AtomicU64::new(0),
            callers: OnceBox::new(),
            sampled: AtomicU32::new(0),
            kept: AtomicU32::new(NEVER),
        }
    }

    /// Notes a successful authentication. Never moves back.
    pub fn note(&self, now: Timestamp) {
        self.last_used.fetch_max(now.millis(), Relaxed);
        // Last: who sees this count sees the time with it.
        self.uses.fetch_add(1, Release);
    }

    /// Notes where the secret was used from: a sample, off the path of requests.
    pub fn sight(&self, sighting: Sighting) {
        note(&mut self.callers().accepted, sighting);
        self.sampled.fetch_add(1, Release);
    }

    /// Whether one of the latest callers says of itself what this one says.
    pub fn shows(&self, user_agent: &str) -> bool {
        self.known_callers().is_some_and(|known| known.accepted.iter().any(|caller| *caller.user_agent == *user_agent))
    }

    /// Notes that the secret was presented while it was not accepted.
    pub fn refuse(&self, sighting: Sighting) {
        let refused = &mut self.callers().refused;
        refused.count = refused.count.saturating_add(1);
        note(&mut refused.from, sighting);
        self.sampled.fetch_add(1, Release);
    }

    /// Since when uses are observed.
    pub fn tracking_since(&self) -> Timestamp {
        Timestamp::from_millis(self.tracking_since.load(Relaxed))
    }

    /// The last use; nothing where none was observed.
    pub fn last_used(&self) -> Option<Timestamp> {
        Some(self.last_used.load(Relaxed)).filter(|at| *at > 0).map(Timestamp::from_millis)
    }

    /// The last time it was presented and refused; nothing where none was observed.
    pub fn last_refused(&self) -> Option<Timestamp> {
        self.known_callers()?.refused.from.first().map(|sighting| sighting.at)
    }

    /// How often it was used since tracking began.
    pub fn uses(&self) -> u64 {
        self.uses.load(Relaxed)
    }

    /// Everything that is known.
    pub fn seen(&self) -> Seen {
        let callers = self.known_callers().map(|known| (known.accepted.clone(), known.refused.clone()));
        let (from, refused) = callers.unwrap_or_default();
        let (tracking_since, last_used, uses) = (self.tracking_since(), self.last_used(), self.uses());
        Seen { tracking_since, last_used, uses, from, refused }
    }

    /// Takes over what was known before this cell was made. Taken over twice it is the same.
    pub fn restore(&self, before: Seen) {
        self.tracking_since.fetch_min(before.tracking_since.millis(), Relaxed);
        self.last_used.fetch_max(before.last_used.unwrap_or(Timestamp::MIN).millis(), Relaxed);
        self.uses.fetch_max(before.uses, Release);
        if before.from.is_empty() && before.refused == Refusals::default() {
            return;
        }
        let mut callers = self.callers();
        let Callers { accepted, refused, .. } = &mut *callers;
        before.from.into_iter().rev().for_each(|sighting| note(accepted, sighting));
        refused.count = refused.count.max(before.refused.count);
        before.refused.from.into_iter().rev().for_each(|sighting| note(&mut refused.from, sighting));
    }

    /// Changes with everything that is noted: a count that begins anew after two thousand million.
    #[expect(clippy::cast_possible_truncation, reason = "of a count that goes round, the lower half")]
    pub fn revision(&self) -> u32 {
        (self.uses.load(Acquire) as u32).wrapping_add(self.sampled.load(Acquire)) & (NEVER >> 1)
    }

    /// Whether there is something that was not kept.
    pub fn has_news(&self) -> bool {
        self.revision() != self.kept.load(Relaxed)
    }

    /// The callers that were kept last.
    pub fn kept_callers(&self) -> Mark {
        self.known_callers().map(|known| known.kept).unwrap_or_default()
    }

    /// These callers have been kept.
    pub fn callers_kept(&self, mark: Mark) {
        if let Some(mut known) = self.known_callers() {
            known.kept = mark;
        }
    }

    /// Whether nothing of it was ever kept: its record has just entered the list.
    pub fn is_new(&self) -> bool {
        self.kept.load(Relaxed) == NEVER
    }

    /// What was known at that revision has been kept.
    pub fn kept(&self, revision: u32) {
        self.kept.store(revision, Relaxed);
    }

    /// Who presented it, to be added to.
    fn callers(&self) -> MutexGuard<'_, Callers> {
        locked(self.callers.get_or_init(Box::default))
    }

    /// The same, where anybody did.
    fn known_callers(&self) -> Option<MutexGuard<'_, Callers>> {
        self.callers.get().map(locked)
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How the authentications of one client ended.
#[derive(Default)]
pub struct ClientCells {
    results: [AtomicU64; AuthResult::OF_A_CLIENT.len()],
    basic_rfc6749: AtomicU64,
    basic_raw: AtomicU64,
}

impl ClientCells {
    /// Counts a result; one that is not of a client is not counted here.
    pub fn count(&self, result: AuthResult) {
        if let Some(cell) = self.cell(result) {
            cell.fetch_add(1, Relaxed);
        }
    }

    /// Counts which reading of Basic matched.
    pub fn count_basic(&self, encoding: BasicEncoding) {
        match encoding {
            BasicEncoding::Rfc6749 => self.basic_rfc6749.fetch_add(1, Relaxed),
            BasicEncoding::Raw => self.basic_raw.fetch_add(1, Relaxed),
        };
    }

    /// How often a result was counted.
    pub fn results(&self, result: AuthResult) -> u64 {
        self.cell(result).map_or(0, |cell| cell.load(Relaxed))
    }

    /// How often each reading of Basic matched: form-encoded, raw.
    pub fn basic(&self) -> (u64, u64) {
        (self.basic_rfc6749.load(Relaxed), self.basic_raw.load(Relaxed))
    }

    fn cell(&self, result: AuthResult) -> Option<&AtomicU64> {
        AuthResult::OF_A_CLIENT.iter().zip(&self.results).find(|(of, _)| **of == result).map(|(_, cell)| cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_used_never_moves_back() {
        let cell = UseCell::tracked_since(Timestamp::from_millis(5));
        assert_eq!((cell.last_used(), cell.uses()), (None, 0));
        cell.note(Timestamp::from_millis(20));
        cell.note(Timestamp::from_millis(10));
        assert_eq!((cell.last_used(), cell.uses()), (Some(Timestamp::from_millis(20)), 2));
    }

    fn sighting(host: u8, agent: &str, at: u64) -> Sighting {
        let (address, at) = (Source::from(std::net::IpAddr::from([10, 0, 0, host])), Timestamp::from_millis(at));
        Sighting { address, user_agent: agent.into(), method: AuthMethod::Basic, at }
    }

    #[test]
    fn the_latest_callers_are_kept_and_each_of_them_once() {
        let cell = UseCell::tracked_since(Timestamp::MIN);
        for round in 0..100u64 {
            for host in 0..20 {
                cell.sight(sighting(host, "a/1", round * 20 + u64::from(host)));
            }
        }
        cell.sight(sighting(19, "a/1", 5));
        let from = cell.seen().from;
        let expected: Vec<_> = (12..20).rev().map(|host| sighting(host, "a/1", 1980 + u64::from(host))).collect();
        assert_eq!(from, expected);
        cell.sight(sighting(19, "b/1", 3000));
        assert_eq!(cell.seen().from[..2], [sighting(19, "b/1", 3000), expected[0].clone()]);
    }

    #[test]
    fn what_was_known_before_is_taken_over_and_twice_is_the_same() {
        let cell = UseCell::tracked_since(Timestamp::from_millis(100));
        let before = Seen {
            last_used: Some(Timestamp::from_millis(90)),
            uses: 7,
            from: vec![sighting(2, "b", 90)],
            refused: Refusals { count: 2, from: vec![sighting(1, "a", 80)] },
            ..Seen::since(Timestamp::from_millis(10))
        };
        cell.restore(before.clone());
        assert_eq!(cell.seen(), before);
        cell.note(Timestamp::from_millis(110));
        cell.refuse(sighting(1, "a", 111));
        cell.restore(before);
        let seen = cell.seen();
        assert_eq!((seen.tracking_since.millis(), seen.uses, seen.refused.count), (10, 8, 3));
        assert_eq!(seen.last_used, Some(Timestamp::from_millis(110)));
        assert_eq!((seen.from.len(), seen.refused.from), (1, vec![sighting(1, "a", 111)]));
    }

    #[test]
    fn there_is_news_until_it_is_kept() {
        let cell = UseCell::tracked_since(Timestamp::MIN);
        assert!(cell.has_news(), "its beginning");
        cell.kept(cell.revision());
        assert!(!cell.has_news());
        for change in [|cell: &UseCell| cell.note(Timestamp::MAX), |cell: &UseCell| cell.sight(sighting(1, "a", 1))] {
            change(&cell);
            assert!(cell.has_news());
            cell.kept(cell.revision());
        }
    }

    #[test]
    fn a_user_agent_is_short_and_plain() {
        assert_eq!(&*user_agent(b"curl/8 \xff\x1b[2J\r\n\"x\""), "curl/8 ??[2J??\"x\"");
        assert_eq!(user_agent(&[b'x'; 500]).len(), MAX_USER_AGENT);
        let words = format!("{} {}", "a".repeat(100), "b".repeat(100));
        assert_eq!(&*user_agent(words.as_bytes()), "a".repeat(100));
    }
}
