//! Last use over all instances, where there are many: asked of a Prometheus that scrapes every one of them.
//!
//! An instance knows what it saw itself; a secret is quiet only when it is quiet everywhere. Where that cannot be known
//! (no answer, an instance that cannot be scraped) the answer is the reason, never a guess.

mod query;

use std::collections::HashMap;
use std::time::Duration;

use self::query::{Labelled, ask};
use crate::config::settings::address::Target;
use crate::config::settings::operation::{Fleet, Instances};
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientKey, SecretId};
use crate::lifecycle::Usage;
use crate::metrics::text::escape;
use crate::registry::Record;
use crate::registry::cells::Seen;

/// What all instances together know of a secret's use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetUse {
    /// The last successful use that any of them saw; nothing where none did.
    pub last_used: Option<Timestamp>,
    /// Successful uses, about: those of instances that are gone count as far as they were scraped.
    pub uses: u64,
    /// Since when *all* of those that are there observe it: the latest of their beginnings.
    pub tracking_since: Timestamp,
}

impl FleetUse {
    /// Beside what an instance saw itself: it may not have been scraped yet, and refusals and callers nobody else tells.
    fn beside(&self, own: Seen) -> Usage {
        Usage::Seen {
            tracking_since: self.tracking_since,
            last_used: self.last_used.max(own.last_used),
            last_refused: own.last_refused(),
            uses: self.uses.max(own.uses),
            from: own.from,
        }
    }
}

/// What is known of each secret of a client. One that is not in it is not known to the instances yet.
pub type ClientUse = HashMap<SecretId, FleetUse>;

/// What all instances know of a secret's use together, this one's own eyes included.
pub fn usage(uses: Option<&ClientUse>, record: &Record) -> Usage {
    match uses.and_then(|uses| uses.get(&record.id)) {
        Some(of_all) => of_all.beside(record.uses.seen()),
        None => Usage::Unknown("Prometheus has not seen it yet".to_owned()),
    }
}

/// A Prometheus that scrapes all instances.
#[derive(Clone, Debug)]
pub struct Prometheus {
    target: Target,
    window: Duration,
    tenants: bool,
}

/// Instances that are gone for longer than this are forgotten, with what they alone saw.
const WINDOW: Duration = Duration::from_secs(7 * 24 * 3600);

impl Prometheus {
    /// The one to be asked; nothing where one instance sees every use, or none is configured.
    pub fn of(fleet: &Fleet) -> Option<Self> {
        let target = fleet.prometheus.clone().filter(|_| fleet.instances == Instances::Many)?;
        Some(Self { target, window: WINDOW, tenants: false })
    }

    /// The same, looking back at least this far: for a rule that asks for a longer quiet time.
    #[must_use]
    pub fn looking_back(self, at_least: Duration) -> Self {
        Self { window: self.window.max(at_least), ..self }
    }

    /// The same, for a list that has tenants: there and only there the metrics have a label for them. A label of that name
    /// that a scrape adds is no word of ours.
    #[must_use]
    pub fn with_tenants(self, tenants: bool) -> Self {
        Self { tenants, ..self }
    }

    /// The use of one client's secrets, or why it cannot be known.
    pub async fn client(&self, client: &ClientKey) -> Result<ClientUse, String> {
        let tenant = if self.tenants { format!("tenant=\"{}\",", client.tenant) } else { String::new() };
        let matcher = format!("{{{tenant}client_id=\"{}\"}}", escape(client.id.as_str()));
        Ok(self.all(&matcher).await?.remove(client).unwrap_or_default())
    }

    /// The use of every client's secrets, or why it cannot be known.
    pub async fn clients(&self) -> Result<HashMap<ClientKey, ClientUse>, String> {
        self.all("").await
    }

    async fn all(&self, matcher: &str) -> Result<HashMap<ClientKey, ClientUse>, String> {
        let window = self.window.as_secs();
        let secret = if self.tenants { "by (tenant, client_id, secret_id)" } else { "by (client_id, secret_id)" };
        // An instance that is gone has had its last word: the maximum over time holds it.
        let last_used = format!(
            "max {secret} (max_over_time(relatch_client_secret_last_used_timestamp_seconds{matcher}[{window}s]))"
        );
        let uses = format!("sum {secret} (max_over_time(relatch_client_secret_uses_total{matcher}[{window}s]))");
        let since = format!("max {secret} (relatch_client_secret_tracking_since_timestamp_seconds{matcher})");
        // ... but one that is still expected and cannot be scraped goes on seeing what nobody else does.
        let unseen = format!("(up == 0) and on (job, instance) max_over_time(relatch_build_info[{window}s])");
        let (there, unseen, last_used, uses, since) = tokio::try_join!(
            ask(&self.target, "count(relatch_build_info)"),
            ask(&self.target, &unseen),
            ask(&self.target, &last_used),
            ask(&self.target, &uses),
            ask(&self.target, &since),
        )?;
        if there.is_empty() {
            return Err(format!("Prometheus at {} scrapes no relatch now", self.target));
        }
        if let Some(instance) = unseen.first() {
            return Err(format!(
                "instance {} (job {}) cannot be scraped by Prometheus: what it sees is not known{}",
                instance.label("instance"),
                instance.label("job"),
                match unseen.len() - 1 {
                    0 => String::new(),
                    more => format!("; nor is that of {more} more"),
                }
            ));
        }
        Ok(together(&last_used, &uses, &since))
    }
}

/// Every secret that an instance observes now, with what is known of it.
fn together(last_used: &[Labelled], uses: &[Labelled], since: &[Labelled]) -> HashMap<ClientKey, ClientUse> {
    let by_secret = |all: &[Labelled]| -> HashMap<(ClientKey, SecretId), f64> {
        all.iter().filter_map(|one| Some((one.secret()?, one.value))).collect()
    };
    let (last_used, uses) = (by_secret(last_used), by_secret(uses));
    let mut clients: HashMap<ClientKey, ClientUse> = HashMap::new();
    for (secret, since) in by_secret(since) {
        let known = FleetUse {
            last_used: last_used.get(&secret).copied().filter(|at| *at > 0.0).map(timestamp),
            uses: count(uses.get(&secret).copied().unwrap_or(0.0)),
            tracking_since: timestamp(since),
        };
        clients.entry(secret.0).or_default().insert(secret.1, known);
    }
    clients
}

/// Rounded, because a double of seconds may lie a hair below its millisecond.
fn timestamp(seconds: f64) -> Timestamp {
    Timestamp::from_millis(count((seconds * 1000.0).round()))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and a count has no sign")]
const fn count(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests;
