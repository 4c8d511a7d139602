//! What makes the second call as cheap as a SHA-256 record: once a slow hash is proven, the presented secret is known
//! again by its digest's tag under a key that never leaves the process.
//!
//! The key is of the process alone, so a tag found in a part of a memory image cannot be searched for, nor prepared. SipHash
//! with 128 bits is a message authentication code for inputs as short as this one, and takes half the time of another
//! SHA-256: who does not know the key cannot present another secret with the same tag, but by one chance in 2^128.

use std::fmt;
use std::hash::Hasher as _;
use std::sync::{LazyLock, OnceLock};

use siphasher::sip128::{Hasher128 as _, SipHasher24};
use subtle::{Choice, ConstantTimeEq as _};

use crate::domain::secret::Digest;

/// Keyed from the operating system, once. Where it gives no key nothing is remembered, and every call costs what the first
/// does.
static KEYED: LazyLock<Option<SipHasher24>> = LazyLock::new(|| {
    let mut key = [0; 16];
    getrandom::fill(&mut key).ok().map(|()| SipHasher24::new_with_key(&key))
});

/// A presented secret as it is known again: the tag of its digest.
#[derive(Clone, Copy)]
pub struct Keyed(u64, u64);

impl Keyed {
    /// Of the digest of a presented secret.
    pub fn of(presented: &Digest) -> Option<Self> {
        let mut keyed = *KEYED.as_ref()?;
        keyed.write(presented.bytes());
        let tag = keyed.finish128();
        Some(Self(tag.h1, tag.h2))
    }

    /// Equality in constant time.
    fn matches(&self, other: &Self) -> Choice {
        ((self.0 ^ other.0) | (self.1 ^ other.1)).ct_eq(&0)
    }
}

/// Which secret proved a record, once one did. Lives and dies with the record and its hash.
#[derive(Default)]
pub struct Proven(OnceLock<Keyed>);

impl Proven {
    /// Notes the secret that proved the record. The first stays.
    pub fn note(&self, keyed: Keyed) {
        let _first_stays = self.0.set(keyed);
    }

    /// Whether it was proven: then another secret is a wrong one, and there is nothing to compute.
    pub fn is_known(&self) -> bool {
        self.0.get().is_some()
    }

    /// Whether this is the secret that proved it; in constant time.
    pub fn matches(&self, keyed: &Keyed) -> Choice {
        self.0.get().map_or(Choice::from(0), |known| known.matches(keyed))
    }
}

impl fmt::Debug for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proven(..)")
    }
}
