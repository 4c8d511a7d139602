//! What the clock brings: warnings ahead of the end of a secret, one for each threshold that it passes, by the clock or by a
//! new list; and rotations that can be finished. The log and each receiver are told on their own: who does not keep up is
//! told the rest later, and keeps up nobody.

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

/// Goes on while the instance runs.
pub(super) async fn follow(shared: Arc<Shared>, hooks: Hooks, log: Log) {
    // Of many instances each sees its own callers only: none of them can say that a secret is quiet.
    let sees_all = shared.settings.fleet.instances == Instances::One;
    let ears = std::iter::once(Ear::Log(log)).chain(hooks.each().map(Ear::Hook));
    let mut listeners: Vec<Listener> = ears.map(|ear| Listener::new(ear, sees_all)).collect();
    loop {
        let (list, now) = (shared.snapshot.load_full(), shared.clock.now());
        if listeners.iter().any(|listener| listener.is_due(&list, now)) {
            // A long list takes its time, and this thread accepts connections.
            let check = move || {
                listeners.iter_mut().filter(|listener| listener.is_due(&list, now)).for_each(|l| l.check(&list, now));
                listeners
            };
            let Ok(checked) = tokio::task::spawn_blocking(check).await else { return };
            listeners = checked;
        } else {
            drop(list);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Who is told.
enum Ear {
    Log(Log),
    /// One receiver.
    Hook(Hooks),
}

/// Somebody who is told, and what was told.
struct Listener {
    ear: Ear,
    sees_all: bool,
    /// The list and the time of the last check; nothing where it did not come to its end.
    checked: Option<(u64, Timestamp)>,
    /// Of each secret with this end, the last threshold.
    ends: HashMap<(ClientKey, SecretId, Timestamp), u16>,
    /// Old secrets whose rotation was said to be ready.
    ready: HashSet<(ClientKey, SecretId)>,
}

impl Listener {
    fn new(ear: Ear, sees_all: bool) -> Self {
        Self { ear, sees_all, checked: None, ends: HashMap::new(), ready: HashSet::new() }
    }

    fn is_due(&self, list: &Snapshot, now: Timestamp) -> bool {
        let due = |(generation, at)| generation != list.generation || now.since(at) >= CHECK;
        self.checked.is_none_or(due) && self.has_room()
    }

    fn has_room(&self) -> bool {
        match &self.ear {
            Ear::Log(_) => true,
            Ear::Hook(hooks) => hooks.have_room(),
        }
    }

    fn wants(&self, kind: Kind) -> bool {
        match &self.ear {
            Ear::Log(_) => kind == Kind::SecretExpiring,
            Ear::Hook(hooks) => hooks.wants(kind) && (kind != Kind::RotationReady || self.sees_all),
        }
    }

    /// Tells what is new, as far as there is room.
    fn check(&mut self, list: &Snapshot, now: Timestamp) {
        if self.wants(Kind::SecretExpiring) {
            self.expiring(list, now);
        }
        if self.wants(Kind::RotationReady) {
            self.finishable(list, now);
        }
        self.checked = self.has_room().then_some((list.generation, now));
    }

    fn expiring(&mut self, list: &Snapshot, now: Timestamp) {
        // Whatever state it is in now: what was told of it stays told.
        self.ends.retain(|(client, secret, end), _| {
            let is_it = |record: &Record| record.id == *secret && record.expires == *end;
            list.client(client).is_some_and(|client| client.records.iter().any(is_it))
        });
        let mut lines = 0;
        for client in list.clients.iter().filter(|client| client.enabled) {
            for record in &client.records {
                let Some(days) = record.notice(now) else { continue };
                let key = (client.key.clone(), record.id.clone(), record.expires);
                if self.ends.get(&key) == Some(&days) {
                    continue;
                }
                match &self.ear {
                    Ear::Hook(hooks) if !hooks.have_room() => return,
                    Ear::Hook(hooks) => hooks.tell(&event(client, record, now, What::Expiring(record.expires, days))),
                    Ear::Log(log) => {
                        lines += 1;
                        if lines <= MOST_LINES {
                            warn(log, client, record, now, days);
                        }
                    }
                }
                self.ends.insert(key, days);
            }
        }
        if let Ear::Log(log) = &self.ear
            && lines > MOST_LINES
        {
            let more = lines - MOST_LINES;
            log.warn("more secrets expire soon: see relatch_client_secret_expiry_notice_days", &[("more", &more)]);
        }
    }

    /// Tells of old secrets that have been quiet for long enough, of each once while it is an old one.
    fn finishable(&mut self, list: &Snapshot, now: Timestamp) {
        let Ear::Hook(hooks) = &self.ear else { return };
        self.ready.retain(|(client, secret)| {
            list.client(client).is_some_and(|client| {
                let is_old = client.current(now).is_some_and(|current| current.id != *secret);
                is_old && client.records.iter().any(|record| record.id == *secret)
            })
        });
        let active = |record: &&Record| record.state(now) == SecretState::Active;
        // Most have one secret, and nothing to finish.
        let rotating = |client: &&Arc<Client>| client.records.iter().filter(active).nth(1).is_some();
        for client in list.clients.iter().filter(rotating) {
            if Progress::of(&Holder::of_client(client, usage, now), now) != Progress::Ready {
                continue;
            }
            let current = client.current(now).map(|record| &record.id);
            for record in client.records.iter().filter(active).filter(|record| Some(&record.id) != current) {
                let key = (client.key.clone(), record.id.clone());
                if self.ready.contains(&key) {
                    continue;
                }
                if !hooks.have_room() {
                    return;
                }
                hooks.tell(&event(client, record, now, What::RotationReady));
                self.ready.insert(key);
            }
        }
    }
}

fn warn(log: &Log, client: &Client, record: &Record, now: Timestamp, days: u16) {
    let (expires, left) = (record.expires.rfc3339(), record.expires.since(now).as_secs() / 86_400);
    let rest: [Field<'_>; 4] =
        [("secret_id", &record.id), ("expires", &expires), ("days_left", &left), ("notice_days", &days)];
    log.warn("a secret expires soon", &about(&client.key, &rest));
}

/// What this instance knows of a secret's use, without the callers.
fn usage(record: &Record) -> Usage {
    let uses = &record.uses;
    Usage::Seen {
        tracking_since: uses.tracking_since(),
        last_used: uses.last_used(),
        last_refused: uses.last_refused(),
        uses: uses.uses(),
        from: Vec::new(),
    }
}

fn event(client: &Client, record: &Record, at: Timestamp, what: What) -> Event {
    Event { at, client: client.key.clone(), secret: record.id.clone(), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::build::tests::{NOW, client, good};
    use crate::registry::cells::Seen;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn who_does_not_keep_up_is_told_the_rest_later_and_nothing_twice() {
        let end = format!("expires = {}", NOW.plus(HOUR * 24 * 6).rfc3339());
        let secret = |n: usize| client(&format!("c{n}"), &[("s", &format!("s3cr3t-{n}"), &end)]);
        let list = good(&(0..1200).map(secret).collect::<String>(), None);
        let hooks = Hooks::undelivered(&Kind::ALL);
        let mut listener = Listener::new(Ear::Hook(hooks.clone()), true);
        let mut told = Vec::new();
        for expected in [512, 512, 176] {
            assert!(listener.is_due(&list, NOW));
            listener.check(&list, NOW);
            assert!(!listener.is_due(&list, NOW), "there is no room, or no more to tell");
            let events = hooks.taken();
            assert_eq!(events.len(), expected);
            told.extend(events.into_iter().map(|event| event.client));
        }
        let each: HashSet<_> = told.iter().collect();
        assert_eq!((told.len(), each.len()), (1200, 1200));
        let tomorrow = NOW.plus(HOUR * 24);
        assert!(listener.is_due(&list, tomorrow));
        listener.check(&list, tomorrow);
        assert!(hooks.taken().is_empty(), "no threshold was passed");
        listener.check(&good("", Some(&list)), tomorrow);
        assert!(listener.ends.is_empty(), "what is gone is forgotten");
    }

    #[test]
    fn a_rotation_that_can_be_finished_is_told_once_by_whoever_sees_all_callers() {
        let made = |day: u8| format!("created = 2026-01-0{day}T00:00:00Z");
        let list = good(&client("a", &[("old", "one", &made(1)), ("new", "two", &made(2))]), None);
        for record in &list.clients[0].records {
            record.uses.restore(Seen::since(Timestamp::MIN));
        }
        list.clients[0].records[1].uses.note(NOW);
        for (sees_all, expected) in [(true, &["old"][..]), (false, &[])] {
            let hooks = Hooks::undelivered(&[Kind::RotationReady]);
            let mut listener = Listener::new(Ear::Hook(hooks.clone()), sees_all);
            listener.check(&list, NOW);
            listener.check(&list, NOW);
            let told: Vec<_> = hooks.taken().iter().map(|event| event.secret.to_string()).collect();
            assert_eq!(told, expected);
        }
    }
}
