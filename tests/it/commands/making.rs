//! Commands that make a secret, and the places there are for it.

use super::{LIST, OLD, Place, mode, secrets};

#[test]
fn a_secret_is_shown_once_and_accepted_next() {
    for instance in [true, false] {
        let place = Place::with(LIST, instance);
        let before = place.list();
        let (ran, new) = place.make(&["secret", "add", "billing", "--name", "2026-12", "--expires-in", "90d"]);
        assert!(ran.out.contains("(2026-12): ") && ran.out.contains("shown once. 2 of 2 active."), "{ran:?}");
        assert!(ran.err.contains("Next: deploy it"), "{ran:?}");
        let after = place.list();
        let kept: Vec<&str> = before.lines().filter(|line| *line != "secrets = 2").collect();
        assert!(kept.iter().all(|line| after.contains(line)) && after.contains("[end]\nclients = 2\nsecrets = 3\n"));
        assert!(after.starts_with("# the list   (kept)\n") && after.contains("expires = \""), "{after}");
        let (ran, quiet) = place.make(&["secret", "add", "other", "-q", "--not-before", "2100-01-01T00:00:00Z"]);
        assert_eq!((ran.out, ran.err), (format!("{quiet}\n"), String::new()));
        let (ran, added) = place.make(&["client", "add", "third", "--name", "Third", "-o", "json"]);
        assert!(ran.out.contains("\"client_secret\"") && ran.err.is_empty(), "{ran:?}");
        assert_eq!([place.ask("billing", &new), place.ask("billing", OLD), place.ask("third", &added)], [200; 3]);
        assert_eq!(place.ask("other", &quiet), 401, "its time has not come");
        assert_eq!(place.json(&["client", "list"]).as_array().unwrap().len(), 3);
        assert_eq!(place.json(&["secret", "list"]).as_array().unwrap().len(), 5);
        let shown = place.done(&["client", "show", "billing"]);
        assert!(shown.out.contains("2 of 2 active") && shown.out.contains("2026-12"), "{shown:?}");
    }
}

#[test]
fn a_file_of_its_own_holds_it_in_four_formats() {
    let place = Place::new(&LIST.replace("id = \"billing\"", "id = \"billing\"\nmax_active_secrets = 8"));
    for (format, word) in [
        ("plain", "rls_"),
        ("json", "{\"client_id\": \"billing\", \"client_secret\": \"rls_"),
        ("env", "CLIENT_ID=billing\nCLIENT_SECRET=rls_"),
        ("k8s-secret", "  client_secret: \"rls_"),
    ] {
        let ran = place.done(&["secret", "add", "billing", "--out", format, "--format", format]);
        assert!(ran.out.is_empty() && ran.err.contains(&format!("written to {format}")), "{ran:?}");
        let file = place.dir.path().join(format);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(word) && secrets(&text).len() == 1 && mode(&file) == 0o600, "{text}");
        assert_eq!(place.ask("billing", &secrets(&text)[0]), 200);
        place.refused(1, &["secret", "add", "billing", "--out", format], &["is there already", "Nothing was changed"]);
    }
    place.refused(4, &["secret", "add", "ghost", "--out", "never"], &["no client ghost", "Nothing was changed"]);
    assert!(!place.dir.path().join("never").exists());
}

#[test]
fn a_secret_from_elsewhere_is_kept_as_it_deserves_and_never_said() {
    for instance in [true, false] {
        let place = Place::with(LIST, instance);
        place.made.borrow_mut().push("weak-7Hq2".to_owned());
        let ran = place.feed(&["secret", "add", "billing", "--secret-stdin"], "weak-7Hq2\n");
        assert!(ran.code == Some(0) && ran.err.contains("this secret is weak"), "{ran:?}");
        assert!(place.list().contains("hash = \"$argon2id$"), "{}", place.list());
        assert_eq!((place.ask("billing", "weak-7Hq2"), place.ask("billing", "weak-7Hq2")), (200, 200));
        let hash = crate::support::bytes::sha256_record(b"elsewhere-s3cr3t-7Hq2");
        let add = ["secret", "add", "other", "--hash-stdin"];
        assert_eq!(place.feed(&add, &hash).code, Some(0));
        assert_eq!(place.ask("other", "elsewhere-s3cr3t-7Hq2"), 200);
        let id = place.ids("other")[0].clone();
        place.done(&["secret", "revoke", "other", &id, "--force"]);
        place.refused_with(3, &add, &hash, &["has this very secret already", &id, "Nothing was changed"]);
        place.refused_with(2, &add, "no-hash", &["the hash is in no format"]);
        place.refused_with(2, &add, "", &["nothing stands on stdin", "Nothing was changed"]);
        assert_eq!(place.ask("other", "elsewhere-s3cr3t-7Hq2"), 401);
    }
}

#[test]
fn at_the_limit_nothing_is_dropped() {
    for instance in [true, false] {
        let place = Place::with(LIST, instance);
        place.make(&["secret", "add", "billing", "-q", "--not-before", "2100-01-01T00:00:00Z"]);
        let words = ["client billing has 2 of 2 secrets", "Nothing was changed", "relatch secret revoke billing "];
        place.refused(3, &["secret", "add", "billing"], &words);
        place.refused(3, &["rotate", "billing"], &words);
        place.done(&["secret", "disable", "billing", "old", "--force"]);
        place.make(&["secret", "add", "billing"]);
        place.refused(3, &["secret", "enable", "billing", "old"], &words);
    }
}

#[test]
fn a_repeated_rotation_has_the_same_answer_until_the_new_secret_is_used() {
    let place = Place::with(LIST, true);
    let again = |arguments: &[&str]| {
        let before = place.list();
        let ran = place.shell(&format!("$R {}", arguments.join(" ")), true);
        (ran.out.trim().to_owned(), place.list() == before)
    };
    let (_, first) = place.make(&["rotate", "billing", "-q"]);
    place.made.borrow_mut().pop();
    assert_eq!(again(&["rotate", "billing", "-q"]), (first.clone(), true));
    // Another wish is no retry: it must not be answered as if it were done.
    place.refused(3, &["rotate", "billing", "--grace", "7d", "--force"], &["2 of 2"]);
    assert_eq!((place.ask("billing", OLD), place.ask("billing", &first)), (200, 200));
    place.refused(3, &["rotate", "billing"], &["2 of 2"]);
}

#[test]
fn several_rotate_in_one_go_each_with_its_own_line_or_file() {
    for instance in [true, false] {
        let place = Place::with(LIST, instance);
        place.refused(2, &["rotate", "billing", "billing"], &["named twice", "Nothing was changed"]);
        let ran = place.shell("$R rotate billing ghost other -q", true);
        assert_eq!(ran.code, Some(4), "{ran:?}");
        assert!(ran.err.contains("error: ghost: there is no client ghost"), "{ran:?}");
        let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split('\t').collect()).collect();
        assert_eq!(lines.iter().map(|line| line[0]).collect::<Vec<_>>(), ["billing", "other"]);
        for line in &lines {
            assert_eq!((line.len(), place.ask(line[0], line[2])), (3, 200));
        }
        assert_eq!(place.ask("billing", OLD), 200);
    }
    let place = Place::new(LIST);
    place.done(&["rotate", "--all", "--out-dir", "new", "--grace", "7d", "--force"]);
    for client in ["billing", "other"] {
        let file = place.dir.path().join(format!("new/{client}.secret"));
        assert_eq!(mode(&file), 0o600);
        assert_eq!(place.ask(client, std::fs::read_to_string(file).unwrap().trim()), 200);
    }
    assert_eq!(place.list().matches("expires = \"").count(), 2, "{}", place.list());
    place.refused(1, &["rotate", "other", "--out-dir", "new"], &["is there already", "Nothing was changed"]);
}
