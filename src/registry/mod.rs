//! All we know at one moment: the [`Snapshot`] that a request lives in from start to end.
//!
//! A snapshot is built whole and never changed; what counts (uses, results) hangs on it in shared cells that the next
//! snapshot takes over. Nothing a request does here grows with the number of clients.

pub mod build;
pub mod cells;
pub mod diff;
pub mod expiry;
mod index;
mod ordered;
pub mod parts;
mod record;
pub mod slow;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use subtle::Choice;

use self::cells::ClientCells;
use self::index::Index;
use self::ordered::ByKey;
use self::parts::Part;
pub use self::record::{Record, SecretState, Window};
use self::slow::SlowSlot;
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
    pub clients: Vec<Arc<Client>>,
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

/// A client and its secrets.
pub struct Client {
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
    /// Every secret that stands in the list, dead ones included, in the order of the list.
    pub records: Box<[Record]>,
    /// What it counts. Most clients of a long list never come: this is made when one does.
    cells: OnceLock<Arc<ClientCells>>,
    /// Where its table begins in the part of a text that it was made of: so it is the same wherever that part stands.
    start: usize,
    slots: Slots,
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

/// What verification compares against: a record's digest and window, side by side in memory.
#[derive(Clone)]
pub(crate) struct Slot {
    digest: Digest,
    not_before: u64,
    expires: u64,
    record: u32,
}

/// How many slots stand within the client itself: as many as a rotation needs.
const NEAR: usize = 2;

/// The slots of a client, the first ones without a pointer to follow.
struct Slots {
    near: [Slot; NEAR],
    beyond: Option<Box<Beyond>>,
}

/// What most clients have none of: more slots than are near, and slow ones.
struct Beyond {
    far: Box<[Slot]>,
    slow: Box<[SlowSlot]>,
}

impl Slots {
    fn of(slots: impl Iterator<Item = Slot>, slow: Box<[SlowSlot]>) -> Self {
        let mut slots: Vec<Slot> = slots.collect();
        let far = if slots.len() > NEAR { slots.split_off(NEAR) } else { Vec::new() };
        slots.resize(NEAR, DUMMY.clone());
        let near = slots.try_into().unwrap_or_else(|_| [DUMMY.clone(), DUMMY.clone()]);
        let any = !far.is_empty() || !slow.is_empty();
        Self { near, beyond: any.then(|| Box::new(Beyond { far: far.into(), slow })) }
    }

    /// The same without those of records that `keeps` does not name.
    fn kept(&self, keeps: impl Fn(u32) -> bool) -> Self {
        let living = |slot: &&Slot| slot.not_before < slot.expires && keeps(slot.record);
        let slow = self.slow().iter().filter(|slot| keeps(slot.record())).cloned().collect();
        Self::of(self.near.iter().chain(self.far()).filter(living).cloned(), slow)
    }

    fn far(&self) -> &[Slot] {
        self.beyond.as_ref().map_or(&[], |beyond| &beyond.far)
    }

    fn slow(&self) -> &[SlowSlot] {
        self.beyond.as_ref().map_or(&[], |beyond| &beyond.slow)
    }
}

/// A revoked record that a list once held, remembered so that no list brings it back to life.
#[derive(Clone)]
struct Grave {
    secret: SecretId,
    digest: Digest,
    buried: Timestamp,
}

type Graveyard = HashMap<ClientKey, Vec<Grave>>;

/// Fills the places of a client with fewer than eight slots: never accepted, compared all the same.
pub(crate) static DUMMY: Slot =
    Slot { digest: Digest::from_bytes([0; 32]), not_before: u64::MAX, expires: 0, record: 0 };

impl Slot {
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

impl Snapshot {
    /// The client of that key, compared byte for byte.
    pub fn client(&self, key: &ClientKey) -> Option<&Arc<Client>> {
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
        self.clients.iter().map(|client| client.records.len()).sum()
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
    pub fn client(self, id: &[u8]) -> Option<&'s Arc<Client>> {
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

impl Client {
    /// The slot at a place; the dummy where there is none.
    pub(crate) fn slot(&self, at: usize) -> &Slot {
        self.slots.near.get(at).or_else(|| self.slots.far().get(at.wrapping_sub(NEAR))).unwrap_or(&DUMMY)
    }

    /// What it counts.
    pub fn cells(&self) -> &Arc<ClientCells> {
        self.cells.get_or_init(Arc::default)
    }

    /// The same to be read, where anything was counted.
    pub fn counted(&self) -> Option<&ClientCells> {
        self.cells.get().map(|cells| &**cells)
    }

    /// The newest active secret: the one that callers should be using.
    pub fn current(&self, now: Timestamp) -> Option<&Record> {
        let active = self.records.iter().filter(|record| record.state(now) == SecretState::Active);
        active.max_by_key(|record| record.created())
    }
}
