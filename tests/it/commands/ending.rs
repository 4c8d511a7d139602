//! Secrets on their way out, and dead ones that are presented.

use super::{LIST, OLD, Place};

#[test]
fn a_compromised_secret_ends_at_once_and_its_users_are_told() {
    let place = Place::with(LIST, true);
    assert_eq!(place.ask_as("billing", OLD, "thief/1"), 200);
    let ran = place.done(&["secret", "revoke", "billing", "old", "--compromised"]);
    assert!(ran.out.contains("Used 1 time since") && ran.out.contains("127.0.0.7  thief/1"), "{ran:?}");
    assert!(place.list().contains("revoked_reason = \"compromised\"") && place.list().contains("revoked_at"));
    assert_eq!(place.ask("billing", OLD), 401);
    let place = Place::new(LIST);
    let ran = place.done(&["secret", "revoke", "billing", "old", "--compromised"]);
    assert!(ran.out.contains("Who used it is not known"), "{ran:?}");
    assert_eq!(place.ask("billing", OLD), 401);
}

#[test]
fn a_dead_secret_that_is_presented_is_seen_everywhere() {
    let place = Place::with(LIST, true);
    place.done(&["secret", "revoke", "billing", "old", "--force"]);
    assert_eq!(place.ask_as("billing", OLD, "forgotten-cron/3"), 401);
    let labels = [("client_id", "billing"), ("result", "revoked_secret")];
    assert_eq!(place.metric("relatch_client_authentications_total", &labels), Some(1.0));
    for command in [&["client", "show", "billing"][..], &["status"]] {
        let ran = place.done(command);
        assert!(ran.out.contains("127.0.0.7") && ran.out.contains("forgotten-cron/3"), "{ran:?}");
    }
    let listed = place.json(&["secret", "list", "billing"]);
    assert_eq!(
        (&listed[0]["refused_count"], &listed[0]["refused_from"][0]["user_agent"]),
        (&1.into(), &"forgotten-cron/3".into())
    );
    let log = place.stop(rustix::process::Signal::TERM);
    assert!(log.contains("a revoked secret was presented") && !log.contains(OLD), "{log}");
    // Known after the end of the instance too: from what it wrote down.
    let listed = place.json(&["secret", "list", "billing"]);
    assert_eq!(listed[0]["status"], "revoked");
}

#[test]
fn each_step_does_what_it_says_and_a_revoked_one_never_comes_back() {
    for instance in [true, false] {
        let place = Place::with(LIST, instance);
        place.make(&["secret", "add", "billing"]);
        let status = || place.json(&["secret", "list", "billing"])[1]["status"].as_str().unwrap().to_owned();
        for (step, then) in [
            (&["disable", "billing", "old", "--force"][..], "disabled"),
            (&["enable", "billing", "old"], "active"),
            (&["expire", "billing", "old", "--in", "24h", "--force"], "active"),
            (&["expire", "billing", "old", "--force"], "expired"),
            (&["revoke", "billing", "old"], "revoked"),
            (&["revoke", "billing", "old"], "revoked"),
        ] {
            let ran = place.done(&[&["secret"], step].concat());
            assert!(ran.out.is_empty() && !ran.err.contains("error"), "{ran:?}");
            assert_eq!(status(), then, "{step:?}");
        }
        for step in ["enable", "disable", "expire"] {
            place.refused(3, &["secret", step, "billing", "old"], &["is revoked", "Nothing was changed"]);
        }
        assert_eq!(place.ask("billing", OLD), 401);
    }
}

#[test]
fn what_is_not_there_is_4_and_what_makes_no_sense_is_2() {
    for instance in [true, false] {
        let place = Place::with(LIST, instance);
        for (code, arguments) in [
            (4, &["client", "show", "ghost"][..]),
            (4, &["client", "remove", "ghost"]),
            (4, &["secret", "add", "ghost"]),
            (4, &["secret", "list", "ghost"]),
            (4, &["secret", "revoke", "billing", "ghost"]),
            (4, &["secret", "disable", "ghost", "old"]),
            (4, &["rotate", "ghost"]),
            (3, &["client", "add", "billing"]),
            (2, &["secret", "add", "billing", "--expires-in", "soon"]),
            (2, &["secret", "add", "billing", "--not-before", "tomorrow"]),
            (2, &["secret", "revoke", "billing", "old", "--quiet-for", "5!h"]),
            (2, &["client", "remove", "billing", "--quiet-for", "5!h"]),
            (2, &["secret", "revoke", "billing", "old", "--rehearse", "2h", "--force"]),
            (2, &["secret", "revoke", "billing", "old", "--wait", "--force"]),
            (2, &["rotate"]),
            (2, &["rotate", "billing", "--grace", "x"]),
            (2, &["--server", "http://127.0.0.1:1", "client", "list"]),
            (1, &["--server", "unix:nobody.sock", "client", "list"]),
        ] {
            place.refused(code, arguments, &[]);
        }
        let pasted = ["client", "add", "rls_A000000000000000000000000000000000000000000000000"];
        place.refused(4, &["secret", "revoke", "billing", pasted[2]], &["that is no secret id"]);
    }
}

#[test]
fn a_secret_as_an_argument_is_refused_and_not_said_again() {
    let place = Place::new(LIST);
    let (_, made) = place.make(&["secret", "add", "billing", "-q"]);
    for arguments in [vec!["secret", "revoke", "billing", &made], vec!["client", "add", &made], vec![&made]] {
        place.refused(2, &arguments, &["a secret stands on the command line", "Nothing was changed"]);
    }
    let told = place.feed(&["secret", "identify"], &format!("{made}\n"));
    assert!(told.code == Some(0) && told.out.contains("of client billing, active"), "{told:?}");
    assert_eq!(place.feed(&["secret", "identify"], "nobody-knows-this").code, Some(4));
}
