//! What the clock brings: warnings ahead of the end of a secret, one for each threshold that it passes, by the clock or by a
//! new list; and rotations that can be finished. The log and each receiver are told on their own: who does not keep up is
//! told the rest later, and keeps up nobody.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::ready::Ready;
use crate::config::settings::operation::Instances;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientKey, SecretId};
use crate::event::webhook::{Event, Kind, What};
use crate::hooks::Hooks;
use crate::log::{Field, Log, about};
use crate::proxy::Shared;
use crate::registry::{Client, Record, Snapshot};

/// How soon a new list is noticed, and how often the clock is asked.
const LOOK: Duration = Duration::from_secs(1);
const CHECK: Duration = Duration::from_secs(60);
/// Lines of one check; the metrics tell all of them.
const MOST_LINES: usize = 100;

/// Goes on while the instance runs.
pub(super) async fn follow(shared: Arc<Shared>, hooks: Hooks, log: Log) {
    // Of many instances each sees its own callers only: they ask who knows all, and less often.
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
    /// What it is told of rotations, by an instance that sees all callers.
    ready: Option<Ready>,
    /// The list and the time of the last check; nothing where it did not come to its end.
    checked: Option<(u64, Timestamp)>,
    /// Of each secret with this end, the last threshold.
    ends: HashMap<(ClientKey, SecretId, Timestamp), u16>,
}

impl Listener {
    fn new(ear: Ear, sees_all: bool) -> Self {
        let ready = match &ear {
            Ear::Hook(hooks) if sees_all => Ready::of(hooks),
            Ear::Hook(_) | Ear::Log(_) => None,
        };
        Self { ear, ready, checked: None, ends: HashMap::new() }
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

    fn wants_ends(&self) -> bool {
        match &self.ear {
            Ear::Log(_) => true,
            Ear::Hook(hooks) => hooks.wants(Kind::SecretExpiring),
        }
    }

    /// Tells what is new, as far as there is room.
    fn check(&mut self, list: &Snapshot, now: Timestamp) {
        if self.wants_ends() {
            self.expiring(list, now);
        }
        if let Some(ready) = &mut self.ready {
            ready.look(list, now);
        }
        self.checked = self.has_room().then_some((list.generation, now));
    }

    fn expiring(&mut self, list: &Snapshot, now: Timestamp) {
        // Whatever state it is in now: what was told of it stays told.
        self.ends.retain(|(client, secret, end), _| {
            let is_it = |record: &Record| record.id == *secret && record.expires == *end;
            list.client(client).is_some_and(|client| client.records().iter().any(is_it))
        });
        let mut lines = 0;
        for client in list.clients.iter().filter(|client| client.enabled) {
            for record in client.records() {
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
}

fn warn(log: &Log, client: &Client, record: &Record, now: Timestamp, days: u16) {
    let (expires, left) = (record.expires.rfc3339(), record.expires.since(now).as_secs() / 86_400);
    let rest: [Field<'_>; 4] =
        [("secret_id", &record.id), ("expires", &expires), ("days_left", &left), ("notice_days", &days)];
    log.warn("a secret expires soon", &about(&client.key, &rest));
}

pub(super) fn event(client: &Client, record: &Record, at: Timestamp, what: What) -> Event {
    Event::of(at, client.key.clone(), record.id.clone(), what)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::registry::build::tests::{NOW, client, good};

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
            told.extend(events.into_iter().map(|event| event.about.unwrap().client));
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
}
