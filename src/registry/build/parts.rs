//! The same list as [`build`](super::build()) makes, part by part: what one part says is gone before the next is read, and a
//! part that says what it said before is not read at all.
//!
//! Only for a list in which nothing is wrong. What two clients must not have in common is looked for by hashes, which tell
//! that there is something and not what; then, and for every other error, the list is to be built as a whole.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Findings, Ground, client, reachable, snapshot};
use crate::config::clients::{ClientList, Material};
use crate::domain::ids::{BorrowedKey, Tenant};
use crate::domain::secret::Digest;
use crate::extract::percent;
use crate::registry::index::Index;
use crate::registry::parts::{Known, Part, PartDigest};
use crate::registry::{Client, Snapshot};

/// A list that is being built.
pub struct Parts<'s> {
    known: Option<Known<'s>>,
    clients: Vec<Arc<Client>>,
    parts: Vec<Part>,
    findings: Findings,
    /// What begins the identity of each secret that was read, and whose it is.
    read: Vec<(u64, u32)>,
    /// The clients that were taken over.
    taken: Vec<std::ops::Range<usize>>,
}

/// Where a part stands, and what it says.
#[derive(Clone, Copy)]
pub struct Place<'t> {
    /// Index of the file.
    pub file: usize,
    /// Where it begins in its text.
    pub offset: usize,
    /// Its text.
    pub text: &'t str,
}

/// What a part says of the whole file, and what it has.
pub struct Told {
    /// `[end]`
    pub end: Option<(usize, usize)>,
    /// Clients and secrets.
    pub counts: (usize, usize),
}

/// A part that is to be read: nobody knows what it says.
pub struct Unread(PartDigest);

impl<'s> Parts<'s> {
    /// Nothing yet; what did not change is taken over from `previous`.
    pub fn new(previous: Option<&'s Snapshot>) -> Self {
        let clients = Vec::with_capacity(previous.map_or(0, |previous| previous.clients.len()));
        let (parts, read, taken) = (Vec::new(), Vec::new(), Vec::new());
        Self { known: previous.map(Known::of), clients, parts, findings: Findings::default(), read, taken }
    }

    /// Takes a part over from the list in force, where that has it and nothing is to be told of it.
    pub fn take_over(&mut self, place: Place<'_>, ground: &Ground<'_>) -> Result<Told, Unread> {
        let digest = Part::digest_of(place.text);
        let known = self.known.as_ref().and_then(|known| known.get(place.file, digest, ground.now));
        let (part, clients) = known.ok_or(Unread(digest))?;
        if self.findings.takes_warnings() {
            let mut remarks = Findings::default();
            clients.iter().for_each(|client| client.remark(part.spot(), ground, &mut remarks));
            if !remarks.warnings.is_empty() || !remarks.errors.is_empty() {
                return Err(Unread(digest));
            }
        }
        let first = self.clients.len();
        self.clients.extend_from_slice(clients);
        self.taken.push(first..self.clients.len());
        let secrets = clients.iter().map(|client| client.records.len()).sum();
        let told = Told { end: part.end, counts: (clients.len(), secrets) };
        self.push(Part { offset: place.offset, clients: first..self.clients.len(), ..part.clone() });
        Ok(told)
    }

    /// Builds a part that was read.
    pub fn add(&mut self, place: Place<'_>, unread: &Unread, list: ClientList, ground: &Ground<'_>) -> Told {
        let names_files = list.clients.iter().any(|entry| {
            let file = |material: &Material| matches!(material, Material::File(_) | Material::Unusable { .. });
            entry.upstream.is_some() || entry.secrets.iter().any(|secret| file(&secret.material))
        });
        let told = Told { end: list.end, counts: list.counts() };
        let first = self.clients.len();
        for entry in list.clients {
            let client = client(entry, place.offset, ground, None, &mut self.findings);
            let number = u32::try_from(self.clients.len()).unwrap_or(u32::MAX);
            self.read.extend(beginnings(&client).map(|beginning| (beginning, number)));
            self.clients.push(Arc::new(client));
        }
        // What depends on files, or is told of whenever it is read, is read each time.
        let digest = (!names_files).then_some(unread.0);
        let (clients, end) = (first..self.clients.len(), list.end);
        self.push(Part { file: place.file, offset: place.offset, digest, end, clients });
        told
    }

    fn push(&mut self, part: Part) {
        self.parts.push(part);
    }

    /// The list; nothing where anything is wrong with it, or two clients share a secret.
    pub fn finish(mut self, ground: &Ground<'_>, hash: u64, guarded: Vec<String>) -> Option<(Snapshot, Findings)> {
        if !self.findings.errors.is_empty() || self.shares_secrets() {
            return None;
        }
        let index = Index::of(&self.clients);
        if index.len() < self.clients.len() || has_doubles(&index, &self.clients) {
            return None;
        }
        reachable(&self.clients, ground.endpoints, &mut self.findings);
        self.clients.shrink_to_fit();
        let snapshot = snapshot(self.clients, self.parts, index, ground, hash, guarded);
        Some((snapshot, self.findings))
    }

    /// Whether two clients may have the same secret, one of them at least having been read: those that were taken over
    /// have been compared with each other.
    fn shares_secrets(&mut self) -> bool {
        self.read.sort_unstable();
        let twice = |pair: &[(u64, u32)]| matches!(pair, [(a, whose), (b, other)] if a == b && whose != other);
        let read = |beginning: &u64| self.read.binary_search_by_key(beginning, |(read, _)| *read).is_ok();
        let taken = self.taken.iter().filter_map(|range| self.clients.get(range.clone())).flatten();
        self.read.windows(2).any(twice)
            || (!self.read.is_empty() && taken.flat_map(|client| beginnings(client)).any(|beginning| read(&beginning)))
    }
}

/// The first eight bytes of what tells each secret of a client from others.
fn beginnings(client: &Client) -> impl Iterator<Item = u64> {
    let known = |digest: &Digest| *digest != Digest::UNKNOWN;
    let beginning = |digest: Digest| digest.bytes().first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
    client.records.iter().map(|record| record.held.identity()).filter(known).filter_map(beginning)
}

/// Whether the id of a client becomes another one's by form-decoding.
fn has_doubles(index: &Index, clients: &[Arc<Client>]) -> bool {
    let mut decoded: HashSet<(&Tenant, Vec<u8>)> = HashSet::new();
    clients.iter().any(|client| {
        let (tenant, id) = (&client.key.tenant, client.key.id.as_str().as_bytes());
        let mut plain = Vec::new();
        let changes = id.iter().any(|byte| matches!(byte, b'%' | b'+'));
        if !changes || percent::decode(id, &mut plain).is_err() || plain == id {
            return false;
        }
        index.get(BorrowedKey { tenant: tenant.as_str(), id: &plain }).is_some() || !decoded.insert((tenant, plain))
    })
}
