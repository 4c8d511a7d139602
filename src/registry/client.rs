//! A client and its secrets, side by side in memory: a decision that has found the client has found what it compares, of all but
//! few clients.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use subtle::Choice;
use triomphe::ThinArc;

use super::cells::ClientCells;
use super::slow::{Held, SlowSlot};
use super::{Record, SecretState, UpstreamIdentity};
use crate::config::clients::MOST_ACTIVE;
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientKey;
use crate::domain::secret::Digest;

/// A client of a list. A clone is the same client.
#[derive(Clone)]
pub struct Client(ThinArc<Head, Record>);

/// What stands before the secrets of a client.
pub(super) struct Head {
    profile: Profile,
    /// What it counts. Most clients of a long list never come: this is made when one does.
    cells: OnceLock<Arc<ClientCells>>,
    /// Nothing where the records are what is compared.
    beyond: Option<Box<Beyond>>,
}

/// What a list says of a client besides its secrets.
#[derive(Clone)]
pub struct Profile {
    /// Its tenant and its id.
    pub key: ClientKey,
    /// A name for people.
    pub name: Box<str>,
    /// Whether any secret of it is accepted.
    pub enabled: bool,
    /// How many secrets may be active at once.
    pub max_active: u8,
    /// Its identity at the upstream, in replace mode.
    pub upstream: Option<Arc<UpstreamIdentity>>,
    /// Where its table begins in the part of a text that it was made of: so it is the same wherever that part stands.
    pub(super) start: usize,
}

/// What is compared of a client that has slow records, rehearsed ones, or more than can be active.
struct Beyond {
    fast: Box<[FastSlot]>,
    slow: Box<[SlowSlot]>,
}

/// A record with a SHA-256 that can be accepted, and its window.
struct FastSlot {
    digest: Digest,
    not_before: u64,
    expires: u64,
    record: u32,
}

/// What verification compares against: a record's digest and its window.
pub(crate) struct Slot<'c> {
    digest: &'c Digest,
    not_before: u64,
    expires: u64,
    record: u32,
}

static NO_DIGEST: Digest = Digest::from_bytes([0; 32]);

impl Slot<'static> {
    /// Fills the places of a client with fewer than eight slots: never accepted, compared all the same.
    const DUMMY: Self = Self { digest: &NO_DIGEST, not_before: u64::MAX, expires: 0, record: 0 };
    /// What is compared where there is no client.
    pub(crate) const DUMMIES: [Self; MOST_ACTIVE] = [Self::DUMMY; MOST_ACTIVE];
}

impl Slot<'_> {
    /// Whether the secret is this one and its window holds.
    pub(crate) fn accepts(&self, digest: &Digest, now: Timestamp) -> Choice {
        let now = now.millis();
        let open = (self.not_before <= now) & (now < self.expires);
        self.digest.matches(digest) & Choice::from(u8::from(open))
    }

    /// Index of the record it stands for.
    pub(crate) const fn record(&self) -> u32 {
        self.record
    }
}

impl Beyond {
    /// Of records as they are at a moment; nothing where they are compared as they stand.
    fn of(records: &[Record], now: Timestamp) -> Option<Box<Self>> {
        let plain =
            |record: &Record| !matches!(record.held, Held::Slow(..)) && record.refused_until() == Timestamp::MIN;
        if records.len() <= MOST_ACTIVE && records.iter().all(plain) {
            return None;
        }
        let fast = |(at, record): (usize, &Record)| {
            Some(FastSlot {
                digest: *record.compared()?,
                not_before: record.not_before.max(record.refused_until()).millis(),
                expires: record.expires.millis(),
                record: u32::try_from(at).unwrap_or(u32::MAX),
            })
        };
        let living = || records.iter().enumerate().filter(|(_, record)| record.is_alive(now));
        let slow = living().filter_map(|(at, record)| SlowSlot::of(at, record)).collect();
        Some(Box::new(Self { fast: living().filter_map(fast).collect(), slow }))
    }
}

impl Client {
    /// A client with the secrets that stand in the list, dead ones included, as they are at a moment.
    pub(super) fn of(profile: Profile, records: Vec<Record>, now: Timestamp) -> Self {
        let head = Head { profile, cells: OnceLock::new(), beyond: Beyond::of(&records, now) };
        Self(ThinArc::from_header_and_iter(head, records.into_iter()))
    }

    /// Whether the other one is this one, and not only of the same key.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.ptr() == other.0.ptr()
    }

    /// Every secret that stands in the list, dead ones included, in the order of the list.
    pub fn records(&self) -> &[Record] {
        &self.0.slice
    }

    /// What is compared of it, dummies where that is less than eight slots.
    pub(crate) fn slots(&self) -> [Slot<'_>; MOST_ACTIVE] {
        let mut slots = Slot::DUMMIES;
        match &self.head().beyond {
            None => slots.iter_mut().zip((0..).zip(self.records())).for_each(|(slot, (at, record))| {
                if let Some(digest) = record.compared() {
                    let (not_before, expires) = (record.not_before.millis(), record.expires.millis());
                    *slot = Slot { digest, not_before, expires, record: at };
                }
            }),
            Some(beyond) => slots.iter_mut().zip(&beyond.fast).for_each(|(slot, fast)| {
                let FastSlot { digest, not_before, expires, record } = fast;
                *slot = Slot { digest, not_before: *not_before, expires: *expires, record: *record };
            }),
        }
        slots
    }

    /// The slow records that can be accepted now or later; mostly none.
    pub(crate) fn slow(&self) -> &[SlowSlot] {
        self.head().beyond.as_ref().map_or(&[], |beyond| &beyond.slow)
    }

    /// What it counts.
    pub fn cells(&self) -> &Arc<ClientCells> {
        self.head().cells.get_or_init(Arc::default)
    }

    /// Counts where another one does, unless it counts already.
    pub(super) fn count_with(&self, other: &Self) {
        let _counts_there_already = self.head().cells.set(other.cells().clone());
    }

    /// The same to be read, where anything was counted.
    pub fn counted(&self) -> Option<&ClientCells> {
        self.head().cells.get().map(|cells| &**cells)
    }

    /// The newest active secret: the one that callers should be using.
    pub fn current(&self, now: Timestamp) -> Option<&Record> {
        let active = self.records().iter().filter(|record| record.state(now) == SecretState::Active);
        active.max_by_key(|record| record.created())
    }

    fn head(&self) -> &Head {
        &self.0.header.header
    }
}

impl Deref for Client {
    type Target = Profile;

    fn deref(&self) -> &Profile {
        &self.head().profile
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::hash;
    use crate::registry::Snapshot;
    use crate::registry::build::tests::{NOW, good};
    use crate::registry::diff::with_revocations;

    /// What a record can be on the day of [`NOW`], the 18th, and in the days behind it; the last two have other hashes.
    const KINDS: [&str; 9] = [
        "",
        "status = \"revoked\"",
        "status = \"disabled\"",
        "not_before = 2026-11-19T00:00:00Z",
        "expires = 2026-11-20T00:00:00Z",
        "expires = 2026-11-17T00:00:00Z",
        "refused_until = 2026-11-19T00:00:00Z",
        "hash = \"$6$salt$IxDD3jeSOb5eB1CX5LBsqZFVkJdido3OUILO5Ifz5iwMuTS4XMS130MTSuDDl3aCI6Wouq\"",
        "hash = \"$2b$04$euw8i5Fze7FTjFBmIGPMWOkfJZK0cQelJW7YGGoDx9pGnf99T3wpi\"",
    ];
    const REVOKED: usize = 1;
    const SLOW: usize = 8;

    fn list(kinds: &[usize]) -> String {
        let mut text = "[[client]]\nid = \"c\"\n".to_owned();
        for (at, kind) in kinds.iter().enumerate() {
            let kept = if *kind < 7 { format!("secret = \"secret {at}\"\n") } else { String::new() };
            let _ = write!(text, "[[client.secret]]\nid = \"s{at}\"\n{kept}{}\n", KINDS[*kind]);
        }
        text
    }

    /// Whether, on each of the days, exactly the active records are compared, and each as itself.
    fn compares_the_active(list: &Snapshot, kinds: &[usize]) -> Result<(), TestCaseError> {
        let client = &list.clients[0];
        for days in 0..4 {
            let now = Timestamp::from_millis(NOW.millis() + 86_400_000 * days);
            for (at, record) in client.records().iter().enumerate() {
                let active = record.state(now) == SecretState::Active;
                let open =
                    client.slow().iter().filter(|slot| slot.is_open(now)).any(|slot| slot.record() as usize == at);
                prop_assert_eq!(open, active && kinds[at] == SLOW, "slow {} after {} days", at, days);
                let presented = hash::sha256(format!("secret {at}").as_bytes());
                let accepting = client.slots().into_iter().filter(|slot| bool::from(slot.accepts(&presented, now)));
                let found: Vec<usize> = accepting.map(|slot| slot.record() as usize).collect();
                let expected = if active && kinds[at] < 7 { vec![at] } else { Vec::new() };
                prop_assert_eq!(found, expected, "{} after {} days", at, days);
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn what_is_compared_is_what_is_active_and_each_record_as_itself(
            kinds in vec(0..KINDS.len(), 0..12), revoked in vec(any::<bool>(), 12),
        ) {
            // One hash of each kind, as secrets differ; and no more than can be active.
            let mut kinds = kinds;
            for (at, kind) in (0..kinds.len()).map(|at| (at, kinds[at])).collect::<Vec<_>>() {
                if at >= MOST_ACTIVE || (kind >= 7 && kinds[..at].contains(&kind)) {
                    kinds[at] = REVOKED;
                }
            }
            kinds.reverse();
            let first = good(&list(&kinds), None);
            compares_the_active(&first, &kinds)?;
            for (kind, revoked) in kinds.iter_mut().zip(revoked) {
                if revoked && *kind < 7 {
                    *kind = REVOKED;
                }
            }
            let held = good(&list(&kinds), Some(&first));
            compares_the_active(&held, &kinds)?;
            if let Some(next) = with_revocations(&first, &held, NOW) {
                compares_the_active(&next, &kinds)?;
            }
        }
    }
}
