//! Real files, real locks, and whoever gets in between.

use std::convert::Infallible;
use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use tempfile::TempDir;

use super::*;
use crate::config::edit::{NewClient, NewSecret};
use crate::domain::ids::{ClientId, SecretId};

const LIST: &str = "# kept\n[[client]]\nid = \"a\"\n\n[end]\nclients = 1\nsecrets = 0\n";

fn secret(client: &str, id: &str) -> Edit {
    let secret = NewSecret {
        id: SecretId::parse(id).unwrap(),
        name: String::new(),
        hash: "$sha256$47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU".to_owned(),
        hint: None,
        created: "2026-11-21T00:00:00Z".to_owned(),
        not_before: None,
        expires: None,
    };
    Edit::AddSecret { client: ClientId::parse(client).unwrap().into(), secret }
}

fn client(id: &str) -> Edit {
    let key = ClientId::parse(id).unwrap().into();
    Edit::AddClient(NewClient { key, name: String::new(), upstream_secret_files: Vec::new(), secrets: Vec::new() })
}

fn add(list: &Path, id: &str) -> Result<Written<()>, WriteFailure<Infallible>> {
    rewrite(list, &[], |_| Ok((vec![FileEdits { file: 0, edits: vec![secret("a", id)] }], ())))
}

/// A folder with a list of one client.
fn folder() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("clients.toml");
    write_old(&list, LIST, 0o600);
    (dir, list)
}

/// A file that was not written just now.
fn write_old(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn two_who_edit_at_once_lose_nothing() {
    let (dir, list) = folder();
    std::thread::scope(|scope| {
        for thread in ["x", "y"] {
            let list = &list;
            scope.spawn(move || (0..50).for_each(|n| drop(add(list, &format!("{thread}{n}")).unwrap())));
        }
    });
    let made = text(&list);
    assert!((0..50).all(|n| ["x", "y"].iter().all(|t| made.contains(&format!("id = \"{t}{n}\"\n")))), "{made}");
    assert!(made.starts_with("# kept\n") && made.ends_with("[end]\nclients = 1\nsecrets = 100\n"), "{made}");
    assert_eq!(names(dir.path()), ["clients.toml"]);
}

#[test]
fn what_an_editor_saves_meanwhile_is_not_lost() {
    let (_dir, list) = folder();
    let mut asked = 0;
    let written = rewrite(&list, &[], |files| {
        asked += 1;
        if asked == 1 {
            write_old(&list, &LIST.replace("# kept", "# by hand"), 0o600);
        }
        assert_eq!(files[0].text.contains("# by hand"), asked > 1);
        Ok::<_, Infallible>((vec![FileEdits { file: 0, edits: vec![secret("a", "s")] }], asked))
    });
    assert_eq!(written.unwrap().value, 2);
    assert!(text(&list).starts_with("# by hand") && text(&list).contains("id = \"s\""));

    let mut asked = 0;
    let refused = rewrite(&list, &[], |_| {
        asked += 1;
        write_old(&list, &format!("# {asked}\n{LIST}"), 0o600);
        Ok::<_, Infallible>((vec![FileEdits { file: 0, edits: vec![secret("a", "t")] }], ()))
    });
    assert!(matches!(&refused, Err(WriteFailure::Conflict(path)) if *path == list), "{refused:?}");
    assert_eq!((asked, text(&list)), (4, format!("# 4\n{LIST}")));
}

#[test]
fn the_mode_is_for_us_alone_but_for_a_group_that_was_let_in() {
    let (_dir, list) = folder();
    for (before, after) in [(0o600, 0o600), (0o640, 0o640), (0o644, 0o600), (0o400, 0o600), (0o660, 0o600)] {
        write_old(&list, LIST, before);
        // The umask of the process is shared by all tests: what is asked for is set, whatever it is.
        add(&list, "s").unwrap();
        assert_eq!(mode(&list), after, "{before:o}");
    }
}

#[test]
fn the_owner_stays() {
    let (_dir, list) = folder();
    if chown(&list, Some(12345), Some(23456)).is_err() {
        return; // Only root can give a file away.
    }
    add(&list, "s").unwrap();
    let metadata = list.metadata().unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (12345, 23456));
}

#[test]
fn a_link_stays_and_its_file_changes_unless_somebody_else_could_have_led_us_there() {
    let (dir, list) = folder();
    let folder = dir.path().join("links");
    std::fs::create_dir(&folder).unwrap();
    let link = folder.join("l.toml");
    symlink("../clients.toml", &link).unwrap();
    add(&link, "s").unwrap();
    assert!(link.symlink_metadata().unwrap().is_symlink() && text(&list).contains("id = \"s\""));
    assert_eq!(
        (names(&folder), names(dir.path())),
        (vec!["l.toml".to_owned()], vec!["clients.toml".to_owned(), "links".to_owned()])
    );

    let before = text(&list);
    if std::os::unix::fs::lchown(&link, Some(12345), None).is_ok() {
        let refused = add(&link, "t").unwrap_err().to_string();
        assert!(refused.contains("symlink of another user") && refused.contains("nothing was changed"), "{refused}");
        std::os::unix::fs::lchown(&link, Some(0), None).unwrap();
        chown(&list, Some(12345), None).unwrap();
        let refused = add(&link, "t").unwrap_err().to_string();
        assert!(refused.contains("file of another user"), "{refused}");
    }
    assert_eq!(text(&list), before);
}

#[test]
fn a_mounted_secret_is_not_edited() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("..2026_11_21");
    std::fs::create_dir(&state).unwrap();
    write_old(&state.join("clients.toml"), LIST, 0o600);
    symlink("..2026_11_21", dir.path().join("..data")).unwrap();
    symlink("..data/clients.toml", dir.path().join("clients.toml")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    symlink(dir.path().join("clients.toml"), outside.path().join("c.toml")).unwrap();
    for list in [
        dir.path().join("clients.toml"),
        dir.path().to_owned(),
        dir.path().join("..data/clients.toml"),
        state.join("clients.toml"),
        outside.path().join("c.toml"),
    ] {
        let refused = add(&list, "s");
        assert!(matches!(refused, Err(WriteFailure::ReadOnly(..))), "{refused:?}");
        assert!(refused.unwrap_err().to_string().contains("is mounted by Kubernetes: edit the Secret that it comes"));
    }
    assert_eq!(text(&state.join("clients.toml")), LIST);
}

#[test]
fn what_is_no_file_and_what_cannot_be_read_back_is_refused() {
    let (dir, list) = folder();
    for (before, word) in [
        ("[[client]\n", "line 1: not valid TOML"),
        ("color = 1\n[[client]]\nid = \"a\"\n", "clients.toml:1:1: color: unknown key"),
        ("[[client]]\nid = \"b\"\n", "client \"a\" is not in this file"),
    ] {
        write_old(&list, before, 0o600);
        let refused = add(&list, "s").unwrap_err().to_string();
        assert!(refused.contains(word) && refused.contains("nothing was changed"), "{refused}");
        assert_eq!(text(&list), before);
    }
    let fifo = dir.path().join("f.toml");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(add(&fifo, "s").unwrap_err().to_string().contains("is not a regular file"));
    assert!(add(&dir.path().join("none.toml"), "s").unwrap_err().to_string().contains("none.toml"));
    let refused = rewrite(&list, &[], |_| Err::<(Vec<FileEdits>, ()), _>("no"));
    assert!(matches!(refused, Err(WriteFailure::Change("no"))));
}

#[test]
fn a_folder_that_cannot_be_written_is_named_with_what_to_do() {
    // Root writes anywhere but in the kernel's own folders.
    let (dir, list) = folder();
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o500)).unwrap();
    let result = add(&list, "s");
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    if !rustix::process::geteuid().is_root() {
        assert!(matches!(result, Err(WriteFailure::ReadOnly(..))), "{result:?}");
        assert!(text(&list) == LIST);
    }
    let read_only = |kind: io::ErrorKind| replace::refused::<Infallible>(&list, &kind.into());
    for kind in [io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::PermissionDenied] {
        assert!(matches!(read_only(kind), WriteFailure::ReadOnly(..)));
    }
}

#[test]
fn what_a_killed_run_left_goes_and_nothing_else() {
    let (dir, list) = folder();
    for name in [".relatch-12-0.tmp", ".relatch-1-22.tmp", ".relatch-x-1.tmp", ".relatch-1-1.tmp~", "relatch-1-1.tmp"] {
        std::fs::write(dir.path().join(name), "x").unwrap();
    }
    std::fs::create_dir(dir.path().join(".relatch-7-7.tmp")).unwrap();
    add(&list, "s").unwrap();
    let left = [".relatch-1-1.tmp~", ".relatch-7-7.tmp", ".relatch-x-1.tmp", "clients.toml", "relatch-1-1.tmp"];
    assert_eq!(names(dir.path()), left);
}

#[test]
fn a_folder_of_lists_gets_a_file_for_new_clients() {
    for (there, made) in [
        (vec![], "clients.toml"),
        (vec!["z.json"], "clients.json"),
        (vec!["a.toml", "z.json"], "clients.toml"),
        (vec!["clients.toml", "z.json"], "clients.toml"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        for name in &there {
            write_old(&dir.path().join(name), if name.ends_with("json") { "{}" } else { "" }, 0o600);
        }
        let written = rewrite(dir.path(), &[], |files| {
            let file = file_for_new_clients(dir.path(), files);
            Ok::<_, Infallible>((vec![FileEdits { file, edits: vec![client("n")] }], ()))
        });
        let files = written.unwrap().files;
        let path = dir.path().join(made);
        assert_eq!(files[0].0, path);
        assert!(text(&path).contains("\"n\"") && mode(&path) == 0o600, "{there:?}");
    }
}

#[test]
fn several_files_change_together() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        write_old(&dir.path().join(format!("{name}.toml")), &LIST.replace("\"a\"", &format!("\"{name}\"")), 0o600);
    }
    let both = |bad: &'static str| {
        rewrite(dir.path(), &[], move |_| {
            let edits = |file, client| FileEdits { file, edits: vec![secret(client, "s")] };
            let again = FileEdits { file: 0, edits: vec![secret("a", "t")] };
            Ok::<_, Infallible>((vec![edits(0, "a"), edits(1, bad), again], ()))
        })
    };
    assert!(matches!(both("x"), Err(WriteFailure::Edit(EditError::NoClient(_)))));
    assert!(!text(&dir.path().join("a.toml")).contains("\"s\""));
    assert_eq!(both("b").unwrap().files.len(), 2);
    assert!(["a.toml", "b.toml"].iter().all(|name| text(&dir.path().join(name)).contains("\"s\"")));
    assert!(text(&dir.path().join("a.toml")).contains("secrets = 2"));
    assert_eq!(names(dir.path()), ["a.toml", "b.toml"]);
}
