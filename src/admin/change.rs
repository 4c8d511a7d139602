//! Changing the list: what is wished goes through the rules, into the file, into force; one change at a time.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::answer::Fault;
use super::ground::{Ground, Hands, View};
use super::journal::Journal;
use crate::config::clients::{ClientEntry, ClientList, SecretEntry};
use crate::config::edit::{self, Edit};
use crate::config::tree::{Doc, Language};
use crate::domain::ids::ClientKey;
use crate::domain::secret::Secret;
use crate::hash;
use crate::lifecycle::{Action, Holder, Policy, Refused, decide};
use crate::registry::slow::Held;
use crate::registry::{Record, build};
use crate::reload::{Outcome, Trigger};
use crate::source::write::{self, FileEdits, ListFile, WriteFailure};

/// One thing that is wished of one client.
pub(super) struct Wish {
    pub(super) client: ClientKey,
    pub(super) action: Action,
    pub(super) policy: Policy,
    /// A secret that came from outside, where it came in the clear.
    pub(super) given: Option<Secret>,
}

/// What became of a wish: whether something changed, or the rule that stands against it.
pub(super) type Granted = Result<bool, Refused>;

impl Ground {
    /// Does what is wished as far as the rules allow it, in one write of the list, and waits until it is in force.
    pub(super) async fn change(self: &Arc<Self>, view: &Arc<View>, wishes: Vec<Wish>) -> Result<Vec<Granted>, Fault> {
        let journal = Journal::current(self);
        let first = journal.wished(&wishes);
        let changed = self.bring_about(view, wishes, &journal, first).await;
        if let Err(fault) = &changed {
            journal.failed(first, fault);
        }
        changed
    }

    async fn bring_about(
        &self,
        view: &Arc<View>,
        wishes: Vec<Wish>,
        journal: &Arc<Journal>,
        first: usize,
    ) -> Result<Vec<Granted>, Fault> {
        let journal = journal.clone();
        let list = self.settings.clients.path.clone();
        let view = view.clone();
        let ours = self.written.load_full();
        let write = move || {
            let written = write::rewrite(&list, &ours, |files| {
                let desk = Desk { view: &view, entries: entries(files), list: &list, files };
                let (edits, granted) = desk.settle(&wishes);
                desk.would_be_taken(&edits)?;
                Ok((edits, granted))
            });
            // Here, where it is done: whoever asked may have left.
            if let Ok(written) = &written {
                journal.settled(first, &written.value);
            }
            written
        };
        let written = match &self.hands {
            Hands::Instance(_) => tokio::task::spawn_blocking(write).await.map_err(|_| {
                Fault::failed("the change broke off; the list is as it was, or changed whole".to_owned())
            })?,
            // A command has nothing else to do meanwhile.
            Hands::Files(_) => write(),
        };
        let written = written.map_err(|failure| fault(&failure))?;
        if !written.files.is_empty() {
            self.written.store(Arc::new(written.files));
        }
        if written.value.iter().any(|granted| matches!(granted, Ok(true))) {
            let trigger = Trigger::Command { allow_shrink: true, written: true };
            let outcome = self.reload(trigger).await.map_err(|_| {
                let next =
                    "It will be in force from the next start. Secrets that were made now were not shown: revoke them.";
                Fault::conflict("stopping", format!("the list is changed, and the instance is stopping\n  {next}"))
            })?;
            self.in_force(&outcome)?;
        }
        Ok(written.value)
    }

    /// What stands in the files must be in force before it is changed further: else a change would bring in, unseen,
    /// what was refused.
    pub(super) async fn catch_up(&self) -> Result<(), Fault> {
        if let Hands::Files(_) = self.hands {
            // Read a moment ago, when the ground was laid, and again after each change since.
            return Ok(());
        }
        let outcome = self.reload(Trigger::Command { allow_shrink: false, written: false }).await?;
        let (what, why) = match &*outcome {
            Outcome::Published | Outcome::Unchanged => return Ok(()),
            Outcome::Refused(errors) => ("refused", errors.to_string()),
            Outcome::Held(why) => ("held", why.clone()),
            Outcome::StillRefused => ("refused", String::new()),
        };
        let next = "Nothing was changed by this command. Mend the list, or apply it: `relatch reload --allow-shrink`.";
        let message = format!("the list on disk is not in force: it was {what}\n  {next}\n{why}");
        Err(Fault::conflict("list_not_in_force", message))
    }

    fn in_force(&self, outcome: &Outcome) -> Result<(), Fault> {
        let why = match outcome {
            Outcome::Published | Outcome::Unchanged => return Ok(()),
            Outcome::Refused(errors) => errors.to_string(),
            Outcome::Held(why) => why.clone(),
            Outcome::StillRefused => String::new(),
        };
        let message = format!(
            "the list is changed, but what it says now is not in force\n  Look at it, then `relatch reload`. A secret that was \
             made by this was not shown: revoke it.\n{why}"
        );
        Err(Fault::conflict("not_in_force", message))
    }
}

fn fault(failure: &WriteFailure<NotTaken>) -> Fault {
    match failure {
        WriteFailure::Change(NotTaken(why)) => Fault::refused("list_would_be_refused", why.clone()),
        WriteFailure::Conflict(_) => Fault::conflict("conflict", failure.to_string()),
        WriteFailure::ReadOnly(path, why) => {
            Fault::conflict("read_only", format!("{}: {why}\n  Nothing was changed.", path.display()))
        }
        other => Fault::failed(other.to_string()),
    }
}

/// Why the list would be refused as it would become.
#[derive(Debug)]
struct NotTaken(String);

impl std::fmt::Display for NotTaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The clients of each file, in order.
fn entries(files: &[ListFile]) -> Vec<Vec<ClientEntry>> {
    let parse = |(index, file): (usize, &ListFile)| {
        let doc = Doc { name: &file.name, text: &file.text };
        ClientList::parse(doc, file.language, index).0.map_or_else(Vec::new, |list| list.clients)
    };
    files.iter().enumerate().map(parse).collect()
}

/// The list as it was read under its lock, and what is known of the use of its secrets.
struct Desk<'a> {
    view: &'a View,
    list: &'a std::path::Path,
    files: &'a [ListFile],
    entries: Vec<Vec<ClientEntry>>,
}

impl Desk<'_> {
    /// Each wish on its own: what the rules refuse leaves the others be.
    fn settle(&self, wishes: &[Wish]) -> (Vec<FileEdits>, Vec<Granted>) {
        let mut edits: Vec<FileEdits> = Vec::new();
        let mut named = HashSet::new();
        let mut granted = Vec::new();
        for wish in wishes {
            let settled = if named.insert(&wish.client) { self.settle_one(wish) } else { Err(twice(&wish.client)) };
            granted.push(settled.map(|(file, plan)| {
                let changes = !plan.is_empty();
                match edits.iter_mut().find(|known| known.file == file) {
                    Some(known) => known.edits.extend(plan),
                    None if changes => edits.push(FileEdits { file, edits: plan }),
                    None => {}
                }
                changes
            }));
        }
        (edits, granted)
    }

    /// The rules about the list as a whole, asked before it is written: the one in force keeps them, so what is wrong
    /// is what was wished.
    fn would_be_taken(&self, edits: &[FileEdits]) -> Result<(), NotTaken> {
        if edits.is_empty() {
            return Ok(());
        }
        let mut entries = Vec::new();
        for file in 0..=self.files.len() {
            let (name, text, language) = match self.files.get(file) {
                Some(file) => (&*file.name, &*file.text, file.language),
                None => ("", "", Language::Toml),
            };
            let own: Vec<Edit> = edits.iter().filter(|e| e.file == file).flat_map(|e| e.edits.clone()).collect();
            // What cannot be edited or read back is told by the writing.
            let Ok(text) = edit::apply(text, language, &own) else { return Ok(()) };
            let Some(list) = ClientList::parse(Doc { name, text: &text }, language, file).0 else { return Ok(()) };
            entries.extend(list.clients);
        }
        let ground = build::Ground {
            files: &build::SecretFiles::new(),
            previous: Some(&self.view.snapshot),
            forwards: false,
            endpoints: &[],
            keep_revoked: Duration::MAX,
            now: self.view.now,
        };
        let (_, findings) = build::build(entries, &ground, 0, Vec::new());
        match findings.errors.first() {
            None => Ok(()),
            Some((_, why)) => Err(NotTaken(format!("the list would be refused: {why}\n  Nothing was changed."))),
        }
    }

    fn settle_one(&self, wish: &Wish) -> Result<(usize, Vec<Edit>), Refused> {
        let found = self.entries.iter().enumerate().find_map(|(file, clients)| {
            let client = clients.iter().find(|client| client.key == wish.client)?;
            Some((file, client))
        });
        let usage = |secret: &SecretEntry| self.view.usage_of(&wish.client, &secret.id);
        let holder = found.map(|(_, client)| Holder::of(client, usage, self.view.now));
        // First, since it is what a retry with a given secret runs into, at the limit as below it.
        self.is_another(wish)?;
        let plan = decide(&wish.client, holder.as_ref(), wish.action.clone(), &wish.policy)?;
        let file = found.map_or_else(|| write::file_for_new_clients(self.list, self.files), |(file, _)| file);
        Ok((file, plan.edits))
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
        self.snapshot.client(client)?.records.iter().find(same)
    }
}

fn twice(client: &ClientKey) -> Refused {
    Refused::Invalid(format!("client {client} is named twice"))
}
