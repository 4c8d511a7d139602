//! Lists that may not be written: mounted by Kubernetes, or on a read-only file system.

use std::process::Command;

use crate::support::mounted::mount;

use super::{LIST, OLD, Place};

const WRITES: [&[&str]; 5] = [
    &["client", "add", "third"],
    &["secret", "add", "billing"],
    &["secret", "disable", "billing", "old", "--force"],
    &["client", "remove", "other", "--force"],
    &["rotate", "billing"],
];

#[test]
fn a_mounted_secret_is_not_written_and_the_refusal_says_where_to_edit() {
    for instance in [false, true] {
        let place = Place::new(LIST);
        mount(&place.path());
        if instance {
            place.start();
        }
        for write in WRITES {
            place.refused(1, write, &["is mounted by Kubernetes: edit the Secret", "othing was changed"]);
        }
        assert!(place.path().is_symlink() && place.dir.path().join("mount/clients.toml").is_symlink());
        assert_eq!(place.json(&["client", "list"]).as_array().unwrap().len(), 2);
        assert_eq!(place.ask("billing", OLD), 200);
    }
}

#[test]
fn a_read_only_file_system_is_told_as_one() {
    let works = Command::new("unshare").args(["-rm", "true"]).status().is_ok_and(|status| status.success());
    if !works {
        return eprintln!("skipped: no mount namespace can be made here");
    }
    let place = Place::new(LIST);
    std::fs::create_dir(place.dir.path().join("ro")).unwrap();
    std::fs::copy(place.path(), place.dir.path().join("ro/clients.toml")).unwrap();
    let before = place.list();
    for write in WRITES {
        let script = format!(
            "unshare -rm sh -c 'mount --bind ro ro && mount -o remount,ro,bind ro && \
             RELATCH__CLIENTS__PATH=ro/clients.toml exec \"$R\" {}'",
            write.join(" ")
        );
        let ran = place.shell(&script, false);
        assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.err.contains("read-only file system") && ran.err.contains("othing was changed"), "{ran:?}");
    }
    assert_eq!(std::fs::read_to_string(place.dir.path().join("ro/clients.toml")).unwrap(), before);
}
