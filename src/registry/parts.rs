//! What was made of which part of which text: a part that says the same in the next list need not be read again, and its
//! clients go on as they are.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::{Client, Snapshot};
use crate::config::clients::Spot;
use crate::domain::clock::Timestamp;

/// The SHA-256 of a part of a text, or of a secret file.
pub(super) type PartDigest = [u8; 32];

/// What tells a text, or what a file holds, from any other.
pub(super) fn digest_of(bytes: &[u8]) -> PartDigest {
    Sha256::digest(bytes).into()
}

/// A part of a text, and the clients that it says.
#[derive(Clone)]
pub(super) struct Part {
    /// Index of the file.
    pub(super) file: usize,
    /// Where it begins in its text.
    pub(super) offset: usize,
    /// What it says; nothing where that depends on more than the part, or nobody knows.
    pub(super) digest: Option<PartDigest>,
    /// The secret files that it names, and what each of them held.
    pub(super) files: Arc<[(PathBuf, PartDigest)]>,
    /// What it says of the whole file in `[end]`.
    pub(super) end: Option<(usize, usize)>,
    /// Its clients, by their places in the list.
    pub(super) clients: Range<usize>,
}

impl Part {
    /// A whole text that is not to be taken over, of which one client was made so far.
    pub(super) fn whole(file: usize, clients: usize) -> Self {
        Self { file, offset: 0, digest: None, files: Arc::default(), end: None, clients: clients - 1..clients }
    }

    /// Where it begins.
    pub(super) const fn spot(&self) -> Spot {
        Spot { file: self.file, offset: self.offset }
    }

    /// The same, of which nobody knows what it says.
    pub(super) fn of_no_text(&self) -> Self {
        Self { digest: None, ..self.clone() }
    }
}

/// The parts of a list that may be taken over.
pub(super) struct Known<'s> {
    list: &'s Snapshot,
    parts: HashMap<(usize, PartDigest), &'s Part>,
}

impl<'s> Known<'s> {
    pub(super) fn of(list: &'s Snapshot) -> Self {
        let known = |part: &'s Part| Some(((part.file, part.digest?), part));
        Self { list, parts: list.parts.iter().filter_map(known).collect() }
    }

    /// The part of a file that says this, and its clients, where they are still what reading it would make.
    pub(super) fn get(&self, file: usize, digest: PartDigest, now: Timestamp) -> Option<(&'s Part, &'s [Client])> {
        let part = self.parts.get(&(file, digest))?;
        let clients = self.list.clients.get(part.clients.clone())?;
        clients.iter().all(|client| client.lasts(now)).then_some((part, clients))
    }
}

impl Client {
    /// Whether no end of a secret of it has come: reading its text again would make the same of it.
    fn lasts(&self, now: Timestamp) -> bool {
        self.records().iter().all(|record| now < record.expires)
    }
}

impl Snapshot {
    /// The clients, and where the table of each begins in the texts of [`Snapshot::texts`].
    pub fn starts(&self) -> impl Iterator<Item = (Spot, &Client)> {
        self.parts.iter().flat_map(|part| {
            let clients = self.clients.get(part.clients.clone()).unwrap_or_default();
            clients.iter().map(|client| (Spot { file: part.file, offset: part.offset + client.start }, client))
        })
    }

    /// Where the table of a client of this list begins.
    pub fn start_of(&self, client: &Client) -> Option<Spot> {
        // No more than a glance at each pointer, and only for what is about to be written.
        let place = self.clients.iter().position(|one| one.is_same(client))?;
        let part = self.parts.iter().find(|part| part.clients.contains(&place))?;
        Some(Spot { file: part.file, offset: part.offset + client.start })
    }
}
