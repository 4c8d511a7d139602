//! Records whose hash is slow: what they are proven with, and where it is remembered that they were.

use std::sync::Arc;

use subtle::Choice;

use super::{Client, Record};
use crate::domain::clock::Timestamp;
use crate::domain::secret::Digest;
use crate::hash::{Keyed, Proven, Slow};

/// What a record keeps of its secret.
#[derive(Clone)]
pub enum Held {
    /// Its SHA-256.
    Fast(Digest),
    /// A slow hash. Who proved it is noted beside, and taken over with the same hash only.
    Slow(Arc<Slow>, Arc<Proven>),
    /// A hash that is not verified: the record is never accepted. Carries what tells it from others.
    Unusable(Digest),
}

impl Held {
    /// See [`Record::identity`].
    pub fn identity(&self) -> Digest {
        match self {
            Self::Fast(digest) | Self::Unusable(digest) => *digest,
            Self::Slow(slow, _) => slow.identity(),
        }
    }

    /// Whether the secret of that digest is known to be the one. A slow hash that nobody proved knows none.
    pub fn knows(&self, presented: &Digest) -> bool {
        match self {
            Self::Fast(digest) => bool::from(digest.matches(presented)),
            Self::Slow(_, proven) => Keyed::of(presented).is_some_and(|keyed| bool::from(proven.matches(&keyed))),
            Self::Unusable(_) => false,
        }
    }
}

/// A slow record that can be accepted, and its window.
#[derive(Clone)]
pub(crate) struct SlowSlot {
    slow: Arc<Slow>,
    proven: Arc<Proven>,
    not_before: Timestamp,
    expires: Timestamp,
    record: u32,
}

impl SlowSlot {
    /// The slot of a record; nothing where it is not a slow one.
    pub(super) fn of(at: usize, record: &Record) -> Option<Self> {
        let Held::Slow(slow, proven) = &record.held else { return None };
        Some(Self {
            slow: slow.clone(),
            proven: proven.clone(),
            not_before: record.not_before.max(record.refused_until()),
            expires: record.expires,
            record: u32::try_from(at).unwrap_or(u32::MAX),
        })
    }

    /// Index of the record it stands for.
    pub(crate) const fn record(&self) -> u32 {
        self.record
    }

    /// Whether its window holds.
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.expires
    }

    /// Whether this is the secret that proved it, and its window holds.
    pub(crate) fn accepts(&self, keyed: &Keyed, now: Timestamp) -> Choice {
        self.proven.matches(keyed) & Choice::from(u8::from(self.is_open(now)))
    }

    /// Computes whether this is the secret, unless that is known, and notes it.
    pub(crate) fn prove(&self, secret: &[u8], keyed: Option<&Keyed>) -> bool {
        if self.proven.is_known() {
            return keyed.is_some_and(|keyed| bool::from(self.proven.matches(keyed)));
        }
        let right = self.slow.verify(secret);
        if let Some(keyed) = keyed.filter(|_| right) {
            self.proven.note(*keyed);
        }
        right
    }
}

impl Client {
    /// Whether a secret that matches nothing known may still be right: a slow record of it has not been proven yet.
    pub fn awaits_proof(&self, now: Timestamp) -> bool {
        self.enabled && self.slow().iter().any(|slot| !slot.proven.is_known() && slot.is_open(now))
    }
}
