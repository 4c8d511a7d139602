//! What a new list changes: for the log, for the guard against a list that lost most of itself, and for the one part of a
//! held list that is applied all the same, its revocations.

use std::collections::HashMap;
use std::fmt;

use super::index::Index;
use super::parts::Part;
use super::{Client, Profile, Record, Snapshot, UpstreamIdentity};
use crate::config::clients::SecretStatus;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientKey, SecretId};
use crate::domain::secret::Secret;

/// The difference between two lists, by name and never by value.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Clients that are new.
    pub clients_added: Vec<ClientKey>,
    /// Clients that are gone.
    pub clients_removed: Vec<ClientKey>,
    /// Clients whose secrets are accepted again.
    pub clients_enabled: Vec<ClientKey>,
    /// Clients none of whose secrets is accepted any more.
    pub clients_disabled: Vec<ClientKey>,
    /// Clients of which something else was set.
    pub clients_changed: Vec<Set>,
    /// Secrets that are new.
    pub secrets_added: Vec<Named>,
    /// Secrets that are gone, those of removed clients included.
    pub secrets_removed: Vec<Named>,
    /// Secrets that were not revoked and now are.
    pub secrets_revoked: Vec<Named>,
    /// Secrets whose status, window or value changed otherwise.
    pub secrets_changed: Vec<Named>,
}

/// What was set of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Whose it is.
    pub client: ClientKey,
    /// The keys, as a list names them; their values may be secrets.
    pub keys: Vec<&'static str>,
}

/// A secret by its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Whose it is.
    pub client: ClientKey,
    /// Its id.
    pub secret: SecretId,
}

/// `client/secret` or `tenant/client/secret`.
impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", name(&self.client), self.secret)
    }
}

/// More names than this are told as a number.
const NAMED: usize = 10;

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clients = |keys: &[ClientKey]| (keys.len(), keys.iter().take(NAMED).map(name).collect::<Vec<_>>());
        let changed = self.clients_changed.iter().map(|set| set.client.clone()).collect::<Vec<_>>();
        let secrets = |all: &[Named]| (all.len(), all.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>());
        let parts = [
            ("clients added", clients(&self.clients_added)),
            ("clients removed", clients(&self.clients_removed)),
            ("clients enabled", clients(&self.clients_enabled)),
            ("clients disabled", clients(&self.clients_disabled)),
            ("clients changed", clients(&changed)),
            ("secrets added", secrets(&self.secrets_added)),
            ("secrets removed", secrets(&self.secrets_removed)),
            ("secrets revoked", secrets(&self.secrets_revoked)),
            ("secrets changed", secrets(&self.secrets_changed)),
        ];
        let mut first = true;
        for (what, (count, names)) in parts.iter().filter(|(_, (count, _))| *count > 0) {
            let more = count.saturating_sub(NAMED);
            let shown = names.join(" ");
            write!(f, "{}{count} {what}: {shown}", if first { "" } else { "; " })?;
            if more > 0 {
                write!(f, " and {more} more")?;
            }
            first = false;
        }
        if first { f.write_str("details only") } else { Ok(()) }
    }
}

/// What `new` changes in `old`.
pub fn diff(old: &Snapshot, new: &Snapshot) -> Diff {
    let mut diff = Diff::default();
    let (left, right) = apart(old, new);
    for client in right {
        let before = old.client(&client.key);
        if before.is_some_and(|before| before.is_same(client)) {
            continue;
        }
        match before {
            None => diff.clients_added.push(client.key.clone()),
            Some(before) if !before.enabled && client.enabled => diff.clients_enabled.push(client.key.clone()),
            Some(before) if before.enabled && !client.enabled => diff.clients_disabled.push(client.key.clone()),
            Some(_) => {}
        }
        let keys = before.map(|before| settings(before, client)).unwrap_or_default();
        if !keys.is_empty() {
            diff.clients_changed.push(Set { client: client.key.clone(), keys });
        }
        for record in client.records() {
            let named = || Named { client: client.key.clone(), secret: record.id.clone() };
            match before.and_then(|client| client.records().iter().find(|old| old.id == record.id)) {
                None => diff.secrets_added.push(named()),
                Some(old) if old.status != SecretStatus::Revoked && record.status == SecretStatus::Revoked => {
                    diff.secrets_revoked.push(named());
                }
                Some(old) if !same(old, record) => diff.secrets_changed.push(named()),
                Some(_) => {}
            }
        }
    }
    for client in left {
        let after = new.client(&client.key);
        if after.is_some_and(|after| after.is_same(client)) {
            continue;
        }
        if after.is_none() {
            diff.clients_removed.push(client.key.clone());
        }
        let gone =
            |record: &&Record| !after.is_some_and(|client| client.records().iter().any(|new| new.id == record.id));
        let named = |record: &Record| Named { client: client.key.clone(), secret: record.id.clone() };
        diff.secrets_removed.extend(client.records().iter().filter(gone).map(named));
    }
    diff
}

/// The records of a list whose use the other does not count: those that it left behind, or that it does not have yet.
pub fn only_in<'s>(list: &'s Snapshot, other: &'s Snapshot) -> impl Iterator<Item = (&'s Client, &'s Record)> {
    let (own, _) = apart(list, other);
    own.iter().flat_map(move |client| {
        let there = other.client(&client.key).map_or(&[][..], |there| there.records());
        let is_there =
            move |record: &Record| there.iter().any(|other| triomphe::Arc::ptr_eq(&other.uses, &record.uses));
        client.records().iter().filter(move |record| !is_there(record)).map(move |record| (client, record))
    })
}

/// Lets the clients of `new` count on where those of `old` do, which requests still hold. To be called once, when it is sure
/// that the list comes into force: a client that never came has nothing to count in until then.
pub fn share_counts(old: &Snapshot, new: &Snapshot) {
    for client in apart(old, new).1 {
        let before = old.client(&client.key).filter(|before| !before.is_same(client));
        if let Some(before) = before {
            client.count_with(before);
        }
    }
}

/// What is left of two lists without the clients that were taken over at the beginning and at the end of both.
fn apart<'s>(old: &'s Snapshot, new: &'s Snapshot) -> (&'s [Client], &'s [Client]) {
    let same = |pair: &(&Client, &Client)| pair.0.is_same(pair.1);
    let head = old.clients.iter().zip(&new.clients).take_while(same).count();
    let rest = |of: &'s Snapshot| of.clients.get(head..).unwrap_or_default();
    let (left, right) = (rest(old), rest(new));
    let tail = left.iter().rev().zip(right.iter().rev()).take_while(same).count();
    let without = |of: &'s [Client]| of.get(..of.len() - tail).unwrap_or_default();
    (without(left), without(right))
}

/// `client`, or `tenant/client`.
fn name(client: &ClientKey) -> String {
    if client.tenant.is_empty() { client.id.to_string() } else { format!("{}/{}", client.tenant, client.id) }
}

/// The keys of a client that differ, beside `enabled`.
fn settings(a: &Client, b: &Client) -> Vec<&'static str> {
    let differ = [
        ("name", a.name != b.name),
        ("max_active_secrets", a.max_active != b.max_active),
        ("upstream", !same_upstream(a.upstream.as_deref(), b.upstream.as_deref())),
    ];
    differ.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

/// Whether we are the same to the upstream. What was found out there does not count.
fn same_upstream(a: Option<&UpstreamIdentity>, b: Option<&UpstreamIdentity>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return a.is_none() && b.is_none() };
    let same_secrets = || a.secrets.iter().map(Secret::expose).eq(b.secrets.iter().map(Secret::expose));
    let rest = |of: &UpstreamIdentity| (of.id.clone(), of.method, of.basic_encoding);
    same_secrets() && rest(a) == rest(b)
}

fn same(a: &Record, b: &Record) -> bool {
    let window = |r: &Record| (r.not_before, r.expires, r.refused_until());
    a.status == b.status && a.identity() == b.identity() && window(a) == window(b)
}

/// Says so when `new` drops more than `share` of the clients or of the living secrets of `old`.
pub fn shrinks(old: &Snapshot, new: &Snapshot, share: f64, now: Timestamp) -> Option<String> {
    let after = |client: &Client| new.client(&client.key);
    let (left, _) = apart(old, new);
    let clients_gone = left.iter().filter(|client| after(client).is_none()).count();
    let alive = |record: &&Record| record.status != SecretStatus::Revoked && now < record.expires;
    let living = old.clients.iter().map(|client| client.records().iter().filter(alive).count()).sum();
    let mut secrets_gone = 0;
    for client in left {
        let after = after(client);
        if after.is_some_and(|after| after.is_same(client)) {
            continue;
        }
        for record in client.records().iter().filter(alive) {
            let stays =
                |new: &Client| new.records().iter().any(|r| r.id == record.id || r.identity() == record.identity());
            secrets_gone += usize::from(!after.is_some_and(stays));
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
        let dead = client.records().iter().filter(|record| record.status == SecretStatus::Revoked);
        revoked.entry(&client.key).or_default().extend(dead);
    }
    let mut graveyard = current.graveyard.clone();
    let mut changed = false;
    let clients = current.clients.iter().map(|client| {
        let dead = revoked.get(&client.key).map_or(&[][..], Vec::as_slice);
        let death = |record: &Record| {
            dead.iter().find(|dead| dead.id == record.id || dead.identity() == record.identity()).copied()
        };
        match client.revoking(death, now) {
            Some(next) => {
                changed = true;
                next.bury(&mut graveyard, now);
                next
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
        texts: [0; 32],
        // They no longer say what stands in any text.
        parts: current.parts.iter().map(Part::of_no_text).collect(),
        index: Index::of(&clients),
        clients,
        graveyard,
        by_key: current.by_key.clone(),
    })
}

impl Client {
    /// The same client with the records revoked that are so elsewhere, as `death` tells; nothing where none of them was alive.
    fn revoking<'r>(&self, death: impl Fn(&Record) -> Option<&'r Record>, now: Timestamp) -> Option<Self> {
        let mut records = self.records().to_vec();
        let mut changed = false;
        for record in records.iter_mut().filter(|record| record.status != SecretStatus::Revoked) {
            let Some(dead) = death(record) else { continue };
            record.die_as(dead);
            changed = true;
        }
        if !changed {
            return None;
        }
        Some(Self::of(Profile::clone(self), records, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::oauth::AuthResult;
    use crate::registry::build::tests::good;

    #[test]
    fn what_is_set_of_a_client_is_named_by_its_keys() {
        let list = |rest: &str, previous: Option<&Snapshot>| {
            let secret = "[[client.secret]]\nid = \"s\"\nsecret = \"one\"\n";
            good(&format!("[[client]]\nid = \"a\"\n{rest}\n{secret}"), previous)
        };
        let upstream = |rest: &str| format!("[client.upstream]\nid = \"u\"\n{rest}");
        let known = upstream("secret_file = \"far\"");
        for (before, after, keys) in [
            ("name = \"A\"", "name = \"A\"", &[][..]),
            ("name = \"A\"", "", &["name"]),
            ("", "name = \"B\"\nmax_active_secrets = 5\nenabled = false", &["name", "max_active_secrets"]),
            ("", &known, &["upstream"]),
            (&known, &upstream("secret_file = \"far\"\nmethod = \"post\""), &["upstream"]),
            (&known, &known.replace("\"u\"", "\"v\""), &["upstream"]),
            (&known, &known, &[]),
        ] {
            let before = list(before, None);
            let found = diff(&before, &list(after, Some(&before))).clients_changed;
            let named: Vec<_> = found.into_iter().flat_map(|set| set.keys).collect();
            assert_eq!(named, keys, "{after}");
        }
    }

    #[test]
    fn a_client_counts_on_where_it_did_and_one_that_never_came_has_nothing_to_count_in() {
        let list = |name: &str, previous: Option<&Snapshot>| {
            good(&format!("[[client]]\nid = \"a\"\nname = \"{name}\"\n[[client]]\nid = \"{name}\"\n"), previous)
        };
        let old = list("x", None);
        let new = list("y", Some(&old));
        let [before, after] = [&old, &new].map(|list| &list.clients[0]);
        assert!(before.counted().is_none() && after.counted().is_none(), "this list may yet be refused");
        share_counts(&old, &new);
        // A request that still holds the old one.
        before.cells().count(AuthResult::Success);
        assert_eq!(after.counted().map(|cells| cells.results(AuthResult::Success)), Some(1));
        assert!(new.clients[1].counted().is_none());
    }
}
