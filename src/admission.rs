//! Leave to have a slow hash computed. Guessers of a client are refused it, those who lately proved a secret of it are not.
//!
//! The budget is the throttle's: who failed too often for a client within a window has nothing computed for it in that
//! window. How much one source may have waiting at once is bounded where the work waits.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::ids::BorrowedKey;
use crate::domain::source::Source;
use crate::throttle::Throttle;

/// Proof that a source may have work done. Only [`admit`] gives one.
pub struct Admission(Source);

impl Admission {
    /// Who it was given to.
    pub const fn source(&self) -> Source {
        self.0
    }
}

/// Admits a source that has not failed too often for this id, or that lately proved a secret of it. Else gives the seconds
/// after which it counts afresh.
pub fn admit(
    throttle: &Throttle,
    provers: &Provers,
    key: BorrowedKey<'_>,
    source: Source,
    now: Timestamp,
) -> Result<Admission, u32> {
    match throttle.spent(key, source, now) {
        Some(seconds) if !provers.lately(key, source, now) => Err(seconds),
        _ => Ok(Admission(source)),
    }
}

/// Sources that proved a secret, in a table of fixed size: each (id, source) has one place, and the last one keeps it. Only
/// who knows a right secret can write here, so a guesser can neither fill it nor push anybody out.
pub struct Provers {
    places: Box<[AtomicU64]>,
    hasher: RandomState,
}

const PLACES: usize = 4096;
/// A pod that fetches a token each hour stays known.
const LATELY: Duration = Duration::from_secs(2 * 3600);
/// Each place holds so many bits of key, then the minute.
const MINUTE_BITS: u32 = 32;

impl Default for Provers {
    fn default() -> Self {
        Self { places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(), hasher: RandomState::new() }
    }
}

impl Provers {
    /// Notes that a secret of this id was proven from there.
    pub fn note(&self, key: BorrowedKey<'_>, source: Source, now: Timestamp) {
        if let Some((place, mark)) = self.place(key, source) {
            place.store(mark << MINUTE_BITS | minute(now), Relaxed);
        }
    }

    fn lately(&self, key: BorrowedKey<'_>, source: Source, now: Timestamp) -> bool {
        let Some((place, mark)) = self.place(key, source) else { return false };
        let kept = place.load(Relaxed);
        let age = minute(now).saturating_sub(kept & u64::from(u32::MAX));
        kept != 0 && kept >> MINUTE_BITS == mark && age <= LATELY.as_secs() / 60
    }

    fn place(&self, key: BorrowedKey<'_>, source: Source) -> Option<(&AtomicU64, u64)> {
        let hash = self.hasher.hash_one((key, source));
        let at = usize::try_from(hash & u64::from(u32::MAX)).unwrap_or(0) % PLACES;
        self.places.get(at).map(|place| (place, hash >> MINUTE_BITS))
    }
}

fn minute(now: Timestamp) -> u64 {
    (now.millis() / 60_000) & u64::from(u32::MAX)
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
    fn guessers_are_refused_work_and_provers_are_not() {
        let throttle = Throttle::new(10, Duration::from_secs(60), 1024);
        let provers = Provers::default();
        let admitted = |source, seconds| admit(&throttle, &provers, C1, source, at(seconds));
        for _ in 0..9 {
            throttle.settle(C1, HERE, at(0));
        }
        assert_eq!(admitted(HERE, 0).map(|admission| admission.source()).ok(), Some(HERE));
        throttle.settle(C1, HERE, at(0));
        assert_eq!(admitted(HERE, 15).err(), Some(45), "as many as are answered plainly have been computed");
        assert!(admitted(THERE, 0).is_ok(), "another source");
        assert!(admit(&throttle, &provers, C2, HERE, at(0)).is_ok(), "another client");
        assert!(admit(&throttle, &provers, C1_OF_A_TENANT, HERE, at(0)).is_ok(), "another tenant");
        assert!(admitted(HERE, 60).is_ok(), "the next minute");
        provers.note(C1, THERE, at(0));
        assert!(admitted(HERE, 0).is_err(), "another source proved one");
        provers.note(C1_OF_A_TENANT, HERE, at(0));
        assert!(admitted(HERE, 0).is_err(), "one of another tenant's");
        provers.note(C1, HERE, at(0));
        assert!(admitted(HERE, 0).is_ok());
        assert!(provers.lately(C1, HERE, at(7200)) && !provers.lately(C1, HERE, at(7300)));
    }
}
