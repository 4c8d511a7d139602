//! What an operator should look at: the list, and the clients whose rotation wants something done.

use super::ground::{Ground, Hands, View};
use super::object::{AttentionObject, ListObject, StatusObject};
use crate::domain::clock::Timestamp;
use crate::domain::spoken::{ago, named, plural};
use crate::lifecycle::progress::Progress;
use crate::registry::{Client, Record, SecretState, expiry};

pub(super) fn of(ground: &Ground, view: &View) -> StatusObject {
    let list = &view.snapshot;
    let (started_at, in_force, last_reload_at) = match &ground.hands {
        Hands::Instance(instance) => {
            let reload = &instance.metrics.reload;
            (Some(instance.started.rfc3339()), reload.last_successful.get() == 1, Some(reload.last_success.get()))
        }
        Hands::Files(_) => (None, false, None),
    };
    let records = || list.clients.iter().flat_map(|client| client.records().iter().map(move |record| (client, record)));
    StatusObject {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at,
        list: ListObject {
            path: ground.settings.clients.path.display().to_string(),
            generation: list.generation,
            hash: format!("{:012x}", list.hash),
            clients: list.clients.len(),
            secrets: list.secrets(),
            active_secrets: records().filter(|(_, record)| record.state(view.now) == SecretState::Active).count(),
            in_force,
            last_reload_at: last_reload_at.map(|seconds| Timestamp::from_seconds(seconds).rfc3339()),
        },
        attention: list.clients.iter().flat_map(|client| attention(client, view)).collect(),
    }
}

fn attention(client: &Client, view: &View) -> Vec<AttentionObject> {
    let (holder, now) = (&view.holder(client), view.now);
    let about = |what: &str, record: Option<&Record>, next: String| AttentionObject {
        client_id: client.key.id.to_string(),
        tenant: client.key.tenant.to_string(),
        what: what.to_owned(),
        secret_id: record.map(|record| record.id.to_string()),
        next,
    };
    let mut found = Vec::new();
    let id = named(&client.key);
    let progress = Progress::of(holder, now);
    let current = client.current(now);
    match progress {
        Progress::Ready => {
            let old = client
                .records()
                .iter()
                .filter(|r| r.state(now) == SecretState::Active && Some(&r.id) != current.map(|c| &c.id));
            found.extend(old.map(|record| {
                about(progress.as_str(), Some(record), format!("relatch secret revoke {id} {}", record.id))
            }));
        }
        Progress::Stalled => {
            found.push(about(progress.as_str(), current, "it was never used: deploy it, or revoke it".to_owned()));
        }
        Progress::LockedOut if client.enabled => {
            found.push(about(progress.as_str(), None, format!("relatch secret add {id}")));
        }
        Progress::Steady | Progress::Rotating | Progress::Expiring | Progress::LockedOut => {}
    }
    for (record, held) in client.records().iter().zip(&holder.secrets) {
        let end = held.expires.filter(|_| held.state == SecretState::Active);
        if let Some((end, days)) = end.and_then(|end| Some((end, expiry::notice(end, now)?))) {
            let what = format!("expires {} (within {})", ago(end, now), plural(usize::from(days), "day"));
            found.push(about(&what, Some(record), format!("relatch rotate {id}")));
        }
        // One that was only rehearsed is alive again.
        let dead = !matches!(held.state, SecretState::Active | SecretState::Pending);
        let refused = view.refusals(client, record);
        if let Some(last) = refused.from.first().filter(|_| dead) {
            let what = format!("a dead secret ({}) was presented {}", held.state.as_str(), ago(last.at, now));
            let caller = match &*last.user_agent {
                "" => last.address.to_string(),
                agent => format!("{} ({agent})", last.address),
            };
            let times = plural(usize::try_from(refused.count).unwrap_or(usize::MAX), "time");
            found.push(about(&what, Some(record), format!("{times}, last by {caller}: give it the current secret")));
        }
    }
    found
}
