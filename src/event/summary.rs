//! What a new list changed, by names, as far as it fits a line.

use std::collections::HashMap;

use serde::Serialize;

use crate::domain::ids::ClientKey;
use crate::registry::diff::{Diff, Named};

/// Clients that are named in one summary, and secrets of each kind that are named of one client. The counts stand beside.
const MOST_CLIENTS: usize = 50;
const MOST_SECRETS: usize = 20;

/// What a list changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// How many of each.
    pub counts: Counts,
    /// Client by client.
    pub changes: Vec<Changes>,
    /// Clients with changes that are not named.
    #[serde(skip_serializing_if = "is_zero")]
    pub changes_left_out: usize,
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    clients_added: usize,
    clients_removed: usize,
    clients_enabled: usize,
    clients_disabled: usize,
    clients_changed: usize,
    secrets_added: usize,
    secrets_removed: usize,
    secrets_revoked: usize,
    secrets_changed: usize,
}

/// What changed of one client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    client_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    tenant: String,
    /// `added`, `removed`, `enabled` or `disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'static str>,
    /// Keys of it that have another value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    set: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    added: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    removed: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    revoked: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<String>,
    /// Secrets of it that are not named.
    #[serde(skip_serializing_if = "is_zero")]
    left_out: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_zero(value: &usize) -> bool {
    *value == 0
}

impl Summary {
    /// What stands in a difference.
    pub fn of(diff: &Diff) -> Self {
        let mut table = Table::default();
        for (clients, word) in [
            (&diff.clients_added, "added"),
            (&diff.clients_removed, "removed"),
            (&diff.clients_enabled, "enabled"),
            (&diff.clients_disabled, "disabled"),
        ] {
            clients.iter().for_each(|key| table.of(key, |client| client.client = Some(word)));
        }
        diff.clients_changed.iter().for_each(|set| table.of(&set.client, |client| client.set.clone_from(&set.keys)));
        for (all, names) in [
            (&diff.secrets_revoked, Changes::revoked as fn(&mut Changes) -> &mut Vec<String>),
            (&diff.secrets_removed, Changes::removed),
            (&diff.secrets_added, Changes::added),
            (&diff.secrets_changed, Changes::changed),
        ] {
            all.iter().for_each(|named| table.of(&named.client, |client| client.name(named, names)));
        }
        Self {
            counts: Counts {
                clients_added: diff.clients_added.len(),
                clients_removed: diff.clients_removed.len(),
                clients_enabled: diff.clients_enabled.len(),
                clients_disabled: diff.clients_disabled.len(),
                clients_changed: diff.clients_changed.len(),
                secrets_added: diff.secrets_added.len(),
                secrets_removed: diff.secrets_removed.len(),
                secrets_revoked: diff.secrets_revoked.len(),
                secrets_changed: diff.secrets_changed.len(),
            },
            changes_left_out: table.places.len().saturating_sub(table.named.len()),
            changes: table.named,
        }
    }
}

impl Changes {
    const fn added(&mut self) -> &mut Vec<String> {
        &mut self.added
    }

    const fn removed(&mut self) -> &mut Vec<String> {
        &mut self.removed
    }

    const fn revoked(&mut self) -> &mut Vec<String> {
        &mut self.revoked
    }

    const fn changed(&mut self) -> &mut Vec<String> {
        &mut self.changed
    }

    fn name(&mut self, named: &Named, names: fn(&mut Self) -> &mut Vec<String>) {
        if names(self).len() < MOST_SECRETS {
            names(self).push(named.secret.to_string());
        } else {
            self.left_out += 1;
        }
    }
}

/// The clients by their keys; the first of them are named.
#[derive(Default)]
struct Table<'d> {
    places: HashMap<&'d ClientKey, usize>,
    named: Vec<Changes>,
}

impl<'d> Table<'d> {
    fn of(&mut self, key: &'d ClientKey, set: impl FnOnce(&mut Changes)) {
        let next = self.places.len();
        let place = *self.places.entry(key).or_insert(next);
        if place == self.named.len() && place < MOST_CLIENTS {
            let (client_id, tenant) = (key.id.to_string(), key.tenant.to_string());
            self.named.push(Changes { client_id, tenant, ..Changes::default() });
        }
        self.named.get_mut(place).map(set);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{ClientId, SecretId};
    use crate::registry::diff::Set;

    fn key(id: &str) -> ClientKey {
        ClientKey::from(ClientId::parse(id).unwrap())
    }

    fn named(client: &str, secret: &str) -> Named {
        Named { client: key(client), secret: SecretId::parse(secret).unwrap() }
    }

    #[test]
    fn each_client_says_once_what_became_of_it_and_of_its_secrets() {
        let diff = Diff {
            clients_added: vec![key("b")],
            clients_disabled: vec![key("a")],
            clients_changed: vec![Set { client: key("a"), keys: vec!["name"] }],
            secrets_added: vec![named("a", "s2"), named("b", "s1")],
            secrets_revoked: vec![named("a", "s1")],
            ..Diff::default()
        };
        let told = serde_json::to_value(Summary::of(&diff)).unwrap();
        assert_eq!(
            told["changes"],
            serde_json::json!([
                {"client_id": "b", "client": "added", "added": ["s1"]},
                {"client_id": "a", "client": "disabled", "set": ["name"], "added": ["s2"], "revoked": ["s1"]},
            ])
        );
        assert_eq!((&told["counts"]["secrets_added"], &told["counts"]["clients_removed"]), (&2.into(), &0.into()));
        assert!(told.get("changes_left_out").is_none());
    }

    #[test]
    fn a_large_change_is_counted_whole_and_named_in_part() {
        let many = |client: usize| named(&format!("c{client}"), "s");
        let mut diff = Diff { secrets_added: (0..100_000).map(many).collect(), ..Diff::default() };
        diff.secrets_added.extend((0..100).map(|secret| named("c0", &format!("t{secret}"))));
        let summary = Summary::of(&diff);
        assert_eq!((summary.counts.secrets_added, summary.changes.len()), (100_100, MOST_CLIENTS));
        assert_eq!(summary.changes_left_out, 100_000 - MOST_CLIENTS);
        assert_eq!((summary.changes[0].added.len(), summary.changes[0].left_out), (MOST_SECRETS, 101 - MOST_SECRETS));
        assert!(serde_json::to_string(&summary).unwrap().len() < 16 << 10);
    }
}
