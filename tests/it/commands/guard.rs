//! The guard before everything that takes a working secret away.

use std::time::Duration;

use rustix::process::Signal;

use super::{LIST, OLD, Place};

/// Each door that takes `old` of `billing` away.
const DOORS: [&[&str]; 5] = [
    &["secret", "revoke", "billing", "old"],
    &["secret", "disable", "billing", "old"],
    &["secret", "expire", "billing", "old"],
    &["secret", "revoke", "billing", "old", "--rehearse", "2s"],
    &["client", "remove", "billing"],
];

fn with<'a>(door: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [door, more].concat()
}

#[test]
fn without_an_instance_or_a_state_file_use_is_not_known_and_not_taken_for_unused() {
    let place = Place::new(LIST);
    place.make(&["secret", "add", "billing"]);
    for door in DOORS {
        if door.contains(&"--rehearse") {
            place.refused(1, door, &["no instance answers", "Nothing was changed"]);
            continue;
        }
        let words = ["it is not known whether", "Nothing was changed", "--force"];
        // A client's last secret is told first: it goes for the removal too.
        let words = if door[0] == "client" { &words[1..] } else { &words[..] };
        place.refused(3, door, words);
        place.refused(3, &with(door, &["--quiet-for", "0s"]), words);
    }
    for (force, status) in [("disable", "disabled"), ("revoke", "revoked")] {
        let ran = place.done(&["secret", force, "billing", "old", "--force"]);
        assert!(ran.out.is_empty() && ran.err.contains("old"), "{ran:?}");
        assert_eq!(place.json(&["secret", "list", "billing"])[1]["status"], status);
    }
    assert_eq!(place.ask("billing", OLD), 401);
}

#[test]
fn a_used_secret_stays_and_the_refusal_names_its_callers() {
    let place = Place::with(LIST, true);
    let (_, new) = place.make(&["secret", "add", "billing", "-q"]);
    // Not used, and not watched for long enough to say so.
    place.refused(3, DOORS[0], &["observed only since", "\"not seen\" is not \"not used\"", "Nothing was changed"]);
    assert_eq!((place.ask_as("billing", OLD, "old-job/2"), place.ask("billing", &new)), (200, 200));
    let words = ["old was used", "by 1 address (127.0.0.7)", "old-job/2", "1 use in all", "Nothing was changed"];
    for door in DOORS {
        // The removal takes both away, and is refused for the client's sake.
        place.refused(3, door, if door[0] == "client" { &words[4..] } else { &words });
    }
    place.refused(3, &["rotate", "other", "--grace", "0", "--quiet-for", "1h"], &["observed only since"]);
    assert_eq!(place.ask("billing", OLD), 200);
    // Observed, and it need not be quiet at all.
    place.done(&["secret", "disable", "billing", "old", "--quiet-for", "0s"]);
    assert_eq!((place.ask("billing", OLD), place.ask("billing", &new)), (401, 200));
    place.done(&["secret", "enable", "billing", "old"]);
    place.done(&["secret", "revoke", "billing", "old", "--force"]);
    assert_eq!((place.ask("billing", OLD), place.ask("billing", &new)), (401, 200));
}

#[test]
fn the_last_usable_secret_stays_however_quiet() {
    for instance in [true, false] {
        let place = Place::with(LIST, instance);
        for door in DOORS.iter().filter(|door| instance || !door.contains(&"--rehearse")) {
            place.refused(3, &with(door, &["--quiet-for", "0s"]), &["last usable secret of billing", "Nothing was"]);
        }
        assert_eq!(place.ask("billing", OLD), 200);
        place.done(&["client", "remove", "billing", "--force"]);
        assert!(place.list().contains("[end]\nclients = 1\nsecrets = 1\n"), "{}", place.list());
        assert_eq!(place.ask("billing", OLD), 401);
    }
}

#[test]
fn what_the_last_instance_wrote_down_is_known_without_one() {
    let place = Place::with(LIST, true);
    let (_, new) = place.make(&["secret", "add", "billing", "-q"]);
    assert_eq!((place.ask_as("billing", OLD, "old-job/2"), place.ask("billing", &new)), (200, 200));
    place.stop(Signal::TERM);
    place.refused(3, DOORS[0], &["old was used", "127.0.0.7", "old-job/2"]);
    std::thread::sleep(Duration::from_millis(1100));
    place.done(&["secret", "revoke", "billing", "old", "--quiet-for", "1s"]);
    assert_eq!((place.ask("billing", OLD), place.ask("billing", &new)), (401, 200));
}

#[test]
fn a_rehearsal_opens_no_way_around_the_guard() {
    let place = Place::with(LIST, true);
    place.make(&["secret", "add", "billing", "-q"]);
    assert_eq!(place.ask("billing", OLD), 200);
    let rehearsal = place.begin(&["secret", "revoke", "billing", "old", "--rehearse", "20s", "--force"]);
    let refused = crate::support::poll(crate::support::PATIENCE, || (place.ask("billing", OLD) == 401).then_some(()));
    assert!(refused.is_some(), "{}", rehearsal.err());
    for door in &DOORS[..3] {
        place.refused(3, door, &["old was presented (and refused)"]);
    }
    rehearsal.signal(Signal::INT);
    let ran = rehearsal.end();
    assert!(ran.code == Some(1) && ran.err.contains("active again (stopped by Ctrl-C)"), "{ran:?}");
    assert_eq!(place.ask("billing", OLD), 200);
}
