//! The per-secret and per-client families, as text straight from the snapshot, family by family as the format wants it.

use std::sync::Arc;

use super::text::Text;
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientKey;
use crate::domain::oauth::AuthResult;
use crate::registry::cells::ClientCells;
use crate::registry::{Client, Record, SecretState, Snapshot};

/// Appends every family that is about clients and their secrets.
pub(super) fn write(
    snapshot: &Snapshot,
    nobody: impl Iterator<Item = (AuthResult, u64)>,
    now: Timestamp,
    out: &mut Text<'_>,
) {
    config(snapshot, out);
    let names = Names::of(snapshot);
    clients(snapshot, &names, now, out);
    authentications(snapshot, &names, nobody, out);
    upstream_secrets(snapshot, &names, out);
    for family in &PER_SECRET {
        family.write(snapshot, &names, now, out);
    }
}

/// The labels that name each client, escaped once. Of a list without tenants they are what they were before there were any.
struct Names {
    clients: Vec<String>,
    /// Those of a client that is not configured.
    nobody: &'static str,
}

impl Names {
    fn of(snapshot: &Snapshot) -> Self {
        let tenants = snapshot.has_tenants();
        let labels = |client: &Arc<Client>| {
            let ClientKey { tenant, id } = &client.key;
            let id = escape(id.as_str());
            if tenants { format!("client_id=\"{id}\",tenant=\"{tenant}\"") } else { format!("client_id=\"{id}\"") }
        };
        let nobody = if tenants { "client_id=\"\",tenant=\"\"" } else { "client_id=\"\"" };
        Self { clients: snapshot.clients.iter().map(labels).collect(), nobody }
    }

    fn each<'s>(&'s self, snapshot: &'s Snapshot) -> impl Iterator<Item = (&'s str, &'s Client)> {
        self.clients.iter().map(String::as_str).zip(snapshot.clients.iter().map(|client| &**client))
    }
}

fn config(snapshot: &Snapshot, out: &mut Text<'_>) {
    out.family(
        "relatch_config_hash",
        "gauge",
        "First 48 bits of the SHA-256 of the loaded client list, to compare instances.",
    );
    out.sample(&["relatch_config_hash"], snapshot.hash);
    out.family(
        "relatch_config_generation",
        "gauge",
        "Number of the client list in force; rises by one with each list that is published.",
    );
    out.sample(&["relatch_config_generation"], snapshot.generation);
}

fn clients(snapshot: &Snapshot, names: &Names, now: Timestamp, out: &mut Text<'_>) {
    out.family("relatch_client_secrets", "gauge", "Number of configured secrets by status.");
    for (name, client) in names.each(snapshot) {
        let mut counts = [0; SecretState::ALL.len()];
        for record in &client.records {
            let counted = counts.get_mut(record.state(now) as usize);
            counted.into_iter().for_each(|count| *count += 1);
        }
        for (state, count) in SecretState::ALL.iter().zip(counts) {
            out.sample(&["relatch_client_secrets{", name, ",status=\"", state.as_str(), "\"}"], count);
        }
    }
    out.family(
        "relatch_basic_encoding_total",
        "counter",
        "Successful Basic authentications by the reading that matched.",
    );
    for (name, client) in names.each(snapshot) {
        let (rfc6749, raw) = client.counted().map_or((0, 0), ClientCells::basic);
        out.sample(&["relatch_basic_encoding_total{", name, ",encoding=\"rfc6749\"}"], rfc6749);
        out.sample(&["relatch_basic_encoding_total{", name, ",encoding=\"raw\"}"], raw);
    }
}

fn authentications(
    snapshot: &Snapshot,
    names: &Names,
    nobody: impl Iterator<Item = (AuthResult, u64)>,
    out: &mut Text<'_>,
) {
    const NAME: &str = "relatch_client_authentications_total";
    out.family(
        NAME,
        "counter",
        "Client authentication attempts by result; client_id is empty for a client that is not configured.",
    );
    for (name, client) in names.each(snapshot) {
        for result in AuthResult::OF_A_CLIENT {
            let count = client.counted().map_or(0, |cells| cells.results(result));
            out.sample(&[NAME, "{", name, ",result=\"", result.as_str(), "\"}"], count);
        }
    }
    for (result, count) in nobody {
        out.sample(&[NAME, "{", names.nobody, ",result=\"", result.as_str(), "\"}"], count);
    }
}

/// Of the clients that have upstream secrets of their own: which one works, and how often that changed.
fn upstream_secrets(snapshot: &Snapshot, names: &Names, out: &mut Text<'_>) {
    const IN_USE: &str = "relatch_upstream_secret_in_use";
    const FALLBACKS: &str = "relatch_upstream_secret_fallbacks_total";
    let identities = || names.each(snapshot).filter_map(|(name, client)| Some((name, client.upstream.as_ref()?)));
    out.family(
        IN_USE,
        "gauge",
        "Whether an upstream secret is the one that is sent, by its place in the list of its client, from 1; all are 0 after the upstream refused every one.",
    );
    for (name, identity) in identities() {
        let in_use = identity.standing.in_use();
        for at in 0..identity.secrets.len() {
            let place = (at + 1).to_string();
            out.sample(&[IN_USE, "{", name, ",index=\"", &place, "\"}"], u64::from(in_use == Some(at)));
        }
    }
    out.family(FALLBACKS, "counter", "Times that an upstream secret was refused and another one of the list accepted.");
    for (name, identity) in identities() {
        out.sample(&[FALLBACKS, "{", name, "}"], identity.standing.fallbacks());
    }
}

/// A family with one sample a secret.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&Record, Timestamp) -> Option<Value>,
    /// More labels, and the status, for the info family.
    info: bool,
}

const PER_SECRET: [Family; 7] = [
    Family {
        name: "relatch_client_secret_info",
        kind: "gauge",
        help: "A metric with a constant '1' value labelled by the name, role and status of a secret; role is current for the newest active secret of a client and previous for the others.",
        value: |_, _| Some(Value::Count(1)),
        info: true,
    },
    Family {
        name: "relatch_client_secret_created_timestamp_seconds",
        kind: "gauge",
        help: "Creation time of a secret; absent where the list does not tell it.",
        value: |record, _| record.created().map(Value::Time),
        info: false,
    },
    Family {
        name: "relatch_client_secret_expiration_timestamp_seconds",
        kind: "gauge",
        help: "Time after which a secret is refused; absent for a secret that does not expire.",
        value: |record, _| Some(record.expires).filter(|at| *at != Timestamp::MAX).map(Value::Time),
        info: false,
    },
    Family {
        name: "relatch_client_secret_expiry_notice_days",
        kind: "gauge",
        help: "The last of 90, 60, 30, 15, 7 and 1 days before its expiration that an active secret has passed; absent before the first.",
        value: |record, now| record.notice(now).map(|days| Value::Count(days.into())),
        info: false,
    },
    Family {
        name: "relatch_client_secret_last_used_timestamp_seconds",
        kind: "gauge",
        help: "Time of the last successful authentication with a secret; 0 when not used since tracking began.",
        value: |record, _| Some(Value::Time(record.uses.last_used().unwrap_or(Timestamp::MIN))),
        info: false,
    },
    Family {
        name: "relatch_client_secret_tracking_since_timestamp_seconds",
        kind: "gauge",
        help: "Time since which uses of a secret have been observed.",
        value: |record, _| Some(Value::Time(record.uses.tracking_since())),
        info: false,
    },
    Family {
        name: "relatch_client_secret_uses_total",
        kind: "counter",
        help: "Successful authentications by secret.",
        value: |record, _| Some(Value::Count(record.uses.uses())),
        info: false,
    },
];

impl Family {
    fn write(&self, snapshot: &Snapshot, names: &Names, now: Timestamp, out: &mut Text<'_>) {
        out.family(self.name, self.kind, self.help);
        for (labels, client) in names.each(snapshot) {
            let current = self.info.then(|| client.current(now)).flatten().map(|record| &record.id);
            for record in &client.records {
                let Some(value) = (self.value)(record, now) else { continue };
                let named = [self.name, "{", labels, ",secret_id=\"", record.id.as_str()];
                if self.info {
                    let role = if current == Some(&record.id) { "current" } else { "previous" };
                    out.begin(&named);
                    out.begin(&["\",name=\"", &escape(record.name()), "\",role=\"", role, "\",status=\""]);
                    out.begin(&[record.state(now).as_str()]);
                } else {
                    out.begin(&named);
                }
                match value {
                    Value::Count(count) => out.sample(&["\"}"], count),
                    Value::Time(at) => out.sample_time(&["\"}"], at),
                }
            }
        }
    }
}

/// What a sample of a secret can be.
enum Value {
    Count(u64),
    Time(Timestamp),
}

/// Escapes a label value as the text format and the query language want it. Other control characters are legal there and harmless.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{Names, escape};
    use crate::config::clients::ClientList;
    use crate::config::tree::{Doc, Language};
    use crate::domain::clock::Timestamp;
    use crate::registry::build::{Ground, SecretFiles, build};

    #[test]
    fn tenants_are_a_label_of_every_client_or_of_none() {
        let labels = |text: &str| {
            let list = ClientList::parse(Doc { name: "f", text }, Language::Toml, 0).0.unwrap();
            let ground = Ground {
                files: &SecretFiles::new(),
                previous: None,
                forwards: false,
                endpoints: &[],
                keep_revoked: std::time::Duration::ZERO,
                now: Timestamp::MIN,
            };
            let names = Names::of(&build(list.clients, &ground, 0, Vec::new()).0.unwrap());
            [names.clients.join(" "), names.nobody.to_owned()]
        };
        let alone = "[[client]]\nid = \"a\"\n";
        assert_eq!(labels(alone), ["client_id=\"a\"", "client_id=\"\""]);
        let both = labels(&format!("{alone}[[client]]\nid = \"a\"\ntenant = \"t\"\n"));
        let clients = "client_id=\"a\",tenant=\"\" client_id=\"a\",tenant=\"t\"";
        assert_eq!(both, [clients, "client_id=\"\",tenant=\"\""]);
    }

    #[test]
    fn a_label_cannot_end_its_line() {
        assert_eq!(escape("\"}\n\\"), "\\\"}\\n\\\\");
    }
}
