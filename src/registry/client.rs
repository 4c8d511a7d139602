//! A client and its secrets, side by side in memory: a decision that has found the client has found all that it compares.

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
    /// Nothing where each record is what is compared.
    apart: Option<Box<Apart>>,
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

/// What is compared of a client that has records which can never be accepted again, that are rehearsed to be, or slow.
struct Apart {
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

impl Apart {
    /// Of records as they are at a moment; nothing where all of them are compared as they stand.
    fn of(records: &[Record], now: Timestamp) -> Option<Box<Self>> {
        let plain = |record: &Record| {
            record.is_alive(now) && matches!(record.held, Held::Fast(_)) && record.refused_until() == Timestamp::MIN
        };
        if records.len() <= MOST_ACTIVE && records.iter().all(plain) {
            return None;
        }
        let fast = |(at, record): (usize, &Record)| {
            let Held::Fast(digest) = record.held else { return None };
            Some(FastSlot {
                digest,
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
        let head = Head { profile, cells: OnceLock::new(), apart: Apart::of(&records, now) };
        Self(ThinArc::from_header_and_iter(head, records.into_iter()))
    }

    /// Whether the other one is this one, and not only of the same key.
    pub fn is(&self, other: &Self) -> bool {
        self.0.ptr() == other.0.ptr()
    }

    /// Every secret that stands in the list, dead ones included, in the order of the list.
    pub fn records(&self) -> &[Record] {
        &self.0.slice
    }

    /// What is compared of it, dummies where that is less than eight slots.
    pub(crate) fn slots(&self) -> [Slot<'_>; MOST_ACTIVE] {
        let mut slots = Slot::DUMMIES;
        match &self.head().apart {
            None => slots.iter_mut().zip((0..).zip(self.records())).for_each(|(slot, (at, record))| {
                *slot = Slot {
                    digest: record.held.fast().unwrap_or(&NO_DIGEST),
                    not_before: record.not_before.millis(),
                    expires: record.expires.millis(),
                    record: at,
                };
            }),
            Some(apart) => slots.iter_mut().zip(&apart.fast).for_each(|(slot, fast)| {
                let FastSlot { digest, not_before, expires, record } = fast;
                *slot = Slot { digest, not_before: *not_before, expires: *expires, record: *record };
            }),
        }
        slots
    }

    /// The slow records that can be accepted now or later; mostly none.
    pub(crate) fn slow(&self) -> &[SlowSlot] {
        self.head().apart.as_ref().map_or(&[], |apart| &apart.slow)
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
