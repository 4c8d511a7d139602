//! Rotations that can be finished, as the receivers of web hooks are told of them: of each old secret once, while it is one.
//!
//! One instance that sees every caller looks at its own counters. One of many asks who knows them all, rarely and for few
//! clients at a time: those whose old secrets are quiet here as well. Each instance tells, and each by the same id.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::notices::event;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientKey, SecretId};
use crate::event::webhook::{Kind, What};
use crate::fleet::{Prometheus, usage};
use crate::hooks::Hooks;
use crate::lifecycle::progress::Progress;
use crate::lifecycle::{Holder, QUIET_FOR, Usage};
use crate::log::Log;
use crate::proxy::Shared;
use crate::registry::{Client, Record, SecretState, Snapshot};

/// How often the fleet is asked. Who waits for a day of quiet can wait for this.
const EVERY: Duration = Duration::from_secs(600);
/// Clients that are asked for in one round, one after the other; the next round goes on with those that follow.
const MOST_ASKED: usize = 50;

/// What one receiver is told.
pub(super) struct Ready {
    hooks: Hooks,
    /// Old secrets of which it was.
    told: HashSet<(ClientKey, SecretId)>,
}

impl Ready {
    /// Nothing for who does not want to be told.
    pub(super) fn of(hooks: &Hooks) -> Option<Self> {
        hooks.wants(Kind::RotationReady).then(|| Self { hooks: hooks.clone(), told: HashSet::new() })
    }

    /// Tells what is new by the counters of this instance, as far as there is room.
    pub(super) fn look(&mut self, list: &Snapshot, now: Timestamp) {
        self.forget(list, now);
        for client in list.clients.iter().filter(|client| is_rotating(client, now)) {
            if !self.hooks.have_room() {
                return;
            }
            self.tell(client, now, own);
        }
    }

    fn tell(&mut self, client: &Client, now: Timestamp, usage: impl Fn(&Record) -> Usage) {
        if Progress::of(&Holder::of_client(client, usage, now), now) != Progress::Ready {
            return;
        }
        let Some(current) = client.current(now) else { return };
        for record in old(client, now) {
            let key = (client.key.clone(), record.id.clone());
            if !self.told.contains(&key) && self.hooks.have_room() {
                self.hooks.tell(&event(client, record, now, What::RotationReady(current.id.clone())));
                self.told.insert(key);
            }
        }
    }

    /// What is not an old secret any more may become one again.
    fn forget(&mut self, list: &Snapshot, now: Timestamp) {
        self.told.retain(|(client, secret)| {
            list.client(client).is_some_and(|client| {
                let is_old = client.current(now).is_some_and(|current| current.id != *secret);
                is_old && client.records().iter().any(|record| record.id == *secret)
            })
        });
    }

    /// Whether there is something of a client that it was not told, and room for it.
    fn waits_for(&self, client: &Client, now: Timestamp) -> bool {
        let known = |record: &Record| self.told.contains(&(client.key.clone(), record.id.clone()));
        self.hooks.have_room() && old(client, now).any(|record| !known(record))
    }
}

/// Goes on while an instance of many runs, and leaves what cannot be known untold.
pub(super) async fn follow(shared: Arc<Shared>, hooks: Hooks, log: Log) {
    let Some(prometheus) = Prometheus::of(&shared.settings.fleet) else { return };
    let mut receivers: Vec<Ready> = hooks.each().filter_map(|hooks| Ready::of(&hooks)).collect();
    if receivers.is_empty() {
        return;
    }
    let (mut asked, mut troubled) = (0, false);
    loop {
        let (list, now) = (shared.snapshot.load_full(), shared.clock.now());
        let prometheus = prometheus.clone().with_tenants(list.has_tenants());
        // A long list takes its time, and this thread accepts connections.
        let find = move || {
            receivers.iter_mut().for_each(|receiver| receiver.forget(&list, now));
            let found = in_question(&receivers, &list, now, asked);
            (receivers, found)
        };
        let Ok((back, found)) = tokio::task::spawn_blocking(find).await else { return };
        receivers = back;
        asked += found.len();
        let mut trouble = None;
        for client in found {
            match prometheus.client(&client.key).await {
                Ok(uses) => receivers
                    .iter_mut()
                    .for_each(|receiver| receiver.tell(&client, now, |record| usage(Some(&uses), record))),
                Err(why) => {
                    trouble = Some(why);
                    break;
                }
            }
        }
        if let (Some(why), false) = (&trouble, troubled) {
            let next = "asked again every ten minutes; `relatch status` asks as well";
            log.warn("rotations that can be finished are not known", &[("reason", why), ("next", &next)]);
        }
        troubled = trouble.is_some();
        tokio::time::sleep(EVERY).await;
    }
}

/// Clients whose old secrets are quiet as far as this instance knows, and of which somebody was not told: some of them,
/// others each time.
fn in_question(receivers: &[Ready], list: &Snapshot, now: Timestamp, asked: usize) -> Vec<Client> {
    let is_quiet = |record: &Record| own(record).quiet_since().is_some_and(|since| now.since(since) >= QUIET_FOR);
    let is_open = |client: &&Client| {
        is_rotating(client, now)
            && old(client, now).all(is_quiet)
            && receivers.iter().any(|receiver| receiver.waits_for(client, now))
    };
    let mut open: Vec<_> = list.clients.iter().filter(is_open).cloned().collect();
    let first = asked.checked_rem(open.len()).unwrap_or(0);
    open.rotate_left(first);
    open.truncate(MOST_ASKED);
    open
}

/// Most have one secret, and nothing to finish.
fn is_rotating(client: &Client, now: Timestamp) -> bool {
    client.enabled && active(client, now).nth(1).is_some()
}

fn active(client: &Client, now: Timestamp) -> impl Iterator<Item = &Record> {
    client.records().iter().filter(move |record| record.state(now) == SecretState::Active)
}

fn old(client: &Client, now: Timestamp) -> impl Iterator<Item = &Record> {
    let current = client.current(now).map(|record| &record.id);
    active(client, now).filter(move |record| Some(&record.id) != current)
}

/// What this instance knows of a secret's use, without the callers.
fn own(record: &Record) -> Usage {
    let uses = &record.uses;
    Usage::Seen {
        tracking_since: uses.tracking_since(),
        last_used: uses.last_used(),
        last_refused: uses.last_refused(),
        uses: uses.uses(),
        from: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{ClientUse, FleetUse};
    use crate::registry::build::tests::{NOW, client, good};
    use crate::registry::cells::Seen;

    const HOUR: Duration = Duration::from_secs(3600);

    /// A rotation of each of these clients, of which this instance has seen the new secret alone.
    fn rotating(clients: &[&str]) -> Snapshot {
        let made = |day: u8| format!("created = 2026-01-0{day}T00:00:00Z");
        let pair = |id: &&str| {
            client(id, &[("old", &format!("one of {id}"), &made(1)), ("new", &format!("two of {id}"), &made(2))])
        };
        let list = good(&clients.iter().map(pair).collect::<String>(), None);
        for record in list.clients.iter().flat_map(|client| client.records()) {
            record.uses.restore(Seen::since(Timestamp::MIN));
        }
        list.clients.iter().for_each(|client| client.records()[1].uses.note(NOW));
        list
    }

    fn told(hooks: &Hooks) -> Vec<(String, What)> {
        hooks.taken().into_iter().map(|event| (event.about.unwrap().secret.to_string(), event.what)).collect()
    }

    fn new() -> What {
        What::RotationReady(SecretId::parse("new").unwrap())
    }

    #[test]
    fn a_rotation_that_can_be_finished_is_told_once() {
        let (list, hooks) = (rotating(&["a"]), Hooks::undelivered(&[Kind::RotationReady]));
        let mut ready = Ready::of(&hooks).unwrap();
        ready.look(&list, NOW);
        ready.look(&list, NOW);
        assert_eq!(told(&hooks), [("old".to_owned(), new())]);
        assert!(Ready::of(&Hooks::undelivered(&[Kind::SecretAdded])).is_none());
    }

    #[test]
    fn of_many_instances_one_tells_what_is_quiet_at_all_of_them() {
        let list = rotating(&["a"]);
        let known = |old: Option<Duration>, new: Option<Duration>| {
            let one = |ago: Duration| FleetUse {
                last_used: Some(Timestamp::from_millis(NOW.millis() - ago.as_millis() as u64)),
                uses: 1,
                tracking_since: Timestamp::MIN,
            };
            let each = [("old", old), ("new", new)];
            let id = |id: &str| SecretId::parse(id).unwrap();
            each.into_iter().filter_map(|(name, ago)| Some((id(name), one(ago?)))).collect::<ClientUse>()
        };
        for (old, new_one, expected) in [
            (Some(HOUR * 30), Some(HOUR), 1),
            (Some(HOUR), Some(HOUR), 0),
            (None, Some(HOUR), 0),
            (Some(HOUR * 30), None, 0),
        ] {
            let hooks = Hooks::undelivered(&[Kind::RotationReady]);
            let mut ready = Ready::of(&hooks).unwrap();
            for _ in 0..2 {
                ready.tell(&list.clients[0], NOW, |record| usage(Some(&known(old, new_one)), record));
            }
            assert_eq!(told(&hooks).len(), expected, "{old:?} {new_one:?}");
        }
    }

    #[test]
    fn few_are_asked_for_at_a_time_and_in_the_end_all_that_may_be_ready() {
        let names: Vec<String> = (0..120).map(|number| format!("c{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let list = rotating(&names);
        let hooks = Hooks::undelivered(&[Kind::RotationReady]);
        let mut receivers = [Ready::of(&hooks).unwrap()];
        let (mut asked, mut seen) = (0, HashSet::new());
        for _ in 0..3 {
            let found = in_question(&receivers, &list, NOW, asked);
            assert_eq!(found.len(), MOST_ASKED);
            asked += found.len();
            seen.extend(found.iter().map(|client| client.key.clone()));
        }
        assert_eq!(seen.len(), 120);
        // One that is in use here needs no question, nor one that was told.
        list.clients[0].records()[0].uses.note(NOW);
        receivers[0].tell(&list.clients[1], NOW, own);
        let keys = |found: Vec<Client>| found.iter().map(|client| client.key.id.to_string()).collect::<Vec<_>>();
        assert_eq!(keys(in_question(&receivers, &list, NOW, 0))[0], "c2");
    }
}
