//! Whatever happens, and at whichever door, no rule is broken.

use proptest::prelude::*;

use super::*;

/// One thing that happens: a door is asked something, time passes, or a secret is used.
#[derive(Clone, Debug)]
enum Event {
    Ask { what: u8, which: usize, hours: u64, force: bool },
    Wait { hours: u64 },
    Use { which: usize },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let ask = (0u8..10, 0usize..6, 0u64..60, prop::bool::weighted(0.1))
        .prop_map(|(what, which, hours, force)| Event::Ask { what, which, hours, force });
    let wait = (1u64..80).prop_map(|hours| Event::Wait { hours });
    let used = (0usize..6).prop_map(|which| Event::Use { which });
    prop::collection::vec(prop_oneof![5 => ask, 3 => wait, 2 => used], 1..60)
}

/// A client in a file, the uses of its secrets, and the time.
struct World {
    text: String,
    now: Timestamp,
    used: std::collections::HashMap<SecretId, Timestamp>,
    added: std::collections::HashMap<SecretId, Timestamp>,
    made: usize,
}

impl World {
    fn holder(&self) -> Option<Holder> {
        let (list, problems) = ClientList::parse(Doc { name: "f", text: &self.text }, Language::Toml, 0);
        assert!(problems.errors.is_empty(), "{:?}\n{}", problems.errors, self.text);
        let usage = |secret: &SecretEntry| Usage::Seen {
            tracking_since: self.added.get(&secret.id).copied().unwrap_or(Timestamp::MIN),
            last_used: self.used.get(&secret.id).copied(),
            last_refused: None,
            uses: 1,
            from: Vec::new(),
        };
        list.unwrap().clients.first().map(|client| Holder::of(client, usage, self.now))
    }

    fn ask(&mut self, what: u8, which: usize, hours: u64, force: bool) {
        let Some(was) = self.holder() else { return };
        let Some(secret) = was.secrets.get(which % was.secrets.len().max(1)).map(|held| held.id.clone()) else {
            return;
        };
        let then = self.now.plus(HOUR * u32::try_from(hours).unwrap());
        let made = {
            self.made += 1;
            let not_before = (hours % 3 == 1).then(|| then.rfc3339());
            NewSecret { not_before, created: self.now.rfc3339(), ..new(&format!("sec_{}", self.made)) }
        };
        let action = match what {
            0 => Action::Add(made),
            1 => Action::Rotate { secret: made, grace: None },
            2 => Action::Rotate { secret: made, grace: Some(HOUR * u32::try_from(hours).unwrap()) },
            3 => Action::Disable(secret),
            4 => Action::Enable(secret),
            5 => Action::Expire(secret, then),
            6 => Action::Revoke(secret),
            7 => Action::Rehearse(secret, self.now.plus(HOUR)),
            8 => Action::SetEnabled(hours.is_multiple_of(2)),
            _ => Action::RemoveClient,
        };
        let policy = Policy { force, ..Policy::at(self.now) };
        let Ok(plan) = decide(&client(), Some(&was), action.clone(), &policy) else { return };
        self.text = edit::apply(&self.text, Language::Toml, &plan.edits).unwrap();
        for edit in &plan.edits {
            if let Edit::AddSecret { secret, .. } = edit {
                assert!(self.text.contains(&secret.hash), "a secret that was shown is not in the file");
                self.added.insert(secret.id.clone(), self.now);
            }
        }
        match self.holder() {
            Some(is) => self.check(&was, &is, &action, force),
            None => assert!(force || was.usable().next().is_none(), "the client went with a usable secret"),
        }
    }

    fn check(&self, was: &Holder, is: &Holder, action: &Action, force: bool) {
        assert!(is.active() <= is.max_active.max(was.active()), "{action:?} lifted the client above its limit");
        for held in &was.secrets {
            assert!(is.secrets.iter().any(|other| other.id == held.id), "{action:?} dropped {}", held.id);
            assert!(held.state != SecretState::Revoked || is.secret(&held.id).unwrap().state == SecretState::Revoked);
        }
        if force {
            return;
        }
        let still = |held: &Held| is.usable().find(|other| other.id == held.id);
        for held in was.usable() {
            let taken = still(held).is_none_or(|now| now.expires < held.expires && now.expires.is_some());
            let recently = held.usage.quiet_since().is_none_or(|since| self.now.since(since) < QUIET_FOR);
            assert!(
                !(taken && recently && still(held).is_none_or(|now| now.expires != held.expires)),
                "{action:?} took {} away",
                held.id
            );
        }
        assert!(was.usable().next().is_none() || is.usable().next().is_some(), "{action:?} locked the client out");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_door_breaks_a_rule_whatever_happens(events in events()) {
        let hash = hash::write(&hash::sha256(b"first"));
        let mut world = World {
            text: format!("# billing\n[[client]]\nid = \"billing\"\n[[client.secret]]\nid = \"first\"\nhash = \"{hash}\"\n"),
            now: now(),
            used: Default::default(),
            added: Default::default(),
            made: 0,
        };
        for event in events {
            match event {
                Event::Ask { what, which, hours, force } => world.ask(what, which, hours, force),
                Event::Wait { hours } => world.now = world.now.plus(HOUR * u32::try_from(hours).unwrap()),
                Event::Use { which } => {
                    let holder = world.holder();
                    let used = holder.iter().flat_map(Holder::usable).nth(which).map(|held| held.id.clone());
                    used.into_iter().for_each(|id| { world.used.insert(id, world.now); });
                }
            }
        }
    }
}
