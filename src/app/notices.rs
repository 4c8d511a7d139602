//! What the clock brings: warnings ahead of the end of a secret, one for each threshold that it passes, by the clock or by a
//! new list; and rotations that can be finished.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::config::settings::operation::Instances;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientKey, SecretId};
use crate::event::webhook::{Event, Kind, What};
use crate::hooks::Hooks;
use crate::lifecycle::progress::Progress;
use crate::lifecycle::{Holder, Usage};
use crate::log::{Field, Log, about};
use crate::proxy::Shared;
use crate::registry::{Client, Record, SecretState, Snapshot};

/// How soon a new list is noticed, and how often the clock is asked.
const LOOK: Duration = Duration::from_secs(1);
const CHECK: Duration = Duration::from_secs(60);
/// Lines of one check; the metrics tell all of them.
const MOST_LINES: usize = 100;

/// What was told: of each secret with this end, the last threshold.
type Told = HashMap<(ClientKey, SecretId, Timestamp), u16>;

/// Old secrets whose rotation was said to be ready.
type Ready = HashSet<(ClientKey, SecretId)>;

/// Goes on while the instance runs.
pub(super) async fn follow(shared: Arc<Shared>, hooks: Hooks, log: Log) {
    let mut told = Told::new();
    let mut ready = Ready::new();
    let mut checked: Option<(u64, Timestamp)> = None;
    // Of many instances each sees its own callers only: none of them can say that a secret is quiet.
    let sees_all = shared.settings.fleet.instances == Instances::One;
    loop {
        let (list, now) = (shared.snapshot.load_full(), shared.clock.now());
        let due = |(generation, at)| generation != list.generation || now.since(at) >= CHECK;
        if checked.is_none_or(due) {
            told = check(&list, now, &told, &hooks, &log);
            if sees_all && hooks.wants(Kind::RotationReady) {
                ready = finishable(&list, now, &ready, &hooks);
            }
            checked = Some((list.generation, now));
        }
        drop(list);
        tokio::time::sleep(LOOK).await;
    }
}

fn check(list: &Snapshot, now: Timestamp, before: &Told, hooks: &Hooks, log: &Log) -> Told {
    let mut told = Told::new();
    let mut lines = 0;
    let records = list.clients.iter().flat_map(|client| client.records.iter().map(move |record| (client, record)));
    for (client, record) in records {
        let key = (client.key.clone(), record.id.clone(), record.expires);
        let known = before.get(&key).copied();
        let Some(days) = record.notice(now) else {
            // Refused for a rehearsal, perhaps: what was told of it stays told.
            told.extend(known.map(|days| (key, days)));
            continue;
        };
        told.insert(key, days);
        if !client.enabled || known == Some(days) {
            continue;
        }
        hooks.tell(&event(client, record, now, What::Expiring(record.expires, days)));
        lines += 1;
        if lines <= MOST_LINES {
            let (expires, left) = (record.expires.rfc3339(), record.expires.since(now).as_secs() / 86_400);
            let rest: [Field<'_>; 4] =
                [("secret_id", &record.id), ("expires", &expires), ("days_left", &left), ("notice_days", &days)];
            log.warn("a secret expires soon", &about(&client.key, &rest));
        }
    }
    if lines > MOST_LINES {
        let more = lines - MOST_LINES;
        log.warn("more secrets expire soon: see relatch_client_secret_expiry_notice_days", &[("more", &more)]);
    }
    told
}

/// Tells of old secrets that have been quiet for long enough, of each once; gives those that were told of and are there.
fn finishable(list: &Snapshot, now: Timestamp, before: &Ready, hooks: &Hooks) -> Ready {
    let mut ready = Ready::new();
    for client in &list.clients {
        let active = |record: &&Record| record.state(now) == SecretState::Active;
        // Most have one secret, and nothing to finish.
        if client.records.iter().filter(active).nth(1).is_none() {
            continue;
        }
        let current = client.current(now).map(|record| &record.id);
        let is_ready = Progress::of(&Holder::of_client(client, usage, now), now) == Progress::Ready;
        for record in client.records.iter().filter(active).filter(|record| Some(&record.id) != current) {
            let key = (client.key.clone(), record.id.clone());
            let known = before.contains(&key);
            if is_ready && !known {
                hooks.tell(&event(client, record, now, What::RotationReady));
            }
            if is_ready || known {
                ready.insert(key);
            }
        }
    }
    ready
}

/// What this instance knows of a secret's use.
fn usage(record: &Record) -> Usage {
    let seen = record.uses.seen();
    Usage::Seen {
        tracking_since: seen.tracking_since,
        last_used: seen.last_used,
        last_refused: seen.refused.from.first().map(|sighting| sighting.at),
        uses: seen.uses,
        from: Vec::new(),
    }
}

fn event(client: &Client, record: &Record, at: Timestamp, what: What) -> Event {
    Event { at, client: client.key.clone(), secret: record.id.clone(), what }
}
