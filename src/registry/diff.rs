//! What a new list changes: for the log, for the guard against a list that lost most of itself, and for the one part of a
//! held list that is applied all the same, its revocations.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::index::Index;
use super::{ByKey, Client, Record, Slots, Snapshot};
use crate::config::clients::SecretStatus;
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientKey;

/// The difference between two lists, by name and never by value.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Clients that are new.
    pub clients_added: Vec<String>,
    /// Clients that are gone.
    pub clients_removed: Vec<String>,
    /// Secrets that are new, as `client/secret` or `tenant/client/secret`.
    pub secrets_added: Vec<String>,
    /// Secrets that are gone, those of removed clients included.
    pub secrets_removed: Vec<String>,
    /// Secrets that were not revoked and now are.
    pub secrets_revoked: Vec<String>,
    /// Secrets whose status, window or value changed otherwise.
    pub secrets_changed: Vec<String>,
}

/// More names than this are told as a number.
const NAMED: usize = 10;

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("clients added", &self.clients_added),
            ("clients removed", &self.clients_removed),
            ("secrets added", &self.secrets_added),
            ("secrets removed", &self.secrets_removed),
            ("secrets revoked", &self.secrets_revoked),
            ("secrets changed", &self.secrets_changed),
        ];
        let mut first = true;
        for (what, names) in parts.iter().filter(|(_, names)| !names.is_empty()) {
            let more = names.len().saturating_sub(NAMED);
            let shown = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(" ");
            write!(f, "{}{} {what}: {shown}", if first { "" } else { "; " }, names.len())?;
            if more > 0 {
                write!(f, " and {more} more")?;
            }
            first = false;
        }
        if first { f.write_str("names and settings only") } else { Ok(()) }
    }
}

/// What `new` changes in `old`.
pub fn diff(old: &Snapshot, new: &Snapshot) -> Diff {
    let mut diff = Diff::default();
    for client in &new.clients {
        let before = old.client(&client.key);
        if before.is_none() {
            diff.clients_added.push(name(&client.key));
        }
        for record in &client.records {
            let name = format!("{}/{}", name(&client.key), record.id);
            match before.and_then(|client| client.records.iter().find(|old| old.id == record.id)) {
                None => diff.secrets_added.push(name),
                Some(old) if old.status != SecretStatus::Revoked && record.status == SecretStatus::Revoked => {
                    diff.secrets_revoked.push(name);
                }
                Some(old) if !same(old, record) => diff.secrets_changed.push(name),
                Some(_) => {}
            }
        }
    }
    for client in &old.clients {
        let after = new.client(&client.key);
        if after.is_none() {
            diff.clients_removed.push(name(&client.key));
        }
        let gone = |record: &&Record| !after.is_some_and(|client| client.records.iter().any(|new| new.id == record.id));
        diff.secrets_removed
            .extend(client.records.iter().filter(gone).map(|r| format!("{}/{}", name(&client.key), r.id)));
    }
    diff
}

/// `client`, or `tenant/client`.
fn name(client: &ClientKey) -> String {
    if client.tenant.is_empty() { client.id.to_string() } else { format!("{}/{}", client.tenant, client.id) }
}

fn same(a: &Record, b: &Record) -> bool {
    let window = |r: &Record| (r.not_before, r.expires, r.refused_until);
    a.status == b.status && a.identity() == b.identity() && window(a) == window(b)
}

/// Says so when `new` drops more than `share` of the clients or of the living secrets of `old`.
pub fn shrinks(old: &Snapshot, new: &Snapshot, share: f64, now: Timestamp) -> Option<String> {
    let after = |client: &Client| new.client(&client.key);
    let clients_gone = old.clients.iter().filter(|client| after(client).is_none()).count();
    let mut living = 0;
    let mut secrets_gone = 0;
    for client in &old.clients {
        let alive = client.records.iter().filter(|r| r.status != SecretStatus::Revoked && now < r.expires);
        for record in alive {
            living += 1;
            let stays =
                |new: &Arc<Client>| new.records.iter().any(|r| r.id == record.id || r.identity() == record.identity());
            secrets_gone += usize::from(!after(client).is_some_and(stays));
        }
    }
    let told = |what: &str, gone: usize, of: usize| format!("{gone} of {of} {what} would be gone");
    if exceeds(clients_gone, old.clients.len(), share) {
        return Some(told("clients", clients_gone, old.clients.len()));
    }
    exceeds(secrets_gone, living, share).then(|| told("secrets", secrets_gone, living))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a list fit a double")]
fn exceeds(gone: usize, of: usize, share: f64) -> bool {
    gone > 0 && gone as f64 > of as f64 * share
}

/// `current` with what `held` says is revoked, and nothing else of it; nothing where that changes nothing.
pub fn with_revocations(current: &Snapshot, held: &Snapshot, now: Timestamp) -> Option<Snapshot> {
    let mut revoked: HashMap<&ClientKey, Vec<&Record>> = HashMap::new();
    for client in &held.clients {
        let dead = client.records.iter().filter(|record| record.status == SecretStatus::Revoked);
        revoked.entry(&client.key).or_default().extend(dead);
    }
    let mut graveyard = current.graveyard.clone();
    let mut changed = false;
    let clients = current.clients.iter().map(|client| {
        let dead = revoked.get(&client.key).map_or(&[][..], Vec::as_slice);
        match client.revoking(|record| dead.iter().any(|r| r.id == record.id || r.identity() == record.identity())) {
            Some(next) => {
                changed = true;
                next.bury(&mut graveyard, now);
                Arc::new(next)
            }
            None => client.clone(),
        }
    });
    let clients: Vec<_> = clients.collect();
    let (generation, hash, guarded) = (current.generation + 1, current.hash, current.guarded.clone());
    changed.then(|| Snapshot {
        generation,
        hash,
        guarded,
        index: Index::of(&clients),
        clients,
        graveyard,
        by_key: ByKey::default(),
    })
}

impl Client {
    /// The same client with the records that `dead` names revoked; nothing where none of them was alive.
    fn revoking(&self, dead: impl Fn(&Record) -> bool) -> Option<Self> {
        let dies = |record: &Record| record.status != SecretStatus::Revoked && dead(record);
        if !self.records.iter().any(dies) {
            return None;
        }
        let status = |record: &Record| if dies(record) { SecretStatus::Revoked } else { record.status };
        let records: Box<[Record]> = self.records.iter().map(|r| Record { status: status(r), ..r.clone() }).collect();
        let is_active = |at: u32| records.get(at as usize).is_some_and(|record| record.status == SecretStatus::Active);
        let alive = |slot: &&super::Slot| is_active(slot.record());
        Some(Self {
            slots: Slots::of(self.slots.iter().filter(alive).cloned()).0,
            slow: self.slow.iter().filter(|slot| is_active(slot.record())).cloned().collect(),
            records,
            key: self.key.clone(),
            name: self.name.clone(),
            enabled: self.enabled,
            max_active: self.max_active,
            upstream: self.upstream.clone(),
            cells: self.cells.clone(),
        })
    }
}
