use proptest::prelude::*;

use super::progress::Progress;
use super::*;
use crate::config::clients::{ClientList, SecretEntry};
use crate::config::edit;
use crate::config::tree::{Doc, Language};
use crate::config::values;
use crate::domain::ids::ClientId;
use crate::hash;
use crate::registry::cells::Sighting;

const HOUR: Duration = Duration::from_secs(3600);

fn id(text: &str) -> SecretId {
    SecretId::parse(text).unwrap()
}

fn client() -> ClientKey {
    ClientKey::from(ClientId::parse("billing").unwrap())
}

fn at(text: &str) -> Timestamp {
    values::timestamp(text).unwrap()
}

fn now() -> Timestamp {
    at("2026-11-21T12:00:00Z")
}

fn before(by: Duration) -> Timestamp {
    Timestamp::from_millis(now().millis() - u64::try_from(by.as_millis()).unwrap())
}

fn seen(last_used: Option<Duration>) -> Usage {
    let tracking_since = before(HOUR * 24 * 30);
    Usage::Seen { tracking_since, last_used: last_used.map(before), last_refused: None, uses: 8123, from: Vec::new() }
}

fn held(name: &str, state: SecretState, usage: Usage) -> Held {
    Held {
        id: id(name),
        state,
        created: None,
        not_before: None,
        expires: None,
        refused_until: None,
        marked: false,
        usage,
    }
}

fn new(name: &str) -> NewSecret {
    NewSecret {
        id: id(name),
        name: String::new(),
        hash: hash::write(&hash::sha256(name.as_bytes())),
        hint: None,
        created: now().rfc3339(),
        not_before: None,
        expires: None,
    }
}

fn holder(secrets: Vec<Held>) -> Holder {
    Holder { key: client(), enabled: true, max_active: 2, secrets }
}

/// `hot` was used a minute ago, `quiet` two days ago; the others are what they are called.
fn billing() -> Holder {
    use SecretState::*;
    holder(vec![
        held("hot", Active, seen(Some(Duration::from_secs(60)))),
        held("quiet", Active, seen(Some(HOUR * 48))),
        held("off", Disabled, seen(None)),
        held("gone", Revoked, seen(None)),
        held("past", Expired, seen(None)),
    ])
}

fn set(enabled: Option<bool>, max_active: Option<usize>) -> Action {
    Action::SetClient(ClientChange { enabled, max_active, name: None })
}

fn code(holder: &Holder, action: Action, policy: Policy) -> String {
    match decide(&client(), Some(holder), action, &policy) {
        Ok(plan) if plan.edits.is_empty() => "nothing to do".to_owned(),
        Ok(_) => "done".to_owned(),
        Err(refused) => {
            let text = refused.to_string();
            assert!(text.contains("\n  Nothing was changed"), "{text}");
            refused.code().to_owned()
        }
    }
}

#[test]
fn each_rule_says_what_it_says() {
    let policy = Policy::at(now());
    let forced = Policy { force: true, ..policy };
    let (day, past) = (now().plus(HOUR * 24), before(HOUR));
    for (action, plain, force) in [
        (Action::Revoke(id("hot")), "recently_used", "done"),
        (Action::Revoke(id("quiet")), "done", "done"),
        (Action::Revoke(id("off")), "done", "done"),
        (Action::Revoke(id("past")), "done", "done"),
        (Action::Revoke(id("gone")), "nothing to do", "nothing to do"),
        (Action::Revoke(id("nobody")), "no_such_secret", "no_such_secret"),
        (Action::RevokeCompromised(id("hot")), "done", "done"),
        (Action::RevokeCompromised(id("gone")), "done", "done"),
        (Action::Disable(id("hot")), "recently_used", "done"),
        (Action::Disable(id("quiet")), "done", "done"),
        (Action::Disable(id("off")), "nothing to do", "nothing to do"),
        (Action::Disable(id("gone")), "revoked", "revoked"),
        (Action::Enable(id("hot")), "nothing to do", "nothing to do"),
        (Action::Enable(id("off")), "at_limit", "at_limit"),
        (Action::Enable(id("gone")), "revoked", "revoked"),
        (Action::Enable(id("past")), "expired", "expired"),
        (Action::Expire(id("hot"), day), "recently_used", "done"),
        (Action::Expire(id("quiet"), day), "done", "done"),
        (Action::Expire(id("past"), day), "expired", "expired"),
        (Action::Expire(id("past"), past), "nothing to do", "nothing to do"),
        (Action::Expire(id("gone"), day), "revoked", "revoked"),
        (Action::Rehearse(id("hot"), now().plus(HOUR)), "recently_used", "done"),
        (Action::Rehearse(id("quiet"), now().plus(HOUR)), "done", "done"),
        (Action::Rehearse(id("quiet"), now().plus(HOUR * 2)), "invalid", "invalid"),
        (Action::Rehearse(id("quiet"), now()), "invalid", "invalid"),
        (Action::Rehearse(id("off"), now().plus(HOUR)), "not_active", "not_active"),
        (Action::Add(new("next")), "at_limit", "at_limit"),
        (Action::Rotate { secret: new("next"), grace: None }, "at_limit", "at_limit"),
        (Action::RevokePrevious, "recently_used", "done"),
        (Action::SetEnabled(true), "nothing to do", "nothing to do"),
        (Action::SetEnabled(false), "last_usable_secret", "done"),
        (set(Some(false), None), "last_usable_secret", "done"),
        (set(None, Some(1)), "done", "done"),
        (set(None, Some(9)), "invalid", "invalid"),
        (set(None, None), "nothing to do", "nothing to do"),
        (Action::RemoveClient, "last_usable_secret", "done"),
    ] {
        assert_eq!(code(&billing(), action.clone(), policy), plain, "{action:?}");
        assert_eq!(code(&billing(), action.clone(), forced), force, "{action:?} forced");
    }
}

#[test]
fn the_last_usable_secret_stays() {
    let policy = Policy { quiet_for: Duration::ZERO, ..Policy::at(now()) };
    let alone = holder(vec![
        held("one", SecretState::Active, seen(None)),
        held("late", SecretState::Pending, seen(None)),
        held("off", SecretState::Disabled, seen(None)),
    ]);
    for action in [
        Action::Revoke(id("one")),
        Action::Disable(id("one")),
        Action::Expire(id("one"), now()),
        Action::Rehearse(id("one"), now().plus(HOUR)),
    ] {
        assert_eq!(code(&alone, action.clone(), policy), "last_usable_secret", "{action:?}");
    }
    assert_eq!(code(&alone, Action::Revoke(id("late")), policy), "done");
    // A client that is switched off has no usable secret to lose.
    assert_eq!(code(&Holder { enabled: false, ..alone }, Action::Revoke(id("one")), policy), "done");
}

#[test]
fn not_observed_is_not_never_used() {
    let fresh =
        Usage::Seen { tracking_since: before(HOUR), last_used: None, last_refused: None, uses: 0, from: Vec::new() };
    let restarted = Usage::Seen {
        tracking_since: before(HOUR),
        last_used: Some(before(HOUR * 48)),
        last_refused: None,
        uses: 3,
        from: Vec::new(),
    };
    for (usage, expected) in [
        (fresh, "not_observed"),
        (restarted, "not_observed"),
        (Usage::Unknown("no instance answers".to_owned()), "use_unknown"),
        (seen(None), "done"),
        (seen(Some(HOUR * 23)), "recently_used"),
        (seen(Some(HOUR * 24)), "done"),
    ] {
        let holder =
            holder(vec![held("old", SecretState::Active, usage.clone()), held("new", SecretState::Active, seen(None))]);
        assert_eq!(code(&holder, Action::Revoke(id("old")), Policy::at(now())), expected, "{usage:?}");
    }
}

#[test]
fn whoever_is_refused_uses_it_all_the_same() {
    let Usage::Seen { tracking_since, uses, from, .. } = seen(None) else { panic!() };
    let last_refused = Some(before(HOUR));
    let usage = Usage::Seen { tracking_since, last_used: Some(before(HOUR * 48)), last_refused, uses, from };
    let holder = holder(vec![held("old", SecretState::Active, usage), held("new", SecretState::Active, seen(None))]);
    let refused = decide(&client(), Some(&holder), Action::Revoke(id("old")), &Policy::at(now())).unwrap_err();
    assert!(refused.to_string().starts_with("old was presented (and refused) 1 h ago"), "{refused}");
}

#[test]
fn a_rehearsed_secret_is_counted_on_at_every_door_and_its_end_undoes_nothing_else() {
    let hot = || seen(Some(Duration::from_secs(60)));
    let rehearsed = |state| Held { refused_until: Some(now().plus(HOUR)), marked: true, ..held("old", state, hot()) };
    let holder = |old| Holder { max_active: 3, ..holder(vec![old, held("new", SecretState::Active, seen(None))]) };
    let policy = Policy::at(now());
    let during = holder(rehearsed(SecretState::Disabled));
    let rotate = Action::Rotate { secret: new("next"), grace: Some(Duration::ZERO) };
    for (action, expected) in [
        (rotate, "recently_used"),
        (Action::RemoveClient, "last_usable_secret"),
        (Action::SetEnabled(false), "last_usable_secret"),
        (Action::EndRehearsal(id("old")), "done"),
        (Action::EndRehearsal(id("new")), "nothing to do"),
    ] {
        assert_eq!(code(&during, action.clone(), policy), expected, "{action:?}");
    }
    let disabled = Held { marked: false, ..held("old", SecretState::Disabled, hot()) };
    assert_eq!(code(&holder(disabled), Action::EndRehearsal(id("old")), policy), "nothing to do");
}

#[test]
fn pending_and_rehearsed_secrets_take_a_place() {
    let mut holder =
        holder(vec![held("one", SecretState::Active, seen(None)), held("two", SecretState::Pending, seen(None))]);
    assert_eq!(code(&holder, Action::Add(new("next")), Policy::at(now())), "at_limit");
    holder.secrets[1].state = SecretState::Disabled;
    assert_eq!(code(&holder, Action::Add(new("next")), Policy::at(now())), "done");
    holder.secrets[1].refused_until = Some(now().plus(HOUR));
    assert_eq!(code(&holder, Action::Add(new("next")), Policy::at(now())), "at_limit");
    assert_eq!(code(&holder, Action::Enable(id("two")), Policy::at(now())), "done");
}

#[test]
fn at_the_limit_the_one_to_revoke_is_the_quietest() {
    let Err(refused) = decide(&client(), Some(&billing()), Action::Add(new("next")), &Policy::at(now())) else {
        panic!("added above the limit")
    };
    assert!(refused.to_string().contains("`relatch secret revoke billing quiet`"), "{refused}");
}

#[test]
fn a_rotation_with_an_end_passes_the_guard() {
    let rotate = |usage, grace| {
        let holder = holder(vec![held("old", SecretState::Active, usage)]);
        code(&holder, Action::Rotate { secret: new("next"), grace }, Policy::at(now()))
    };
    assert_eq!(rotate(seen(Some(HOUR)), None), "done");
    assert_eq!(rotate(seen(Some(HOUR)), Some(HOUR * 24 * 7)), "recently_used");
    assert_eq!(rotate(seen(Some(HOUR)), Some(Duration::ZERO)), "recently_used");
    assert_eq!(rotate(seen(Some(HOUR * 30)), Some(Duration::ZERO)), "done");
}

#[test]
fn windows_make_sense() {
    let empty = holder(Vec::new());
    let with = |not_before: Option<Timestamp>, expires: Option<Timestamp>| {
        let text = |at: Option<Timestamp>| at.map(Timestamp::rfc3339);
        let secret = NewSecret { not_before: text(not_before), expires: text(expires), ..new("next") };
        let added = code(&empty, Action::Add(secret.clone()), Policy::at(now()));
        let secrets = vec![secret];
        let first = NewClient { key: client(), name: String::new(), upstream_secret_files: Vec::new(), secrets };
        let came = decide(&client(), None, Action::AddClient(first), &Policy::at(now()));
        assert_eq!(added == "done", came.is_ok(), "the first secret has no rules of its own");
        added
    };
    let later = |hours| Some(now().plus(HOUR * hours));
    assert_eq!(with(None, later(1)), "done");
    assert_eq!(with(later(1), later(2)), "done");
    assert_eq!(with(None, Some(now())), "invalid");
    assert_eq!(with(later(2), later(2)), "invalid");
}

#[test]
fn the_guard_names_when_who_and_how_often() {
    let sighting = |address: &str, agent: &str| Sighting {
        address: address.parse().unwrap(),
        user_agent: agent.into(),
        method: crate::domain::oauth::AuthMethod::Basic,
        at: now(),
    };
    let usage = Usage::Seen {
        tracking_since: Timestamp::MIN,
        last_used: Some(before(Duration::from_secs(60))),
        last_refused: None,
        uses: 8123,
        from: vec![sighting("10.0.3.9", ""), sighting("10.0.3.7", "curl/8.5")],
    };
    let holder =
        holder(vec![held("sec_2d9x4k7m1q", SecretState::Active, usage), held("new", SecretState::Active, seen(None))]);
    let refused = decide(&client(), Some(&holder), Action::Revoke(id("sec_2d9x4k7m1q")), &Policy::at(now()));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "sec_2d9x4k7m1q was used 1 min ago by 2 addresses (10.0.3.7, 10.0.3.9)\n  \
         Nothing was changed. Wait until it is quiet for 24h, or use --force.\n  \
         8,123 uses in all; last: 10.0.3.7 (curl/8.5)"
    );
}

#[test]
fn where_a_rotation_stands() {
    use SecretState::Active;
    let made = |name, days: u64, usage| Held {
        created: Some(before(HOUR * 24 * u32::try_from(days).unwrap())),
        ..held(name, Active, usage)
    };
    let hot = || seen(Some(HOUR));
    for (secrets, expected) in [
        (vec![], Progress::LockedOut),
        (vec![made("a", 90, hot())], Progress::Steady),
        (vec![Held { expires: Some(now().plus(HOUR)), ..made("a", 90, hot()) }], Progress::Expiring),
        (vec![made("a", 90, hot()), made("b", 1, hot())], Progress::Rotating),
        (vec![made("a", 90, seen(Some(HOUR * 30))), made("b", 1, hot())], Progress::Ready),
        (vec![made("a", 90, seen(Some(HOUR * 30))), made("b", 1, seen(None))], Progress::Rotating),
        (vec![made("a", 90, hot()), made("b", 8, seen(None))], Progress::Stalled),
    ] {
        assert_eq!(Progress::of(&holder(secrets.clone()), now()), expected, "{secrets:?}");
    }
}

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

#[test]
fn a_rotation_is_finished_for_every_secret_before_the_newest_or_for_none() {
    use SecretState::*;
    let made = |name, state, day: u32, usage| Held {
        created: Some(at(&format!("2026-10-{day:02}T00:00:00Z"))),
        ..held(name, state, usage)
    };
    let quiet = || seen(Some(HOUR * 48));
    let secrets = |first: Usage| {
        vec![
            made("first", Active, 1, first),
            made("newest", Active, 9, seen(Some(Duration::from_secs(60)))),
            made("off", Disabled, 2, quiet()),
            made("later", Pending, 10, quiet()),
            made("past", Expired, 3, quiet()),
            made("gone", Revoked, 4, quiet()),
            made("second", Active, 5, quiet()),
        ]
    };
    let policy = Policy::at(now());
    let going = |holder: &Holder| -> Vec<String> {
        let plan = decide(&client(), Some(holder), Action::RevokePrevious, &policy).unwrap();
        let id = |edit: &Edit| match edit {
            Edit::SetSecret { secret, set, .. } if set.contains(&("status", Some(text("revoked")))) => {
                secret.to_string()
            }
            other => panic!("{other:?}"),
        };
        plan.edits.iter().map(id).collect()
    };
    assert_eq!(going(&holder(secrets(quiet()))), ["first", "off", "second"]);
    assert_eq!(going(&Holder { enabled: false, ..holder(secrets(quiet())) }), ["first", "off", "second"]);
    let used = holder(secrets(seen(Some(HOUR))));
    assert_eq!(code(&used, Action::RevokePrevious, policy), "recently_used");
    assert_eq!(code(&used, Action::RevokePrevious, Policy { force: true, ..policy }), "done");
    // Where none is accepted none is the newest.
    let dark = holder(vec![made("off", Disabled, 1, quiet()), made("later", Pending, 2, quiet())]);
    assert!(going(&dark).is_empty());
}
