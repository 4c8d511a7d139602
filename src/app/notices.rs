//! Warnings ahead of the end of a secret: one line for each threshold that it passes, by the clock or by a new list.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::domain::clock::{Clock, Timestamp};
use crate::domain::ids::{ClientKey, SecretId};
use crate::log::{Field, Log, about};
use crate::registry::Snapshot;

/// How soon a new list is noticed, and how often the clock is asked.
const LOOK: Duration = Duration::from_secs(1);
const CHECK: Duration = Duration::from_secs(60);
/// Lines of one check; the metrics tell all of them.
const MOST_LINES: usize = 100;

/// What was told: of each secret with this end, the last threshold.
type Told = HashMap<(ClientKey, SecretId, Timestamp), u16>;

/// Goes on while the instance runs.
pub(super) async fn follow(snapshot: Arc<ArcSwap<Snapshot>>, clock: Arc<Clock>, log: Log) {
    let mut told = Told::new();
    let mut checked: Option<(u64, Timestamp)> = None;
    loop {
        let (list, now) = (snapshot.load_full(), clock.now());
        let due = |(generation, at)| generation != list.generation || now.since(at) >= CHECK;
        if checked.is_none_or(due) {
            told = check(&list, now, &told, &log);
            checked = Some((list.generation, now));
        }
        drop(list);
        tokio::time::sleep(LOOK).await;
    }
}

fn check(list: &Snapshot, now: Timestamp, before: &Told, log: &Log) -> Told {
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
