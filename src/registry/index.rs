//! Clients by tenant and id, found with as few cache misses as there can be: neither is ever compared, their 128-bit keyed
//! hash is.
//!
//! A list of a million clients does not fit a cache, and each pointer followed costs as much as a hash. Two keyed
//! SipHashes together are as good as a message authentication code: who does not know the keys, made anew by each
//! process, cannot present an id that is taken for another, but by one chance in 2^128.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::sync::Arc;

use super::Client;
use crate::domain::ids::{BorrowedKey, MAX_CLIENT_ID};

/// The clients of one snapshot by the hash of their key.
#[derive(Clone)]
pub(super) struct Index {
    keys: Keys,
    clients: HashMap<u128, Arc<Client>, BuildHasherDefault<AlreadyHashed>>,
    /// Of the clients whose tenant has capital letters: what their hashes would be without.
    folded: HashSet<u128, BuildHasherDefault<AlreadyHashed>>,
}

#[derive(Clone, Default)]
struct Keys(RandomState, RandomState);

impl Index {
    /// An index of the same clients as they stand in a list whose keys are known to differ.
    pub(super) fn of(clients: &[Arc<Client>]) -> Self {
        let keys = Keys::default();
        let hashed = clients.iter().map(|client| (keys.hash(client.key.borrowed()), client.clone()));
        let capital = |client: &&Arc<Client>| client.key.tenant.as_str().bytes().any(|byte| byte.is_ascii_uppercase());
        let folded = clients.iter().filter(capital).map(|client| keys.hash_folded(client.key.borrowed()));
        Self { clients: hashed.collect(), folded: folded.collect(), keys }
    }

    /// The client of that key.
    pub(super) fn get(&self, key: BorrowedKey<'_>) -> Option<&Arc<Client>> {
        // Longer than any id can be: not worth hashing.
        let possible = key.id.len() <= MAX_CLIENT_ID;
        possible.then(|| self.clients.get(&self.keys.hash(key))).flatten()
    }

    /// Whether there is a client of that id in any tenant whose name is the key's but for the case of its letters.
    pub(super) fn has_alike(&self, key: BorrowedKey<'_>) -> bool {
        let possible = key.id.len() <= MAX_CLIENT_ID;
        possible && {
            let hash = self.keys.hash_folded(key);
            self.clients.contains_key(&hash) || self.folded.contains(&hash)
        }
    }
}

impl Keys {
    /// The hash of the key whose tenant is written in small letters.
    fn hash_folded(&self, key: BorrowedKey<'_>) -> u128 {
        self.hash(BorrowedKey { tenant: &key.tenant.to_ascii_lowercase(), ..key })
    }

    fn hash(&self, key: BorrowedKey<'_>) -> u128 {
        u128::from(self.0.hash_one(key)) << 64 | u128::from(self.1.hash_one(key))
    }
}

/// Takes half of a hash for the whole.
#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only whole hashes are keys here");
    }

    #[expect(clippy::cast_possible_truncation, reason = "either half of a keyed hash serves")]
    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}
