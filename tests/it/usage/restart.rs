//! The same instance again, after every kind of end.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{Home, ask, list, stop, told};
use crate::support::bytes;
use crate::support::leak::spills;
use crate::support::poll;
use crate::support::upstream::Upstream;

const OLD: &str = "old-s3cr3t-7Hq2";
const NEW: &str = "new-s3cr3t-7Hq2";

/// How long something may be unwritten, with time for a busy machine.
const WRITTEN: Duration = Duration::from_secs(8);

#[test]
fn a_restart_keeps_last_use_and_the_beginning_of_observation() {
    let (home, upstream) = (Home::new(), Upstream::start());
    let guard = || home.guard(&list(&[("old", OLD, ""), ("new", NEW, "")])).upstream(&upstream);
    let first = guard().start();
    assert_eq!((ask(&first, OLD), ask(&first, OLD)), (200, 200));
    let (old, new) = (told(&first, "old"), told(&first, "new"));
    assert!(old.0 >= old.1 && old.2 == 2.0 && (new.0, new.2) == (0.0, 0.0), "{old:?} {new:?}");
    stop(first);
    let mode = std::fs::metadata(home.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let second = guard().start();
    assert_eq!((told(&second, "old"), told(&second, "new")), (old, new));
    assert_eq!(ask(&second, NEW), 200);
    assert_eq!(told(&second, "old"), old);
    let used = told(&second, "new");
    assert!(used.0 > old.0 && used.1 == new.1 && used.2 == 1.0, "{used:?}");
    stop(second);

    let canaries = [OLD, NEW].map(str::to_owned);
    assert!(spills("the state", &std::fs::read(home.path()).unwrap(), &canaries).is_empty());
    let digest = bytes::sha256_record(OLD.as_bytes());
    let text = std::fs::read_to_string(home.path()).unwrap();
    assert!(!text.contains(digest.trim_start_matches("$sha256$")), "the digest is not for others to compare with");
    let third = guard().start();
    third.finish(&upstream);
}

#[test]
fn a_silence_that_nobody_heard_is_no_evidence() {
    let (home, upstream) = (Home::new(), Upstream::start());
    let guard = || home.guard(&list(&[("old", OLD, ""), ("new", NEW, "")])).upstream(&upstream);
    let first = guard().start();
    assert_eq!(ask(&first, OLD), 200);
    let before = told(&first, "old");
    stop(first);
    // It was down for two days, as far as the file can tell.
    let file = std::fs::OpenOptions::new().append(true).open(home.path()).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(2 * 86400)).unwrap();
    drop(file);
    let second = guard().start();
    let after = told(&second, "old");
    assert_eq!((after.0, after.2), (before.0, before.2), "what was seen is known");
    assert!(after.1 > before.0, "and observed from now on: {before:?} {after:?}");
    second.finish(&upstream);
}

#[test]
fn a_kill_loses_five_seconds_at_most_and_nothing_that_was_written() {
    let (home, upstream) = (Home::new(), Upstream::start());
    let guard = || home.guard(&list(&[("old", OLD, "")])).upstream(&upstream);
    let (mut uses, mut since) = (0.0, None);
    for round in 0..2 {
        let mut sidecar = guard().start();
        let before = told(&sidecar, "old");
        assert_eq!(*since.get_or_insert(before.1), before.1, "round {round}: the beginning stands");
        assert!(before.2 >= uses, "round {round}: {} of {uses} uses", before.2);
        assert_eq!(ask(&sidecar, OLD), 200);
        let (last_used, _, count) = told(&sidecar, "old");
        let asked = Instant::now();
        let written = poll(WRITTEN, || (home.kept().of("old")["uses"] == json!(count as u64)).then_some(()));
        assert!(written.is_some(), "round {round}: not written after {:?}", asked.elapsed());
        assert_eq!(ask(&sidecar, OLD), 200);
        sidecar.signal(Signal::KILL);
        sidecar.wait_exit(WRITTEN).unwrap();
        uses = count;
        let again = guard().start();
        let after = told(&again, "old");
        assert!(after.0 >= last_used && after.2 >= uses, "round {round}: {after:?}");
        again.signal(Signal::KILL);
    }
}

#[test]
fn an_edited_hash_starts_unused_and_the_old_one_comes_back_with_its_use() {
    let (home, upstream) = (Home::new(), Upstream::start());
    let with = |secret: &str| list(&[("s1", secret, "")]);
    let sidecar = home.guard(&with(OLD)).upstream(&upstream).start();
    assert_eq!(ask(&sidecar, OLD), 200);
    let old = told(&sidecar, "s1");
    let change = |text: &str, generation: f64| {
        sidecar.write_clients(text);
        sidecar.wait_metric("relatch_config_generation", &[], |now| now == generation);
    };
    change(&with(NEW), 2.0);
    let new = told(&sidecar, "s1");
    assert!((new.0, new.2) == (0.0, 0.0) && new.1 > old.1, "{new:?}");
    change(&with(OLD), 3.0);
    assert_eq!(told(&sidecar, "s1"), old, "removed and added again");
    change(&with(NEW), 4.0);
    stop(sidecar);

    let sidecar = home.guard(&with(NEW)).upstream(&upstream).start();
    assert_eq!(told(&sidecar, "s1"), new, "after a restart");
    sidecar.write_clients(&with(OLD));
    sidecar.wait_metric("relatch_config_generation", &[], |now| now == 2.0);
    assert_eq!(told(&sidecar, "s1"), old, "known from the file alone");
    sidecar.finish(&upstream);
}

#[test]
fn the_journal_never_moves_back_and_a_time_ahead_is_now() {
    let (home, upstream) = (Home::new(), Upstream::start());
    let guard = || home.guard(&list(&[("old", OLD, ""), ("new", NEW, "")])).upstream(&upstream);
    let first = guard().start();
    assert_eq!(ask(&first, OLD), 200);
    let before = told(&first, "old");
    stop(first);
    home.kept().append("old", &json!({"used": 1000, "uses": 0}));
    home.kept().append("old", &json!({"since": 4_102_444_800_000_u64, "uses": 5}));
    home.kept().append(
        "new",
        &json!({"used": 4_102_444_800_000_u64, "uses": 1, "from": [
            {"address": "10.0.0.1", "method": "post", "at": 4_102_444_800_000_u64}
        ]}),
    );
    let second = guard().start();
    assert_eq!(told(&second, "old"), (before.0, before.1, 5.0));
    let new = told(&second, "new");
    let hour = 3600.0;
    assert!(new.0 > before.0 && new.0 < before.0 + hour && new.2 == 1.0, "{new:?} after {before:?}");
    let is_now = |written: &Value| written["used"].as_f64().is_some_and(|used| used / 1000.0 == new.0);
    let written = poll(WRITTEN, || Some(home.kept().of("new")).filter(is_now));
    let written = written.unwrap_or_else(|| panic!("{}", home.kept().of("new")));
    assert_eq!(written["from"][0]["at"], written["used"]);
    second.finish(&upstream);
}

#[test]
fn two_instances_do_not_write_one_file_and_the_second_takes_over_when_the_first_ends() {
    let (home, upstream) = (Home::new(), Upstream::start());
    let guard = || home.guard(&list(&[("old", OLD, "")])).upstream(&upstream);
    let first = guard().start();
    assert_eq!(ask(&first, OLD), 200);
    let used = told(&first, "old");
    let second = guard().start();
    let warning = second.wait_log(|line| line["msg"] == "last use is kept in memory only, and lost at the end");
    assert_eq!(warning["reason"], "another instance writes it");
    assert_eq!(told(&second, "old").0, 0.0);
    stop(first);
    second.wait_log(|line| line["msg"] == "the state file is written");
    assert_eq!(told(&second, "old"), used);
    assert_eq!(ask(&second, OLD), 200);
    second.finish(&upstream);
}
