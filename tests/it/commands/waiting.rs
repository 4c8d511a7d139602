//! Commands that take their time: `--wait` and `--rehearse`, and what interrupts them.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{LIST, OLD, Place};
use crate::support::process::Process;
use crate::support::{PATIENCE, poll};

const WAIT: [&str; 7] = ["secret", "revoke", "billing", "old", "--wait", "--quiet-for", "3s"];

fn rotated() -> (Place, String) {
    let place = Place::with(LIST, true);
    let (_, new) = place.make(&["secret", "add", "billing", "-q"]);
    (place, new)
}

fn said(process: &Process, word: &str) {
    assert!(poll(PATIENCE, || process.err().contains(word).then_some(())).is_some(), "{}", process.err());
}

#[test]
fn a_wait_ends_when_the_old_secret_is_quiet_and_not_before() {
    let (place, new) = rotated();
    assert_eq!(place.ask("billing", OLD), 200);
    let mut waiting = place.begin(&WAIT);
    said(&waiting, "quiet for");
    let before = place.list();
    let busy = Instant::now();
    while busy.elapsed() < Duration::from_secs(4) {
        assert_eq!(place.ask("billing", OLD), 200);
        assert!(waiting.wait_exit(Duration::from_millis(200)).is_none(), "{}", waiting.err());
    }
    assert_eq!(place.list(), before);
    let quiet = Instant::now();
    let ran = waiting.end();
    assert!(quiet.elapsed() >= Duration::from_millis(2700), "{:?}", quiet.elapsed());
    assert!(ran.code == Some(0) && ran.out.is_empty() && ran.err.contains("Revoked old. In force"), "{ran:?}");
    assert_eq!((place.ask("billing", OLD), place.ask("billing", &new)), (401, 200));
}

#[test]
fn ctrl_c_leaves_everything_as_it_was_and_says_so() {
    let (place, _) = rotated();
    assert_eq!(place.ask("billing", OLD), 200);
    let before = place.list();
    let waiting = place.begin(&WAIT);
    said(&waiting, "quiet for");
    waiting.signal(Signal::INT);
    let ran = waiting.end();
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(ran.err.contains("Nothing was changed: old is still active"), "{ran:?}");
    assert_eq!((place.list(), place.ask("billing", OLD)), (before, 200));
}

#[test]
fn ctrl_c_is_heard_while_the_instance_hangs() {
    let (place, _) = rotated();
    let waiting = place.begin(&["secret", "revoke", "billing", "old", "--wait"]);
    said(&waiting, "quiet for");
    let hang = |signal| place.running.borrow().as_ref().unwrap().process.signal(signal);
    hang(Signal::STOP);
    std::thread::sleep(Duration::from_millis(1500));
    waiting.signal(Signal::INT);
    let ran = waiting.end();
    hang(Signal::CONT);
    assert!(ran.code == Some(1) && ran.err.contains("old is still active"), "{ran:?}");
}

#[test]
fn an_instance_that_dies_ends_the_wait_and_changes_nothing() {
    let (place, _) = rotated();
    let before = place.list();
    let waiting = place.begin(&["secret", "revoke", "billing", "old", "--wait"]);
    said(&waiting, "quiet for");
    place.stop(Signal::KILL);
    let ran = waiting.end();
    assert!(ran.code == Some(1) && ran.err.contains("Nothing was changed"), "{ran:?}");
    assert_eq!((place.list(), place.ask("billing", OLD)), (before, 200));
}

#[test]
fn who_waits_for_what_can_never_be_is_told_at_once() {
    let place = Place::with(LIST, true);
    place.refused(3, &WAIT, &["last usable secret of billing", "Nothing was changed"]);
    let place = Place::new(LIST);
    place.refused(1, &WAIT, &["no instance answers", "Nothing was changed"]);
}

#[test]
fn a_rehearsal_refuses_for_its_time_and_names_who_failed() {
    let (place, new) = rotated();
    assert_eq!(place.ask("billing", OLD), 200);
    let rehearsal = place.begin(&["secret", "revoke", "billing", "old", "--rehearse", "3s", "--force"]);
    said(&rehearsal, "is refused for 3s");
    assert_eq!((place.ask_as("billing", OLD, "monthly/1"), place.ask("billing", &new)), (401, 200));
    let ran = rehearsal.end();
    assert!(ran.code == Some(0) && ran.err.contains("old is active again"), "{ran:?}");
    assert!(ran.out.contains("refused 1 time") && ran.out.contains("127.0.0.7  monthly/1"), "{ran:?}");
    let labels = [("client_id", "billing"), ("result", "disabled_secret")];
    assert_eq!(place.metric("relatch_client_authentications_total", &labels), Some(1.0));
    assert_eq!(place.ask("billing", OLD), 200);
    assert!(!place.list().contains("refused_until"), "{}", place.list());
}

#[test]
fn a_rehearsal_ends_whatever_is_killed_meanwhile() {
    let (place, _) = rotated();
    for restart in [false, true] {
        let rehearsal = place.begin(&["secret", "revoke", "billing", "old", "--rehearse", "4s", "--force"]);
        said(&rehearsal, "is refused for 4s");
        // Those who asked too often are told so in place of a 401.
        assert_ne!(place.ask("billing", OLD), 200);
        let ran = if restart {
            place.stop(Signal::KILL);
            place.start();
            None
        } else {
            rehearsal.signal(Signal::KILL);
            Some(rehearsal.end())
        };
        assert!(ran.is_none_or(|ran| ran.code.is_none()));
        let again = poll(Duration::from_secs(8), || (place.ask("billing", OLD) == 200).then_some(()));
        assert!(again.is_some(), "restart {restart}: {}", place.list());
    }
}
