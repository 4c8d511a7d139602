//! Commands beside each other, beside an editor, and on a list that is not in force.

use std::thread::scope;

use super::{LIST, OLD, Place};
use crate::support::process::relatch;

fn many(clients: usize) -> String {
    let one = |n| {
        format!(
            "[[client]]\nid = \"c{n}\" # number {n}\n[[client.secret]]\nid = \"s{n}\"\nhash = \"@SHA256(s3cr3t-{n})@\"\n\n"
        )
    };
    (0..clients).map(one).collect::<String>() + &format!("[end]\nclients = {clients}\nsecrets = {clients}\n")
}

#[test]
fn no_edit_is_lost_between_ten_commands_and_an_editor() {
    for instance in [true, false] {
        let place = Place::with(&many(10), instance);
        let dir = place.dir.path();
        let codes: Vec<Option<i32>> = scope(|scope| {
            let add = |n| scope.spawn(move || relatch(dir, &["secret", "add", &format!("c{n}"), "-q"]).code);
            let all: Vec<_> = (0..10).map(add).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(codes, [Some(0); 10]);
        let list = place.list();
        assert!(
            list.contains("secrets = 20\n") && (0..10).all(|n| list.contains(&format!("# number {n}\n"))),
            "{list}"
        );
        // An editor without the lock, between two commands.
        std::fs::write(place.path(), format!("# edited\n{list}")).unwrap();
        place.done(&["secret", "disable", "c3", "s3", "--force"]);
        assert!(place.list().starts_with("# edited\n") && place.list().contains("status = \"disabled\""));
        assert_eq!((place.ask("c3", "s3cr3t-3"), place.ask("c4", "s3cr3t-4")), (401, 200));
    }
}

#[test]
fn at_the_limit_one_of_ten_wins_and_the_others_are_refused() {
    for instance in [true, false] {
        let place = Place::with(&many(1), instance);
        let dir = place.dir.path();
        let mut codes: Vec<Option<i32>> = scope(|scope| {
            let add = || scope.spawn(|| relatch(dir, &["secret", "add", "c0", "-q"]).code);
            let all: Vec<_> = (0..10).map(|_| add()).collect();
            all.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        codes.sort();
        assert_eq!(codes, [&[Some(0)][..], &[Some(3); 9]].concat());
        assert!(place.list().contains("secrets = 2\n"), "{}", place.list());
    }
}

#[test]
fn a_list_on_disk_that_is_not_in_force_is_not_changed_further() {
    for instance in [true, false] {
        let place = Place::with(LIST, instance);
        let good = place.list();
        std::fs::write(place.path(), good.replace("[[client]]\nid = \"other\"", "[[client]\nid = \"other\"")).unwrap();
        let commands: [&[&str]; 4] = [
            &["secret", "add", "billing"],
            &["client", "add", "third"],
            &["rotate", "billing"],
            &["secret", "revoke", "billing", "old", "--force"],
        ];
        for command in commands {
            place.refused(1, command, &["clients.toml", "othing was changed"]);
        }
        if instance {
            place.refused(1, &["reload"], &["the one in force stays", "Nothing was changed"]);
            assert!(place.done(&["status"]).out.contains("NOT in force"));
            assert_eq!(place.ask("billing", OLD), 200);
        }
        std::fs::write(place.path(), good).unwrap();
        place.make(&["secret", "add", "billing"]);
        if instance {
            place.done(&["reload"]);
        }
    }
}

#[test]
fn a_list_that_drops_most_of_itself_needs_a_word_more() {
    let place = Place::with(&many(8), true);
    place.write(&many(2));
    place.refused(1, &["reload"], &["the list is held", "relatch reload --allow-shrink"]);
    place.refused(1, &["secret", "add", "c0"], &["not in force"]);
    assert_eq!(place.ask("c7", "s3cr3t-7"), 200);
    let ran = place.done(&["reload", "--allow-shrink"]);
    assert!(ran.err.contains("2 clients, 2 secrets"), "{ran:?}");
    assert_eq!((place.ask("c7", "s3cr3t-7"), place.ask("c1", "s3cr3t-1")), (401, 200));
}

#[test]
fn an_imported_list_is_appended_and_in_force() {
    let list = LIST.split("[end]").next().unwrap();
    let place = Place::with(list, true);
    let csv = "client_id,secret\nimported,imported-s3cr3t-7Hq2-abcdefghijklmno\n";
    std::fs::write(place.dir.path().join("old.csv"), csv).unwrap();
    let ran = place.shell("$R import --from csv old.csv >> clients.toml && $R reload", false);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(place.ask("imported", "imported-s3cr3t-7Hq2-abcdefghijklmno"), 200);
    place.make(&["rotate", "imported"]);
}

#[test]
fn json_lists_and_folders_of_lists_are_changed_in_their_own_way() {
    for instance in [true, false] {
        let place = Place::new("");
        let settings = place.dir.path().join("relatch.toml");
        let text = std::fs::read_to_string(&settings).unwrap().replace("\"clients.toml\"", "\"lists\"");
        std::fs::write(&settings, text).unwrap();
        let lists = place.dir.path().join("lists");
        std::fs::create_dir(&lists).unwrap();
        let json = r#"{"client": [{"id": "j1", "secret": [{"id": "js", "hash": "@SHA256(json-s3cr3t)@"}]}]}"#;
        let json = crate::support::setup::Expansion::of(place.dir.path(), "").apply(json);
        std::fs::write(lists.join("a.json"), &json).unwrap();
        std::fs::write(lists.join("b.toml"), "# no client yet\n").unwrap();
        if instance {
            place.start();
        }
        let (_, second) = place.make(&["secret", "add", "j1", "-q"]);
        let (_, fresh) = place.make(&["client", "add", "t1", "-q"]);
        let written: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(lists.join("a.json")).unwrap()).unwrap();
        assert_eq!(written["client"][0]["secret"].as_array().unwrap().len(), 2);
        assert!(std::fs::read_to_string(lists.join("clients.toml")).unwrap().contains("id = \"t1\""));
        assert_eq!(super::mode(&lists.join("clients.toml")), 0o600);
        assert_eq!([place.ask("j1", &second), place.ask("j1", "json-s3cr3t"), place.ask("t1", &fresh)], [200; 3]);
    }
}
