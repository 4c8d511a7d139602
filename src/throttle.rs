//! Step 6: whether a failure is answered 401 or 429. A right secret is never refused because others guess.
//!
//! Failures are counted by a keyed hash of (tenant, presented id, source), known or not, in a table of fixed size: each key has
//! four places, and a new one takes the stalest of them. What a stranger sends can neither grow it nor lock it; when more
//! pairs fail than it has places, some guesser is answered 401 for longer, and nothing else happens.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::ids::BorrowedKey;
use crate::domain::source::Source;

/// Failures by (id, source), each packed into one word: 24 bits of key, 24 bits of window number, 16 bits of count.
pub struct Throttle {
    places: Box<[AtomicU64]>,
    failures: u64,
    window: u64,
    hasher: RandomState,
}

const WAYS: usize = 4;
const COUNT: u64 = 0xffff;
const WINDOW: u64 = 0xff_ffff;

impl Throttle {
    /// Lets `failures` of a pair be answered plainly within each window of length `per`.
    pub fn new(failures: u32, per: Duration, table_size: usize) -> Self {
        let places = table_size.max(WAYS).next_multiple_of(WAYS);
        Self {
            places: (0..places).map(|_| AtomicU64::new(0)).collect(),
            failures: u64::from(failures).min(COUNT - 1),
            window: u64::try_from(per.as_millis()).unwrap_or(u64::MAX).max(1),
            hasher: RandomState::new(),
        }
    }

    /// Counts a failure. Gives the seconds after which the pair counts afresh when it has failed too often.
    pub fn settle(&self, key: BorrowedKey<'_>, source: Source, now: Timestamp) -> Option<u32> {
        let (places, head) = self.set(key, source, now)?;
        let own = own(places, head);
        let stalest =
            || places.iter().min_by_key(|place| (place.load(Relaxed) >> 16 & WINDOW, place.load(Relaxed) & COUNT));
        let place = own.or_else(stalest)?;
        let next = |old: u64| {
            let goes_on = old >> 16 == head >> 16 && old != 0;
            Some(if goes_on { old + u64::from(old & COUNT < COUNT) } else { head | 1 })
        };
        let old = place.fetch_update(Relaxed, Relaxed, next).unwrap_or_default();
        let count = next(old).unwrap_or_default() & COUNT;
        (count > self.failures).then(|| self.left(now))
    }

    /// Whether the next failure of the pair would be one too many, without counting one; gives the same seconds.
    pub fn spent(&self, key: BorrowedKey<'_>, source: Source, now: Timestamp) -> Option<u32> {
        let (places, head) = self.set(key, source, now)?;
        let count = own(places, head).map(|place| place.load(Relaxed)).filter(|kept| kept >> 16 == head >> 16)? & COUNT;
        (count >= self.failures).then(|| self.left(now))
    }

    /// The places that a pair may have, and what its own begins with in this window.
    fn set(&self, key: BorrowedKey<'_>, source: Source, now: Timestamp) -> Option<(&[AtomicU64], u64)> {
        let hash = self.hasher.hash_one((key, source));
        let sets = self.places.len() / WAYS;
        let set = usize::try_from(hash >> 32).unwrap_or(0) % sets * WAYS;
        let number = (now.millis() / self.window) & WINDOW;
        Some((self.places.get(set..set + WAYS)?, (hash & WINDOW) << 40 | number << 16))
    }

    /// Seconds until the next window.
    fn left(&self, now: Timestamp) -> u32 {
        let left = self.window - now.millis() % self.window;
        u32::try_from(left.div_ceil(1000)).unwrap_or(u32::MAX)
    }

    /// How many places hold a pair: for the metrics.
    pub fn entries(&self) -> usize {
        self.places.iter().filter(|place| place.load(Relaxed) != 0).count()
    }
}

/// The place that holds a pair, in whatever window.
fn own(places: &[AtomicU64], head: u64) -> Option<&AtomicU64> {
    places.iter().find(|place| place.load(Relaxed) >> 40 == head >> 40 && place.load(Relaxed) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const C1: BorrowedKey<'_> = BorrowedKey { tenant: "", id: b"c1" };
    const C2: BorrowedKey<'_> = BorrowedKey { tenant: "", id: b"c2" };
    const C1_OF_A_TENANT: BorrowedKey<'_> = BorrowedKey { tenant: "a", id: b"c1" };

    const HERE: Source = Source::Address(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    const THERE: Source = Source::Unix(1000);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_795_000_020_000 + seconds * 1000)
    }

    #[test]
    fn ten_failures_a_minute_are_answered_plainly() {
        let throttle = Throttle::new(10, Duration::from_secs(60), 1024);
        let settled: Vec<_> = (0..12).map(|_| throttle.settle(C1, HERE, at(0)).is_some()).collect();
        assert_eq!(settled, [vec![false; 10], vec![true; 2]].concat());
        assert_eq!(throttle.settle(C1, HERE, at(15)), Some(45));
        assert_eq!(throttle.settle(C1, THERE, at(0)), None, "another source");
        assert_eq!(throttle.settle(C2, HERE, at(0)), None, "another id");
        assert_eq!(throttle.settle(C1_OF_A_TENANT, HERE, at(0)), None, "another tenant");
        assert_eq!(throttle.settle(C1, HERE, at(60)), None, "the next minute");
        assert_eq!(throttle.entries(), 4);
    }

    #[test]
    fn strangers_cannot_grow_the_table() {
        let throttle = Throttle::new(1, Duration::from_secs(60), 64);
        for id in 0..100_000u32 {
            throttle.settle(BorrowedKey { tenant: "", id: &id.to_be_bytes() }, HERE, at(0));
        }
        assert_eq!(throttle.entries(), 64);
        assert_eq!(throttle.places.len(), 64);
    }

    #[test]
    fn a_count_does_not_run_over() {
        let throttle = Throttle::new(10, Duration::from_secs(60), 4);
        for _ in 0..70_000 {
            throttle.settle(C1, HERE, at(0));
        }
        assert!(throttle.settle(C1, HERE, at(0)).is_some());
    }
}
