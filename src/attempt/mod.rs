//! Step 9, the rule of it: which upstream secret is sent next, and when to give up.
//!
//! Pure. Only a refusal of the client's authentication moves on to the next secret ([`answer`]), because the upstream
//! then acted on nothing; everything else goes back to the caller as it is. A list that was refused in full rests: the
//! upstream is not asked again for a while, which doubles from one full refusal to the next.

pub mod answer;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

pub use self::answer::{Said, said};
use crate::domain::clock::Timestamp;

/// How the list of a client's upstream secrets stands: shared by all threads, written without a lock, and bound to that
/// list. A changed list begins anew ([`Standing::of_changed_list`]).
#[derive(Default)]
pub struct Standing {
    /// Index of the secret that was accepted last.
    working: AtomicUsize,
    /// The latest beginning of a request that was accepted, in milliseconds.
    accepted: AtomicU64,
    /// The rest after a full refusal; 0 while there is none. See [`Rest`].
    rest: AtomicU64,
    fallbacks: AtomicU64,
    /// When a move was told last, one for moves within the list and one for those to its end.
    told: [AtomicU64; 2],
}

/// Where a request stands in the list of a client's upstream secrets. Only [`Standing::begin`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    first: usize,
    tried: usize,
    of: usize,
    began: Timestamp,
    rest: u64,
}

/// Another secret than before was accepted, and this is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Index of the one that worked before.
    pub from: usize,
    /// Index of the one that works now.
    pub to: usize,
    /// Whether none is left after it.
    pub is_last: bool,
}

/// Every secret was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// Seconds until the upstream is asked again.
    pub seconds: u32,
    /// Whether this request is the one to tell it.
    pub tell: bool,
}

/// The first rest: a caller that tries again at once has not long to wait where the refusal was a passing one.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest: a secret that is set right at the far end, and not here, is found within a minute.
const LONGEST: Duration = Duration::from_secs(60);
/// Doublings that lead from the one to the other.
const MOST_DOUBLINGS: u64 = 6;
/// After a rest one request asks; the others go on resting until it knows, or for so long.
const PROBE: Duration = Duration::from_secs(1);
/// Moves are told so often; the counter has all of them.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// A rest, as it is packed into one atomic: until when, and how many there were in a row before it.
#[derive(Clone, Copy)]
struct Rest {
    until: Timestamp,
    before: u64,
}

impl Rest {
    const BITS: u32 = 3;

    const fn unpack(packed: u64) -> Self {
        Self { until: Timestamp::from_millis(packed >> Self::BITS), before: packed & ((1 << Self::BITS) - 1) }
    }

    const fn pack(self) -> u64 {
        self.until.millis() << Self::BITS | self.before
    }

    /// The one that follows.
    fn next(packed: u64, now: Timestamp) -> Self {
        let before = if packed == 0 { 0 } else { (Self::unpack(packed).before + 1).min(MOST_DOUBLINGS) };
        Self { until: now.plus((SHORTEST * (1 << before)).min(LONGEST)), before }
    }

    /// Whole seconds that are left, at least one.
    fn seconds(self, now: Timestamp) -> u32 {
        u32::try_from(self.until.since(now).as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1)
    }
}

impl Standing {
    /// Of a list that took the place of another. What was counted goes on.
    pub fn of_changed_list(before: Option<&Self>) -> Self {
        let fallbacks = before.map_or(0, Self::fallbacks);
        Self { fallbacks: AtomicU64::new(fallbacks), ..Self::default() }
    }

    /// Begins with the secret that worked last; or gives the seconds for which the list still rests.
    pub fn begin(&self, of: usize, now: Timestamp) -> Result<Attempts, u32> {
        let mut rest = self.rest.load(Relaxed);
        if rest != 0 {
            let known = Rest::unpack(rest);
            if now < known.until {
                return Err(known.seconds(now));
            }
            let probing = Rest { until: now.plus(PROBE), ..known }.pack();
            if self.rest.compare_exchange(rest, probing, Relaxed, Relaxed).is_err() {
                return Err(1);
            }
            rest = probing;
        }
        let working = self.working.load(Relaxed);
        Ok(Attempts { first: if working < of { working } else { 0 }, tried: 0, of, began: now, rest })
    }

    /// An answer shows that the upstream took the secret. Tells a move, where it is to be told.
    pub fn accepted(&self, attempts: Attempts, now: Timestamp) -> Option<Moved> {
        // Written once a millisecond at most, so that threads do not take the line from each other all the time.
        let began = attempts.began.millis();
        if began > self.accepted.load(Relaxed) {
            self.accepted.store(began, Relaxed);
        }
        if self.rest.load(Relaxed) != 0 {
            self.rest.store(0, Relaxed);
        }
        if attempts.tried == 0 {
            return None;
        }
        let (from, to) = (attempts.first, attempts.current());
        // Of many requests that find it out at once, one moves.
        self.working.compare_exchange(from, to, Relaxed, Relaxed).ok()?;
        self.fallbacks.fetch_add(1, Relaxed);
        let is_last = to + 1 == attempts.of;
        let [within, end] = &self.told;
        let told = if is_last { end } else { within };
        let before = told.load(Relaxed);
        let due = before == 0 || now.since(Timestamp::from_millis(before)) >= TOLD_EVERY;
        (due && told.compare_exchange(before, now.millis(), Relaxed, Relaxed).is_ok()).then_some(Moved {
            from,
            to,
            is_last,
        })
    }

    /// Every secret was refused: the list rests, unless the upstream took one of them from a request that began later. Then
    /// the change at the far end fell between two attempts of this request, and nobody else need wait for it.
    pub fn exhausted(&self, attempts: Attempts, now: Timestamp) -> Exhausted {
        if self.accepted.load(Relaxed) >= attempts.began.millis() {
            return Exhausted { seconds: 1, tell: false };
        }
        let rest = Rest::next(attempts.rest, now);
        match self.rest.compare_exchange(attempts.rest, rest.pack(), Relaxed, Relaxed) {
            Ok(_) => Exhausted { seconds: rest.seconds(now), tell: true },
            // Requests that were refused side by side lengthen the rest once.
            Err(known) => Exhausted { seconds: Rest::unpack(known).seconds(now), tell: false },
        }
    }

    /// Index of the secret that the upstream takes, or that is tried first as long as nobody asked; nothing after a full
    /// refusal.
    pub fn in_use(&self) -> Option<usize> {
        (self.rest.load(Relaxed) == 0).then(|| self.working.load(Relaxed))
    }

    /// How often another secret took the place of one that was refused.
    pub fn fallbacks(&self) -> u64 {
        self.fallbacks.load(Relaxed)
    }
}

impl Attempts {
    /// Index of the secret to send now.
    pub const fn current(self) -> usize {
        (self.first + self.tried) % if self.of == 0 { 1 } else { self.of }
    }

    /// The attempt after one that was refused; nothing when each was tried once.
    pub fn next(self) -> Option<Self> {
        let next = Self { tried: self.tried + 1, ..self };
        (next.tried < next.of).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000 + millis)
    }

    /// What becomes of a request at a time, where the upstream takes the secret of this index or none.
    fn ask(standing: &Standing, of: usize, millis: u64, takes: Option<usize>) -> Result<(usize, Option<Moved>), u32> {
        let mut attempts = standing.begin(of, at(millis))?;
        loop {
            if Some(attempts.current()) == takes {
                return Ok((attempts.tried + 1, standing.accepted(attempts, at(millis))));
            }
            match attempts.next() {
                Some(next) => attempts = next,
                None => return Err(standing.exhausted(attempts, at(millis)).seconds),
            }
        }
    }

    #[test]
    fn each_secret_is_tried_once_beginning_with_the_one_that_worked() {
        let walk = |working, of| {
            let standing = Standing { working: AtomicUsize::new(working), ..Standing::default() };
            let mut next = standing.begin(of, at(0)).ok();
            std::iter::from_fn(move || {
                let now = next?;
                next = now.next();
                Some(now.current())
            })
            .collect::<Vec<_>>()
        };
        assert_eq!(walk(0, 1), [0]);
        assert_eq!(walk(1, 3), [1, 2, 0]);
        assert_eq!(walk(9, 2), [0, 1]);
    }

    #[test]
    fn the_secret_that_works_is_remembered_counted_and_told_once_a_minute() {
        let standing = Standing::default();
        assert_eq!(ask(&standing, 3, 0, Some(0)), Ok((1, None)));
        assert_eq!(ask(&standing, 3, 1, Some(1)), Ok((2, Some(Moved { from: 0, to: 1, is_last: false }))));
        assert_eq!(ask(&standing, 3, 2, Some(1)), Ok((1, None)));
        assert_eq!(ask(&standing, 3, 3, Some(2)), Ok((2, Some(Moved { from: 1, to: 2, is_last: true }))));
        assert_eq!(ask(&standing, 3, 4, Some(0)), Ok((2, None)), "told within the minute");
        assert_eq!(ask(&standing, 3, 60_001, Some(1)), Ok((2, Some(Moved { from: 0, to: 1, is_last: false }))));
        assert_eq!((standing.in_use(), standing.fallbacks()), (Some(1), 4));
        let changed = Standing::of_changed_list(Some(&standing));
        assert_eq!((changed.in_use(), changed.fallbacks()), (Some(0), 4));
    }

    #[test]
    fn a_list_that_was_refused_in_full_rests_longer_each_time_and_any_success_ends_it() {
        let standing = Standing::default();
        let mut now = 0;
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(ask(&standing, 2, now, None), Err(seconds), "at {now}");
            assert_eq!(standing.in_use(), None);
            let end = now + u64::from(seconds) * 1000;
            assert_eq!(standing.begin(2, at(end - 1)), Err(1), "still resting");
            assert_eq!(standing.begin(2, at(now + 1)), Err(seconds));
            now = end;
        }
        let probe = standing.begin(2, at(now)).unwrap();
        assert_eq!(standing.begin(2, at(now)), Err(1), "one asks, the others wait for it");
        assert_eq!(standing.accepted(probe, at(now)), None);
        assert_eq!(standing.in_use(), Some(0));
        assert_eq!(ask(&standing, 2, now + 1, None), Err(1), "and it begins anew");
    }

    #[test]
    fn a_probe_that_came_to_nothing_is_followed_by_another() {
        let standing = Standing::default();
        assert_eq!(ask(&standing, 1, 0, None), Err(1));
        assert!(standing.begin(1, at(1000)).is_ok());
        assert_eq!(standing.begin(1, at(1999)), Err(1));
        assert!(standing.begin(1, at(2000)).is_ok());
    }

    #[test]
    fn refusals_side_by_side_are_one_and_one_that_is_out_of_date_makes_nobody_wait() {
        let standing = Standing::default();
        let [first, second] = [0, 0].map(|millis| standing.begin(2, at(millis)).unwrap());
        assert_eq!(standing.exhausted(first, at(10)), Exhausted { seconds: 1, tell: true });
        assert_eq!(standing.exhausted(second, at(20)), Exhausted { seconds: 1, tell: false });
        assert_eq!(ask(&standing, 2, 1010, None), Err(2), "as after one");

        let standing = Standing::default();
        let slow = standing.begin(2, at(0)).unwrap();
        assert_eq!(ask(&standing, 2, 5, Some(0)), Ok((1, None)));
        assert_eq!(standing.exhausted(slow, at(10)), Exhausted { seconds: 1, tell: false });
        assert!(standing.begin(2, at(11)).is_ok());
    }
}
