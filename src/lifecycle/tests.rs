mod model;

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
        (vec![made("a", 90, seen(Some(HOUR * 30))), made("b", 1, Usage::Unknown(String::new()))], Progress::Rotating),
        (vec![made("a", 90, hot()), made("b", 8, seen(None))], Progress::Stalled),
    ] {
        assert_eq!(Progress::of(&holder(secrets.clone()), now()), expected, "{secrets:?}");
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
