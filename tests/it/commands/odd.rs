//! Where the output goes, what ids hold, and sockets that nobody answers on.

use std::os::unix::fs::MetadataExt as _;

use rustix::process::Signal;

use super::{LIST, OLD, Place, mode, secrets};

#[test]
fn a_secret_that_nobody_could_read_is_told_and_never_a_success() {
    for instance in [true, false] {
        let place = Place::with(LIST, instance);
        let before = place.list();
        for command in ["secret add billing", "secret add billing -q", "client add x -o json", "rotate billing"] {
            let ran = place.shell(&format!("$R {command} >&-"), false);
            assert!(ran.code == Some(1) && ran.err.contains("stdout is closed"), "{command}: {ran:?}");
            assert_eq!(place.list(), before, "{command}: nothing is made that cannot be shown");
        }
        for command in ["secret add billing", "client add x -o json", "rotate other", "client add y -q"] {
            let ran = place.shell(&format!("$R {command} > /dev/full"), false);
            assert!(ran.code == Some(1) && ran.err.contains("the secret could not be shown"), "{command}: {ran:?}");
            assert!(ran.err.contains("--force`, then add another"), "{command}: {ran:?}");
        }
        let ran = place.shell("$R rotate x y -q > /dev/full", false);
        assert!(ran.code == Some(1) && ran.err.matches("could not be shown").count() == 2, "{ran:?}");
        let ran = place.shell("$R rotate --all -o json > /dev/full", false);
        assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let place = Place::new(LIST);
    for command in ["client list", "secret list", "secret list -o json", "completions bash", "status", "--help"] {
        let ran = place.shell(&format!("$R {command} | head -1"), false);
        assert!(ran.code == Some(0) && !ran.out.is_empty(), "{command}: {ran:?}");
        let ran = place.shell(&format!("$R {command} > /dev/full"), false);
        assert!(!ran.err.contains("panicked"), "{command}: {ran:?}");
    }
    assert_eq!(place.shell("$R client list > /dev/full", false).code, Some(1));
}

#[test]
fn the_caller_s_umask_language_and_colours_change_nothing() {
    for umask in ["000", "077"] {
        let place = Place::new(LIST);
        let ran = place.shell(
            &format!("umask {umask}; LANG=C LC_ALL=C NO_COLOR=1 $R secret add billing --out new && $R man pages"),
            false,
        );
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(place.list().contains("secrets = 3") && !ran.err.contains('\u{1b}'), "{ran:?}");
        assert_eq!(mode(&place.dir.path().join("new")), 0o600);
        assert!(std::fs::read_dir(place.dir.path().join("pages")).unwrap().count() > 10);
    }
}

#[test]
fn any_client_id_goes_through_every_command() {
    let ids =
        ["a b", "quo\"te's", "sl/ash/../x", "100%25", "ünï-✓", "esc\u{1b}[2Jtab\t", "--dash", ".", "..", "q?a=b#c"];
    for instance in [true, false] {
        let place = Place::with(LIST, instance);
        for id in ids {
            let (_, made) = place.make(&["client", "add", "-q", "--", id]);
            assert_eq!(place.ask(id, &made), 200, "{id:?}");
            let shown = place.done(&["client", "show", "--", id]);
            assert!(!shown.out.contains('\u{1b}'), "{id:?}: {shown:?}");
            let (_, second) = place.make(&["secret", "add", "-q", "--", id]);
            let old =
                serde_json::from_str::<serde_json::Value>(&place.done(&["secret", "list", "-o", "json", "--", id]).out)
                    .unwrap();
            let first = old.as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned();
            place.done(&["secret", "revoke", "--force", "--", id, &first]);
            assert_eq!((place.ask(id, &made), place.ask(id, &second)), (401, 200), "{id:?}");
            place.refused(3, &["client", "remove", "--", id], &["last usable"]);
            place.done(&["rotate", "--out-dir", "new", "--", id]);
            place.done(&["client", "remove", "--force", "--", id]);
        }
        assert_eq!(std::fs::read_dir(place.dir.path().join("new")).unwrap().count(), ids.len());
    }
}

#[test]
fn ids_that_would_be_one_to_some_readers_are_refused_before_they_are_written() {
    for instance in [true, false] {
        let place = Place::with(LIST, instance);
        place.make(&["client", "add", "a+b"]);
        place.refused(3, &["client", "add", "a b"], &["become equal by form-decoding", "Nothing was changed"]);
        place.make(&["client", "add", "after"]);
    }
}

#[test]
fn a_socket_that_nobody_answers_on_is_no_instance() {
    let place = Place::with(LIST, true);
    let socket = place.dir.path().join("relatch.sock");
    assert_eq!(mode(&socket), 0o600);
    let inode = socket.metadata().unwrap().ino();
    assert_eq!(place.done(&["--server", "unix:relatch.sock", "status"]).code, Some(0));
    // A second one does not take it.
    let second = place.begin(&["run"]);
    let told = crate::support::poll(crate::support::PATIENCE, || {
        second.err().contains("another instance answers there").then_some(())
    });
    assert!(told.is_some(), "{}", second.err());
    drop(second);
    assert_eq!(socket.metadata().unwrap().ino(), inode);
    place.stop(Signal::KILL);
    assert!(socket.exists());
    let (_, made) = place.make(&["secret", "add", "billing", "-q"]);
    place.refused(1, &["--server", "unix:relatch.sock", "client", "list"], &["no instance answers", "Nothing was"]);
    assert_eq!(place.run(&["status"]).code, Some(1));
    place.refused(1, &["reload"], &["no instance answers"]);
    assert_eq!((place.ask("billing", OLD), place.ask("billing", &made)), (200, 200));
    place.stop(Signal::TERM);
    assert!(!socket.exists() && secrets(&place.list()).is_empty());
}
