//! Each fault where it hurts most.

use std::os::unix::fs::symlink;

use rustix::process::Signal;

use super::server::{APP, Fault, Kind};
use super::{FIRST, Place, STALE};
use crate::support::process::Process;
use crate::support::{PATIENCE, poll};

const SOON: &[&str] = &["--patience", "3s"];

impl Place {
    fn fault(self, faults: &[Fault]) -> Self {
        self.server.far().faults.extend(faults);
        self
    }

    fn untold(self) -> Self {
        self.server.far().tells = false;
        self
    }

    #[track_caller]
    fn untouched(&self) {
        assert_eq!(self.held(), [FIRST, STALE].map(str::to_owned));
    }

    /// A rotation that may not come to its end.
    fn begin(&self) -> Process {
        let arguments = self.arguments("rotate", &[]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Process::start(self.dir.path(), &arguments, &[])
    }

    fn record(&self) -> bool {
        self.path(".new.secret.relatch-rotation").exists()
    }
}

#[test]
fn an_answer_that_is_lost_is_fetched_where_it_can_be_and_never_asked_for_twice() {
    for kind in [Kind::Auth0, Kind::Okta] {
        for fault in [Fault::Lost, Fault::After(500), Fault::After(504), Fault::Garbled] {
            let place = Place::two(kind).fault(&[fault]);
            place.done("rotate", &[]);
            assert_eq!(place.held(), [place.newest(), FIRST.to_owned()], "{kind:?} {fault:?}");
            assert_eq!(place.makes(), 1, "{kind:?} {fault:?}");
        }
    }
}

#[test]
fn an_answer_that_is_lost_for_good_is_said_with_what_to_do_and_a_better_token_fetches_it() {
    let place = Place::two(Kind::Auth0).untold().fault(&[Fault::Lost]);
    let words = ["may have made a secret", "Nothing was changed here", "REFUSED now", "read:client_keys"];
    place.ends("rotate", SOON, 1, &words);
    assert_eq!(place.makes(), 1, "not asked for again");
    place.untouched();
    place.server.far().tells = true;
    let ran = place.done("rotate", SOON);
    assert!(ran.err.contains("has a secret that is not here"), "{ran:?}");
    assert_eq!(place.makes(), 1);
    assert_eq!(place.held(), [place.newest(), FIRST.to_owned()]);
    assert_eq!(place.taken(), [place.held()[0].clone()]);
}

#[test]
fn a_secret_of_okta_that_nobody_has_is_named_and_no_other_is_asked_for() {
    let place = Place::two(Kind::Okta).untold().fault(&[Fault::Lost]);
    place.ends("rotate", SOON, 3, &["ocs2", "delete", "old secret works"]);
    place.untouched();
    place.ends("rotate", SOON, 3, &["ocs2", "interrupted run"]);
    assert_eq!(place.makes(), 1);
    let far = &place.server;
    far.far().calls.clear();
    // As it says.
    far.far().remove("ocs2");
    place.done("rotate", SOON);
    assert_eq!(place.held(), [place.newest(), FIRST.to_owned()]);
}

#[test]
fn hydra_is_asked_again_since_it_keeps_the_old_ones() {
    let place = Place::two(Kind::Hydra).fault(&[Fault::Lost, Fault::After(503)]);
    place.done("rotate", &[]);
    assert_eq!(place.held(), [place.newest(), FIRST.to_owned()]);
    assert_eq!(place.makes(), 3);
    let place = Place::two(Kind::Hydra).fault(&[Fault::Lost; 3]);
    place.ends("rotate", &[], 1, &["may have made a secret", "The old one is taken now"]);
    place.untouched();
    assert!(place.taken().contains(&FIRST.to_owned()));
    place.done("rotate", &["--retire"]);
    assert_eq!(place.taken(), [place.held()[0].clone()]);
}

#[test]
fn a_busy_provider_is_waited_for_and_a_failing_one_asked_again_where_nothing_was_done() {
    for kind in [Kind::Auth0, Kind::Okta, Kind::Hydra] {
        let place = Place::two(kind).fault(&[Fault::Busy(1), Fault::Before(500)]);
        place.done("rotate", &[]);
        assert_eq!((place.held()[0].clone(), place.makes()), (place.newest(), 1), "{kind:?}");
        let place = Place::two(kind).fault(&[Fault::Busy(3600)]);
        place.ends("rotate", SOON, 1, &["busy for longer", "Nothing was changed"]);
        place.untouched();
        assert_eq!((place.makes(), place.record()), (0, false), "{kind:?}");
    }
}

#[test]
fn a_refusal_changes_nothing_and_no_redirect_is_followed() {
    for (kind, fault, word) in [
        (Kind::Auth0, Fault::Before(403), "update:client_keys"),
        (Kind::Okta, Fault::Before(403), "It failed"),
        (Kind::Hydra, Fault::Before(400), "It failed"),
        (Kind::Hydra, Fault::Redirect, "307"),
    ] {
        let place = Place::two(kind).fault(&[fault]);
        place.ends("rotate", SOON, 1, &[word, "Nothing was changed"]);
        place.untouched();
        assert_eq!((place.makes(), place.record()), (0, false), "{kind:?}");
        assert!(!place.server.far().calls.iter().any(|call| call.contains("elsewhere")));
    }
    let place = Place::two(Kind::Auth0);
    std::fs::write(place.path("token"), "wrong-t0ken").unwrap();
    place.ends("rotate", SOON, 1, &["Invalid token", "Nothing was changed"]);
    let place = Place::two(Kind::Hydra);
    place.ends("rotate", &["--app", "other"], 4, &["no application other"]);
    place.ends("retire", &[], 3, &["last `relatch upstream rotate`", "Nothing was changed"]);
    std::fs::write(place.path("ca.pem"), Place::two(Kind::Hydra).server.ca.clone()).unwrap();
    place.ends("rotate", SOON, 1, &["no connection", "Nothing was changed"]);
    assert_eq!(place.server.far().calls, ["GET /admin/clients/other"], "nothing without the right certificate");
}

#[test]
fn the_token_endpoint_is_reached_as_the_instance_reaches_it() {
    let place = Place::two(Kind::Hydra);
    let (plain, port) = (place.server.plain, place.server.tls.port());
    let config = place.read("relatch.toml");
    // By its address, which the certificate does not name.
    let upstream =
        |tls: &str| config.replace(&format!("http://{plain}\""), &format!("https://127.0.0.1:{port}\"\n{tls}"));
    std::fs::write(place.path("relatch.toml"), upstream("tls = { ca = \"ca.pem\" }")).unwrap();
    place.ends("rotate", SOON, 1, &["no connection", "Nothing was changed"]);
    place.untouched();
    std::fs::write(place.path("relatch.toml"), upstream("tls = { ca = \"ca.pem\", server_name = \"localhost\" }"))
        .unwrap();
    place.done("rotate", &[]);
    assert_eq!(place.held()[0], place.newest());
}

#[test]
fn what_cannot_be_written_is_found_before_anything_is_asked() {
    let mounted = |place: &Place| {
        let (folder, data) = (place.path("mounted"), place.path("mounted/..2026"));
        std::fs::create_dir_all(&data).unwrap();
        std::fs::write(data.join("new.secret"), FIRST).unwrap();
        symlink("..2026", folder.join("..data")).unwrap();
        symlink("..data/new.secret", folder.join("new.secret")).unwrap();
        let list = place.read("clients.toml").replace("\"new.secret\"", "\"mounted/new.secret\"");
        std::fs::write(place.path("clients.toml"), list).unwrap();
    };
    let place = Place::two(Kind::Auth0);
    mounted(&place);
    place.ends("rotate", &[], 1, &["mounted by Kubernetes", "Nothing was asked", "--out FILE"]);
    assert!(place.server.far().calls.is_empty());
    std::fs::write(place.path("out"), "x").unwrap();
    place.ends("rotate", &["--out", "out"], 1, &["is there already", "Nothing was changed"]);
    assert_eq!(place.makes(), 0);
    let ran = place.done("rotate", &["--out", "fresh"]);
    assert!(ran.err.contains("your store of secrets"), "{ran:?}");
    assert_eq!(place.read("fresh").trim_end(), place.newest());
    assert_eq!(place.read("mounted/new.secret"), FIRST);
    let place = Place::two(Kind::Auth0);
    place.ends("rotate", &["--out", "nowhere/file"], 1, &["nowhere", "Nothing was"]);
    assert!(place.server.far().calls.is_empty());
}

#[test]
fn a_secret_that_is_not_taken_retires_nothing_and_the_same_command_checks_it_again() {
    for kind in [Kind::Hydra, Kind::Okta] {
        let place = Place::two(kind).start();
        place.server.far().forgets = true;
        place.while_tokens_are_taken(|_| {
            place.ends("rotate", &["--retire", "--patience", "1s"], 1, &["does not take the new secret", "again"]);
        });
        assert_eq!(place.taken().len(), 2, "nothing was retired");
        assert_eq!(place.held(), [place.newest(), FIRST.to_owned()]);
        place.server.far().forgets = false;
        let ran = place.done("rotate", &["--retire"]);
        assert!(ran.err.contains("An interrupted run got a new secret"), "{ran:?}");
        assert_eq!(place.taken(), [place.held()[0].clone()]);
        assert_eq!(place.makes(), 1);
    }
}

#[test]
fn an_endpoint_that_cannot_tell_is_found_before_anything_is_asked() {
    let place = Place::two(Kind::Auth0);
    let nowhere = format!("{}/nowhere", place.server.url());
    place.ends("rotate", &["--token-url", &nowhere], 3, &["is it the right place", "Nothing was changed"]);
    place.server.far().no_grant = Some("unauthorized_client");
    place.server.far().lax = true;
    place.ends("rotate", &[], 1, &["does not tell", "wrong secret gets no other answer", "Nothing was changed"]);
    place.ends("rotate", &["--token-url", "http://192.0.2.1/token"], 2, &["https"]);
    place.ends("rotate", &["--patience", "soon"], 2, &["--patience"]);
    assert_eq!(place.makes(), 0);
    place.untouched();
}

#[test]
fn the_one_secret_that_works_is_not_dropped() {
    let place = Place::new(Kind::Okta, &[("new.secret", STALE), ("old.secret", FIRST)]);
    place.ends("rotate", &[], 3, &["takes that of the last file", "Nothing was changed"]);
    assert_eq!(place.makes(), 0);
    let place = Place::new(Kind::Hydra, &[("new.secret", STALE), ("old.secret", STALE)]);
    place.ends("rotate", &[], 3, &["takes no secret that is here", "--force"]);
    place.done("rotate", &["--force"]);
    assert_eq!(place.held()[0], place.newest());
}

#[test]
fn retiring_undoes_what_leaves_the_client_without_a_secret() {
    // Somebody made a newer one, which no record here knows, and whose value is told to nobody.
    let place = Place::two(Kind::Okta).untold();
    place.server.far().make_elsewhere("made-elsewhere-s3cr3t-0002");
    place.ends("retire", &[], 1, &["ocs1", "is not taken", "active again"]);
    assert_eq!(place.taken().len(), 2, "both are active again");
}

#[test]
fn a_run_that_is_killed_at_any_moment_is_finished_by_the_next_and_the_old_secret_is_at_hand_until_then() {
    for kind in [Kind::Auth0, Kind::Okta, Kind::Hydra] {
        let place = Place::two(kind);
        for round in 0..12 {
            let before = place.taken();
            let mut process = place.begin();
            std::thread::sleep(std::time::Duration::from_millis(15 * round));
            process.signal(Signal::KILL);
            assert!(process.wait_exit(PATIENCE).is_some());
            let held = place.held();
            assert!(held.iter().all(|text| text.len() >= 16), "whole: {held:?}");
            if kind != Kind::Auth0 {
                assert!(held.iter().any(|text| before.contains(text)), "the old one is at hand");
            }
            let ran = if kind == Kind::Auth0 { place.run("rotate", &[]) } else { place.run("rotate", &["--retire"]) };
            if ran.code == Some(3) {
                // Finished but for its record when it was killed: two are there, and both are known.
                place.done("retire", &[]);
            } else {
                assert_eq!(ran.code, Some(0), "{kind:?} {round}: {ran:?}");
            }
            assert_eq!(place.taken(), [place.held()[0].clone()], "{kind:?} {round}");
        }
    }
}

#[test]
fn a_run_that_is_killed_between_the_answer_and_the_files_has_kept_the_secret() {
    for kind in [Kind::Auth0, Kind::Okta, Kind::Hydra] {
        let place = Place::two(kind).untold().fault(&[Fault::Busy(1)]);
        let mut process = place.begin();
        assert!(poll(PATIENCE, || process.err().contains("asking again").then_some(())).is_some(), "{}", process.err());
        // Somebody else changes the folder: the files wait for it, the secret does not.
        let folder = std::fs::File::open(place.dir.path()).unwrap();
        assert!(poll(PATIENCE, || folder.try_lock().ok()).is_some());
        let record = ".new.secret.relatch-rotation";
        assert!(
            poll(PATIENCE, || place.read(record).contains("far-made").then_some(())).is_some(),
            "{}",
            process.err()
        );
        process.signal(Signal::KILL);
        assert!(process.wait_exit(PATIENCE).is_some());
        place.untouched();
        drop(folder);
        let ran = place.done("rotate", &[]);
        assert!(ran.err.contains("An interrupted run got a new secret"), "{ran:?}");
        assert_eq!((place.held(), place.makes()), ([place.newest(), FIRST.to_owned()], 1), "{kind:?}");
        assert!(!place.read(record).contains("far-made"), "only its digest stays");
    }
}

#[test]
fn a_second_run_at_the_same_time_is_refused() {
    let place = Place::two(Kind::Hydra).fault(&[Fault::Busy(2)]);
    let first = place.begin();
    let asked = poll(PATIENCE, || first.err().contains("asking again").then_some(()));
    assert!(asked.is_some(), "{}", first.err());
    place.ends("rotate", &[], 1, &["another run"]);
    let ran = first.end();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(place.makes(), 1);
    assert_eq!(place.server.far().calls.last().unwrap(), &format!("POST /admin/clients/{APP}/secrets/rotate"));
}
