//! The per-secret and per-client families, as text straight from the snapshot, family by family as the format wants it.

use std::sync::Arc;

use super::text::{Text, escape_into};
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientKey;
use crate::domain::oauth::AuthResult;
use crate::registry::cells::ClientCells;
use crate::registry::{Client, Record, SecretState, Snapshot};

/// Every family that is about clients and their secrets, on its way into a text.
pub(super) struct Families {
    snapshot: Arc<Snapshot>,
    now: Timestamp,
    nobody: [(AuthResult, u64); AuthResult::OF_NOBODY.len()],
    family: usize,
    client: usize,
    names: Names,
}

/// The labels that name each client, one after the other, as they are written for the first family.
#[derive(Default)]
struct Names {
    text: String,
    ends: Vec<usize>,
}

/// A client in a family.
struct Place<'f> {
    family: &'static str,
    labels: &'f str,
    client: &'f Client,
    now: Timestamp,
}

struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    /// Writes what there is of a client.
    samples: fn(&Place<'_>, &mut Text),
}

impl Families {
    /// Writes what they are about, and begins them.
    pub(super) fn begin(
        snapshot: Arc<Snapshot>,
        nobody: [(AuthResult, u64); AuthResult::OF_NOBODY.len()],
        now: Timestamp,
        out: &mut Text,
    ) -> Self {
        config(&snapshot, out);
        Self { snapshot, now, nobody, family: 0, client: 0, names: Names::default() }
    }

    /// Writes the next samples: those of one client in one family. Whether there were any.
    pub(super) fn write_next(&mut self, out: &mut Text) -> bool {
        let Some(family) = FAMILIES.get(self.family) else { return false };
        if self.client == 0 {
            out.family(family.name, family.kind, family.help);
            if family.name == AUTHENTICATIONS {
                self.write_nobody(out);
            }
        }
        let Some(client) = self.snapshot.clients.get(self.client) else {
            (self.family, self.client) = (self.family + 1, 0);
            return true;
        };
        if self.family == 0 {
            self.names.push(&client.key, self.snapshot.has_tenants());
        }
        let labels = self.names.get(self.client);
        (family.samples)(&Place { family: family.name, labels, client, now: self.now }, out);
        self.client += 1;
        true
    }

    /// What was counted of clients that are not configured.
    fn write_nobody(&self, out: &mut Text) {
        let labels = if self.snapshot.has_tenants() { "client_id=\"\",tenant=\"\"" } else { "client_id=\"\"" };
        for (result, count) in self.nobody {
            out.sample(&[AUTHENTICATIONS, "{", labels, ",result=\"", result.as_str(), "\"}"], count);
        }
    }
}

impl Names {
    /// Those of the next client: of a list without tenants what they were before there were any.
    fn push(&mut self, ClientKey { tenant, id }: &ClientKey, tenants: bool) {
        self.text.push_str("client_id=\"");
        escape_into(&mut self.text, id.as_str());
        if tenants {
            self.text.push_str("\",tenant=\"");
            self.text.push_str(tenant.as_str());
        }
        self.text.push('"');
        self.ends.push(self.text.len());
    }

    fn get(&self, at: usize) -> &str {
        let end = |at: usize| self.ends.get(at).copied().unwrap_or_default();
        let start = at.checked_sub(1).map_or(0, end);
        self.text.get(start..end(at)).unwrap_or_default()
    }
}

fn config(snapshot: &Snapshot, out: &mut Text) {
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

const AUTHENTICATIONS: &str = "relatch_client_authentications_total";

const FAMILIES: [Family; 12] = [
    Family {
        name: "relatch_client_secrets",
        kind: "gauge",
        help: "Number of configured secrets by status.",
        samples: by_status,
    },
    Family {
        name: "relatch_basic_encoding_total",
        kind: "counter",
        help: "Successful Basic authentications by the reading that matched.",
        samples: basic_readings,
    },
    Family {
        name: AUTHENTICATIONS,
        kind: "counter",
        help: "Client authentication attempts by result; client_id is empty for a client that is not configured.",
        samples: authentications,
    },
    Family {
        name: "relatch_upstream_secret_in_use",
        kind: "gauge",
        help: "Whether an upstream secret is the one that is sent, by its place in the list of its client, from 1; all are 0 after the upstream refused every one.",
        samples: upstream_secrets,
    },
    Family {
        name: "relatch_upstream_secret_fallbacks_total",
        kind: "counter",
        help: "Times that an upstream secret was refused and another one of the list accepted.",
        samples: fallbacks,
    },
    Family {
        name: "relatch_client_secret_info",
        kind: "gauge",
        help: "A metric with a constant '1' value labelled by the name, role and status of a secret; role is current for the newest active secret of a client and previous for the others.",
        samples: info,
    },
    Family {
        name: "relatch_client_secret_created_timestamp_seconds",
        kind: "gauge",
        help: "Creation time of a secret; absent where the list does not tell it.",
        samples: |place, out| times(place, out, Record::created),
    },
    Family {
        name: "relatch_client_secret_expiration_timestamp_seconds",
        kind: "gauge",
        help: "Time after which a secret is refused; absent for a secret that does not expire.",
        samples: |place, out| times(place, out, |record| Some(record.expires).filter(|at| *at != Timestamp::MAX)),
    },
    Family {
        name: "relatch_client_secret_expiry_notice_days",
        kind: "gauge",
        help: "The last of 90, 60, 30, 15, 7 and 1 days before its expiration that an active secret has passed; absent before the first.",
        samples: |place, out| counts(place, out, |record| record.notice(place.now).map(u64::from)),
    },
    Family {
        name: "relatch_client_secret_last_used_timestamp_seconds",
        kind: "gauge",
        help: "Time of the last successful authentication with a secret; 0 when not used since tracking began.",
        samples: |place, out| times(place, out, |record| Some(record.uses.last_used().unwrap_or(Timestamp::MIN))),
    },
    Family {
        name: "relatch_client_secret_tracking_since_timestamp_seconds",
        kind: "gauge",
        help: "Time since which uses of a secret have been observed.",
        samples: |place, out| times(place, out, |record| Some(record.uses.tracking_since())),
    },
    Family {
        name: "relatch_client_secret_uses_total",
        kind: "counter",
        help: "Successful authentications by secret.",
        samples: |place, out| counts(place, out, |record| Some(record.uses.uses())),
    },
];

fn by_status(place: &Place<'_>, out: &mut Text) {
    let mut counts = [0; SecretState::ALL.len()];
    for record in place.client.records() {
        let counted = counts.get_mut(record.state(place.now) as usize);
        counted.into_iter().for_each(|count| *count += 1);
    }
    for (state, count) in SecretState::ALL.iter().zip(counts) {
        out.sample(&[place.family, "{", place.labels, ",status=\"", state.as_str(), "\"}"], count);
    }
}

fn basic_readings(place: &Place<'_>, out: &mut Text) {
    let (rfc6749, raw) = place.client.counted().map_or((0, 0), ClientCells::basic);
    out.sample(&[place.family, "{", place.labels, ",encoding=\"rfc6749\"}"], rfc6749);
    out.sample(&[place.family, "{", place.labels, ",encoding=\"raw\"}"], raw);
}

fn authentications(place: &Place<'_>, out: &mut Text) {
    for result in AuthResult::OF_A_CLIENT {
        let count = place.client.counted().map_or(0, |cells| cells.results(result));
        out.sample(&[place.family, "{", place.labels, ",result=\"", result.as_str(), "\"}"], count);
    }
}

/// Of a client that has upstream secrets of its own: which one works.
fn upstream_secrets(place: &Place<'_>, out: &mut Text) {
    let Some(identity) = &place.client.upstream else { return };
    let in_use = identity.standing.in_use();
    for at in 0..identity.secrets.len() {
        let number = (at + 1).to_string();
        out.sample(&[place.family, "{", place.labels, ",index=\"", &number, "\"}"], u64::from(in_use == Some(at)));
    }
}

/// ... and how often that changed.
fn fallbacks(place: &Place<'_>, out: &mut Text) {
    let Some(identity) = &place.client.upstream else { return };
    out.sample(&[place.family, "{", place.labels, "}"], identity.standing.fallbacks());
}

fn info(place: &Place<'_>, out: &mut Text) {
    let current = place.client.current(place.now).map(|record| &record.id);
    for record in place.client.records() {
        let role = if current == Some(&record.id) { "current" } else { "previous" };
        out.begin(&[place.family, "{", place.labels, ",secret_id=\"", record.id.as_str(), "\",name=\""]);
        out.label(record.name());
        out.sample(&["\",role=\"", role, "\",status=\"", record.state(place.now).as_str(), "\"}"], 1);
    }
}

/// One sample a secret, where there is anything to tell of it.
fn counts(place: &Place<'_>, out: &mut Text, value: impl Fn(&Record) -> Option<u64>) {
    for (record, count) in place.client.records().iter().filter_map(|record| Some((record, value(record)?))) {
        out.sample(&[place.family, "{", place.labels, ",secret_id=\"", record.id.as_str(), "\"}"], count);
    }
}

fn times(place: &Place<'_>, out: &mut Text, value: impl Fn(&Record) -> Option<Timestamp>) {
    for (record, at) in place.client.records().iter().filter_map(|record| Some((record, value(record)?))) {
        out.sample_time(&[place.family, "{", place.labels, ",secret_id=\"", record.id.as_str(), "\"}"], at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::build::tests::good;

    #[test]
    fn tenants_are_a_label_of_every_client_or_of_none() {
        let written = |list: &str| {
            let mut text = Text::of(String::new());
            let nobody = AuthResult::OF_NOBODY.map(|of| (of, 7));
            let mut families = Families::begin(Arc::new(good(list, None)), nobody, Timestamp::MIN, &mut text);
            while families.write_next(&mut text) {}
            text.take(0)
        };
        let alone = "[[client]]\nid = \"a\"\n";
        let text = written(alone);
        for sample in [
            "relatch_client_secrets{client_id=\"a\",status=\"active\"} 0\n",
            "{client_id=\"\",result=\"throttled\"} 7\n",
        ] {
            assert!(text.contains(sample), "{sample}{text}");
        }
        assert!(!text.contains("tenant="));
        let text = written(&format!("{alone}[[client]]\nid = \"a\"\ntenant = \"t\"\n"));
        for labels in [
            "client_id=\"a\",tenant=\"\",status",
            "client_id=\"a\",tenant=\"t\",status",
            "client_id=\"\",tenant=\"\",result",
        ] {
            assert!(text.contains(labels), "{labels}{text}");
        }
        let samples = text.lines().filter(|line| line.contains("client_id="));
        assert!(samples.into_iter().all(|line| line.contains(",tenant=")));
    }
}
