//! Clients by tenant and id, found with as few cache misses as there can be: neither is ever compared, their 128-bit keyed
//! hash is.
//!
//! A list of a million clients does not fit a cache, and each pointer followed costs as much as a hash. SipHash with 128
//! bits is as good as a message authentication code: who does not know the key, made anew by each process, cannot present
//! an id that is taken for another, but by one chance in 2^128.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};

use siphasher::sip128::{Hasher128, SipHasher13};

use super::Client;
use crate::domain::ids::{BorrowedKey, MAX_CLIENT_ID};

/// The clients of one snapshot by the hash of their key.
#[derive(Clone)]
pub(super) struct Index {
    keyed: SipHasher13,
    clients: HashMap<Key, Client, BuildHasherDefault<AlreadyHashed>>,
    /// Of the clients whose tenant has capital letters: what their hashes would be without.
    folded: HashSet<Key, BuildHasherDefault<AlreadyHashed>>,
    tenants: bool,
}

impl Index {
    /// An index of the same clients as they stand in a list whose keys are known to differ.
    pub(super) fn of(clients: &[Client]) -> Self {
        let keyed = keyed();
        let hashed = clients.iter().map(|client| (hash(keyed, client.key.borrowed()), client.clone()));
        let capital = |client: &&Client| client.key.tenant.as_str().bytes().any(|byte| byte.is_ascii_uppercase());
        let folded = clients.iter().filter(capital).map(|client| hash_folded(keyed, client.key.borrowed()));
        let tenants = clients.iter().any(|client| !client.key.tenant.is_empty());
        Self { clients: hashed.collect(), folded: folded.collect(), tenants, keyed }
    }

    /// Whether any client is a tenant's.
    pub(super) const fn has_tenants(&self) -> bool {
        self.tenants
    }

    /// How many keys there are: fewer than clients, where two of them have one.
    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// The client of that key.
    pub(super) fn get(&self, key: BorrowedKey<'_>) -> Option<&Client> {
        // Longer than any id can be: not worth hashing.
        let possible = key.id.len() <= MAX_CLIENT_ID;
        possible.then(|| self.clients.get(&hash(self.keyed, key))).flatten()
    }

    /// Whether there is a client of that id in any tenant whose name is the key's but for the case of its letters.
    pub(super) fn has_alike(&self, key: BorrowedKey<'_>) -> bool {
        let possible = key.id.len() <= MAX_CLIENT_ID;
        possible && {
            let hash = hash_folded(self.keyed, key);
            self.clients.contains_key(&hash) || self.folded.contains(&hash)
        }
    }
}

/// A hash with a key that nobody knows; what `std` makes its own keys from.
fn keyed() -> SipHasher13 {
    let word = |number: u8| RandomState::new().hash_one(number);
    SipHasher13::new_with_keys(word(0), word(1))
}

/// No tenant holds the byte behind it, so each key is written in one way.
fn hash(mut keyed: SipHasher13, key: BorrowedKey<'_>) -> Key {
    keyed.write(key.tenant.as_bytes());
    keyed.write_u8(0xff);
    keyed.write(key.id);
    let hash = keyed.finish128();
    Key(hash.h1, hash.h2)
}

/// The hash of the key whose tenant is written in small letters.
fn hash_folded(keyed: SipHasher13, key: BorrowedKey<'_>) -> Key {
    hash(keyed, BorrowedKey { tenant: &key.tenant.to_ascii_lowercase(), ..key })
}

/// A keyed hash. In two words: one of 128 bits would make each place of the index a third larger, for its alignment.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key(u64, u64);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0);
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

    fn write_u64(&mut self, half: u64) {
        self.0 = half;
    }
}
