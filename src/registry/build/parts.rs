//! The same list as [`build`](super::build()) makes, part by part: what one part says is gone before the next is read, and a
//! part that says what it said before is not read at all.
//!
//! Only for a list in which nothing is wrong. What two clients must not have in common is looked for by hashes, which tell
//! that there is something and not what; then, and for every other error, the list is to be built as a whole.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use super::{Findings, Ground, client, reachable, snapshot};
use crate::config::clients::{ClientEntry, ClientList, Material, SecretEntry};
use crate::domain::clock::Timestamp;
use crate::domain::ids::{BorrowedKey, Tenant};
use crate::domain::secret::Digest;
use crate::extract::percent;
use crate::registry::index::Index;
use crate::registry::parts::{Known, Part, PartDigest, digest_of};
use crate::registry::{Client, Snapshot};

/// A list that is being built.
pub struct Parts<'s> {
    known: Option<Known<'s>>,
    clients: Vec<Client>,
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

/// A part, and what the list in force makes of its text, if that is in it.
#[derive(Clone, Copy)]
pub struct Candidate<'s> {
    digest: PartDigest,
    known: Option<(&'s Part, &'s [Client])>,
}

impl Candidate<'_> {
    /// The secret files that the text names, where it is known. They are to be read before it is taken over.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.known.iter().flat_map(|(part, _)| part.files.iter().map(|(path, _)| &**path))
    }
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

    /// Looks for a part in the list in force.
    pub fn look_up(&self, place: Place<'_>, now: Timestamp) -> Candidate<'s> {
        let digest = digest_of(place.text.as_bytes());
        Candidate { digest, known: self.known.as_ref().and_then(|known| known.get(place.file, digest, now)) }
    }

    /// Takes a part over from the list in force, where that has it, its files hold what they held, and nothing is to be told
    /// of it.
    pub fn take_over(
        &mut self,
        place: Place<'_>,
        candidate: Candidate<'s>,
        ground: &Ground<'_>,
    ) -> Result<Told, Unread> {
        let digest = candidate.digest;
        let holds = |(path, held): &(PathBuf, PartDigest)| {
            ground.files.get(&(place.file, path.clone())).is_some_and(|now| digest_of(now.expose()) == *held)
        };
        let known = candidate.known.filter(|(part, _)| part.files.iter().all(holds));
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
        let secrets = clients.iter().map(|client| client.records().len()).sum();
        let told = Told { end: part.end, counts: (clients.len(), secrets) };
        self.push(Part { offset: place.offset, clients: first..self.clients.len(), ..part.clone() });
        Ok(told)
    }

    /// Builds a part that was read.
    pub fn add(&mut self, place: Place<'_>, unread: &Unread, list: ClientList, ground: &Ground<'_>) -> Told {
        let files = list.clients.iter().flat_map(named_files).map(|path| {
            let held = ground.files.get(&(place.file, path.clone()))?;
            Some((path.clone(), digest_of(held.expose())))
        });
        // Unless one is missing, or a hash is told of whenever it is read.
        let files: Option<BTreeMap<PathBuf, PartDigest>> = files.collect();
        let usable = |secret: &SecretEntry| !matches!(secret.material, Material::Unusable { .. });
        let files = files.filter(|_| list.clients.iter().flat_map(|entry| &entry.secrets).all(usable));
        let told = Told { end: list.end, counts: list.counts() };
        let first = self.clients.len();
        for entry in list.clients {
            let client = client(entry, place.offset, ground, None, &mut self.findings);
            let number = u32::try_from(self.clients.len()).unwrap_or(u32::MAX);
            self.read.extend(beginnings(&client).map(|beginning| (beginning, number)));
            self.clients.push(client);
        }
        let digest = files.is_some().then_some(unread.0);
        let files = files.unwrap_or_default().into_iter().collect();
        let (clients, end) = (first..self.clients.len(), list.end);
        self.push(Part { file: place.file, offset: place.offset, digest, files, end, clients });
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
            || (!self.read.is_empty() && taken.flat_map(beginnings).any(|beginning| read(&beginning)))
    }
}

/// The secret files that an entry names: its own, and those for the upstream.
fn named_files(entry: &ClientEntry) -> impl Iterator<Item = &PathBuf> {
    let own = entry.secrets.iter().filter_map(|secret| match &secret.material {
        Material::File(path) => Some(path),
        _ => None,
    });
    entry.upstream.iter().flat_map(|upstream| &upstream.secret_files).chain(own)
}

/// The first eight bytes of what tells each secret of a client from others.
fn beginnings(client: &Client) -> impl Iterator<Item = u64> {
    let known = |digest: &Digest| *digest != Digest::UNKNOWN;
    let beginning = |digest: Digest| digest.bytes().first_chunk().map(|bytes| u64::from_ne_bytes(*bytes));
    client.records().iter().map(|record| record.held.identity()).filter(known).filter_map(beginning)
}

/// Whether the id of a client becomes another one's by form-decoding.
fn has_doubles(index: &Index, clients: &[Client]) -> bool {
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
