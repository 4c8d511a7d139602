//! All we know at one moment: the [`Snapshot`] that a request lives in from start to end.
//!
//! A snapshot is built whole and never changed; what counts (uses, results) hangs on it in shared cells that the next
//! snapshot takes over. Nothing a request does here grows with the number of clients.

pub mod build;
pub mod cells;
mod client;
pub mod diff;
pub mod expiry;
mod index;
mod ordered;
pub mod parts;
mod record;
pub mod slow;

use std::collections::HashMap;
use std::sync::Arc;

pub(crate) use self::client::Slot;
pub use self::client::{Client, Profile};
use self::index::Index;
use self::ordered::ByKey;
use self::parts::Part;
pub use self::record::{Record, SecretState, Window};
use crate::attempt::Standing;
use crate::config::clients::UpstreamMethod;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{BorrowedKey, ClientId, ClientKey, SecretId};
use crate::domain::oauth::BasicEncoding;
use crate::domain::secret::{Digest, Secret};

/// The client list in force.
pub struct Snapshot {
    /// Rises by one with each list that is published; the first is 1.
    pub generation: u64,
    /// First 48 bits of the SHA-256 of the list's content, to compare instances.
    pub hash: u64,
    /// The clients, in the order of the list.
    pub clients: Vec<Client>,
    /// The files that were guarded by an `[end]`: such a file is refused without it.
    pub guarded: Vec<String>,
    /// The SHA-256 of the texts that it says what they say, each with its length; zeros where it stands in none.
    pub texts: [u8; 32],
    /// Of which parts of its texts the clients were made, in the order of both.
    parts: Vec<Part>,
    index: Index,
    graveyard: Graveyard,
    by_key: ByKey,
}

/// A client's own identity at the upstream.
pub struct UpstreamIdentity {
    /// The id there.
    pub id: ClientId,
    /// The secrets there, tried in order; at least one.
    pub secrets: Box<[Secret]>,
    /// How the credentials are sent.
    pub method: UpstreamMethod,
    /// How Basic is written.
    pub basic_encoding: BasicEncoding,
    /// Which of the secrets works, and whether any does.
    pub standing: Arc<Standing>,
}

/// A revoked record that a list once held, remembered so that no list brings it back to life.
#[derive(Clone)]
struct Grave {
    secret: SecretId,
    digest: Digest,
    buried: Timestamp,
}

type Graveyard = HashMap<ClientKey, Vec<Grave>>;

impl Snapshot {
    /// The client of that key, compared byte for byte.
    pub fn client(&self, key: &ClientKey) -> Option<&Client> {
        self.index.get(key.borrowed())
    }

    /// The clients that a request can be of, by the tenant that its path names; empty where it names none.
    pub const fn tenancy<'s>(&'s self, tenant: &'s str) -> Tenancy<'s> {
        Tenancy { index: &self.index, tenant }
    }

    /// Whether any client is a tenant's.
    pub const fn has_tenants(&self) -> bool {
        self.index.has_tenants()
    }

    /// The revoked record of a client that `presented` names by its digest, though it may have left the list.
    pub fn buried(&self, client: &ClientKey, presented: impl Fn(&Digest) -> bool) -> Option<&SecretId> {
        self.graveyard.get(client)?.iter().find(|grave| presented(&grave.digest)).map(|grave| &grave.secret)
    }

    /// How many secrets stand in the list.
    pub fn secrets(&self) -> usize {
        self.clients.iter().map(|client| client.records().len()).sum()
    }
}

/// The clients of one tenant: all that a request at its path can name. The others are as unknown there as strangers.
#[derive(Clone, Copy)]
pub struct Tenancy<'s> {
    index: &'s Index,
    tenant: &'s str,
}

impl<'s> Tenancy<'s> {
    /// The client of that id, compared byte for byte.
    pub fn client(self, id: &[u8]) -> Option<&'s Client> {
        self.index.get(self.key(id))
    }

    /// Whether the list has a client of that id for this tenant, or for one that is spelled in other capitals: a server that
    /// does not tell those apart would take the one for the other.
    pub fn may_list(self, id: &[u8]) -> bool {
        self.index.has_alike(self.key(id))
    }

    /// What tells a presented id, known or not, from the same one at another tenant.
    pub const fn key<'k>(self, id: &'k [u8]) -> BorrowedKey<'k>
    where
        's: 'k,
    {
        BorrowedKey { tenant: self.tenant, id }
    }
}
