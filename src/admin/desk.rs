//! What is decided of a list under its lock: which wishes the rules grant, and what its files are to say then.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::change::{Granted, Wish};
use super::ground::View;
use crate::config::clients::ClientList;
use crate::config::edit::{self, Edit, EditError, Known};
use crate::config::settings::Settings;
use crate::config::tree::Doc;
use crate::domain::clock::Clock;
use crate::domain::ids::ClientKey;
use crate::domain::secret::Secret;
use crate::hash;
use crate::lifecycle::{Action, Refused, decide};
use crate::registry::Record;
use crate::registry::slow::Held;
use crate::reload::{Prepared, prepare};
use crate::source::file::{self, Text};
use crate::source::write::{ListFile, NewText, WriteFailure, file_at, file_for_new_clients};

/// Why nothing was written.
#[derive(Debug)]
pub(super) enum NotDone {
    /// The files say something else than the list in force: it was changed meanwhile, and nobody has looked at that yet.
    Overtaken,
    /// Why the list would be refused as it would become.
    WouldBeRefused(String),
}

impl std::fmt::Display for NotDone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Overtaken => {
                "the list is being changed by somebody else again and again\n  Nothing was changed. Try again when they are done."
            }
            Self::WouldBeRefused(why) => why,
        })
    }
}

/// What the files are to say, and what is known of it.
pub(super) struct Decided {
    pub(super) texts: Vec<NewText>,
    pub(super) granted: Vec<Granted>,
    /// The list as it will be; nothing where no file changes.
    pub(super) prepared: Option<Prepared>,
}

/// The list in force, what is known of the use of its secrets, and its files as they were read under their lock.
pub(super) struct Desk<'a> {
    pub(super) view: &'a View,
    pub(super) settings: &'a Settings,
    pub(super) clock: &'a Clock,
    pub(super) files: &'a [ListFile],
}

impl Desk<'_> {
    /// Each wish on its own: what the rules refuse leaves the others be.
    pub(super) fn decide(&self, wishes: &[Wish]) -> Result<Decided, WriteFailure<NotDone>> {
        let texts = self.files.iter().map(|file| file.text.as_str());
        if file::fingerprint_of_texts(texts) != self.view.snapshot.texts {
            return Err(WriteFailure::Change(NotDone::Overtaken));
        }
        let mut edits: BTreeMap<usize, Vec<Edit>> = BTreeMap::new();
        let mut named = HashSet::new();
        let mut granted = Vec::new();
        for wish in wishes {
            let settled = if named.insert(&wish.client) { self.settle(wish) } else { Err(twice(&wish.client)) };
            granted.push(settled.map(|(file, plan)| {
                let changes = !plan.is_empty();
                if changes {
                    edits.entry(file).or_default().extend(plan);
                }
                changes
            }));
        }
        let (texts, prepared) = self.prepare(&edits)?;
        Ok(Decided { texts, granted, prepared })
    }

    fn settle(&self, wish: &Wish) -> Result<(usize, Vec<Edit>), Refused> {
        let client = self.view.snapshot.client(&wish.client);
        let holder = client.map(|client| self.view.holder(client));
        // First, since it is what a retry with a given secret runs into, at the limit as below it.
        self.is_another(wish)?;
        let plan = decide(&wish.client, holder.as_ref(), wish.action.clone(), &wish.policy)?;
        let file = client.and_then(|client| Some(self.view.snapshot.start_of(client)?.file));
        let file = file.unwrap_or_else(|| file_for_new_clients(self.list(), self.files));
        Ok((file, plan.edits))
    }

    /// The new texts, each read back, and the list that they make. The list in force keeps the rules about a list as a
    /// whole, so what is wrong is what was wished.
    fn prepare(
        &self,
        edits: &BTreeMap<usize, Vec<Edit>>,
    ) -> Result<(Vec<NewText>, Option<Prepared>), WriteFailure<NotDone>> {
        if edits.is_empty() {
            return Ok((Vec::new(), None));
        }
        let count = self.files.len().max(edits.keys().last().map_or(0, |last| last + 1));
        let (mut made, mut texts, mut lists) = (Vec::new(), Vec::new(), Vec::new());
        // A file that we begin needs no `[end]` beside those that have one: nobody cut it.
        let mut known = Vec::new();
        for index in 0..count {
            let file = file_at(self.list(), self.files, index);
            known.push(file.name.clone());
            let (text, list) = match edits.get(&index) {
                Some(edits) => {
                    let text = self.edited(index, &file, edits).map_err(WriteFailure::Edit)?;
                    let (new, list) = NewText::read_back(index, &file, text).map_err(WriteFailure::Edit)?;
                    let text = new.text().to_owned();
                    made.push(new);
                    (text, list)
                }
                None => {
                    let doc = Doc { name: &file.name, text: &file.text };
                    (file.text.clone(), ClientList::parse(doc, file.language, index).0.unwrap_or_default())
                }
            };
            texts.push(Text::to_be(file.path.clone(), text, file.language));
            lists.push(list);
        }
        let prepared = prepare(texts, lists, self.settings, &self.view.snapshot, &known, self.clock);
        let prepared = prepared.map_err(|errors| {
            let why = errors.0.first().map_or("", |error| &error.message);
            let message = format!("the list would be refused: {why}\n  Nothing was changed.");
            WriteFailure::Change(NotDone::WouldBeRefused(message))
        })?;
        Ok((made, Some(prepared)))
    }

    /// The text of a file with edits made, where they are to be made being known of the list in force.
    fn edited(&self, index: usize, file: &ListFile, edits: &[Edit]) -> Result<String, EditError> {
        let list = &self.view.snapshot;
        let mine = || list.starts().filter(|(start, _)| start.file == index);
        let of = |key: &ClientKey| {
            let start = list.start_of(list.client(key)?).filter(|start| start.file == index)?;
            Some(start.offset)
        };
        let known = Known {
            starts: mine().map(|(start, _)| start.offset).collect(),
            of: &of,
            secrets: mine().map(|(_, client)| client.records().len()).sum(),
        };
        edit::apply_known(&file.text, file.language, edits, &known)
    }

    fn list(&self) -> &Path {
        &self.settings.clients.path
    }

    /// A secret that comes from outside must not be one that the client has, or had.
    fn is_another(&self, wish: &Wish) -> Result<(), Refused> {
        let (Action::Add(secret) | Action::Rotate { secret, .. }) = &wish.action else { return Ok(()) };
        match self.view.same_secret(&wish.client, &secret.hash, wish.given.as_ref()) {
            Some(record) => Err(Refused::SameSecret(record.id.clone())),
            None => Ok(()),
        }
    }
}

impl View {
    /// The record by which a client has, or had, this very secret: by its hash, and by itself where it came in the clear.
    pub(super) fn same_secret(&self, client: &ClientKey, hash: &str, given: Option<&Secret>) -> Option<&Record> {
        let identity = hash::read(hash).map(|kept| kept.identity()).ok();
        // A slow hash has its own salt: only the secret itself tells that it is the same.
        let keeps = |record: &Record, secret: &Secret| match &record.held {
            Held::Slow(slow, _) => slow.verify(secret.expose()),
            Held::Fast(digest) => *digest == hash::of(secret),
            Held::Unusable(_) => false,
        };
        let same =
            |record: &&Record| identity == Some(record.identity()) || given.is_some_and(|secret| keeps(record, secret));
        self.snapshot.client(client)?.records().iter().find(same)
    }
}

fn twice(client: &ClientKey) -> Refused {
    Refused::Invalid(format!("client {client} is named twice"))
}
