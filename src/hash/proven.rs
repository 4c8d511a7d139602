//! What makes the second call as cheap as a SHA-256 record: once a slow hash is proven, the presented secret is known
//! again by a digest under a key that never leaves the process.
//!
//! The key is of the process alone, so a digest found in a memory image cannot be searched for elsewhere, nor prepared.

use std::fmt;
use std::sync::{LazyLock, OnceLock};

use sha2::{Digest as _, Sha256};
use subtle::Choice;

use crate::domain::secret::Digest;

/// From the operating system, once. Where it gives none nothing is remembered, and every call costs what the first does.
static KEY: LazyLock<Option<[u8; 16]>> = LazyLock::new(|| {
    let mut key = [0; 16];
    getrandom::fill(&mut key).ok().map(|()| key)
});

/// A presented secret as it is known again: the SHA-256 of key and digest, one compression.
#[derive(Clone, Copy)]
pub struct Keyed(Digest);

impl Keyed {
    /// Of the digest of a presented secret.
    pub fn of(presented: &Digest) -> Option<Self> {
        let key = KEY.as_ref()?;
        let mut block = [0; 48];
        let (head, tail) = block.split_at_mut(16);
        head.copy_from_slice(key);
        tail.copy_from_slice(presented.bytes());
        Some(Self(Digest::from_bytes(Sha256::digest(block).into())))
    }
}

/// Which secret proved a record, once one did. Lives and dies with the record and its hash.
#[derive(Default)]
pub struct Proven(OnceLock<Digest>);

impl Proven {
    /// Notes the secret that proved the record. The first stays.
    pub fn note(&self, keyed: Keyed) {
        let _first_stays = self.0.set(keyed.0);
    }

    /// Whether it was proven: then another secret is a wrong one, and there is nothing to compute.
    pub fn is_known(&self) -> bool {
        self.0.get().is_some()
    }

    /// Whether this is the secret that proved it; in constant time.
    pub fn matches(&self, keyed: &Keyed) -> Choice {
        self.0.get().map_or(Choice::from(0), |known| known.matches(&keyed.0))
    }
}

impl fmt::Debug for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proven(..)")
    }
}
