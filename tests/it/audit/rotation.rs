//! The file is put aside, as those who keep logs do.

use std::fs::OpenOptions;
use std::process::Command;

use rustix::process::Signal;

use super::{add_client, audited, lines_of, wait};
use crate::support::admin::Admin;
use crate::support::upstream::Upstream;
use crate::support::{PATIENCE, poll};

#[test]
fn a_renamed_file_is_let_go_at_a_hangup_and_no_line_is_lost() {
    let upstream = Upstream::start();
    let sidecar = audited().upstream(&upstream).start();
    let (path, moved) = (sidecar.dir().join("audit.jsonl"), sidecar.dir().join("audit.jsonl.1"));
    let admin = Admin::of(sidecar.dir());
    add_client(&admin, "before");
    wait(&path, |line| line["client_id"] == "before");
    assert!(Command::new("mv").arg(&path).arg(&moved).status().unwrap().success());
    // Between the two the old one goes on.
    add_client(&admin, "between");
    wait(&moved, |line| line["client_id"] == "between");
    sidecar.signal(Signal::HUP);
    assert!(poll(PATIENCE, || path.exists().then_some(())).is_some(), "the new one is there at once");
    add_client(&admin, "after");
    wait(&path, |line| line["client_id"] == "after");
    let told = |path| lines_of(path).into_iter().filter(|line| line["what"] == "client.add").count();
    assert_eq!((told(&moved), told(&path)), (2, 1));
    let holds = |name: &str| {
        let folder = format!("/proc/{}/fd", sidecar.pid());
        let open = std::fs::read_dir(folder).unwrap().flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok());
        open.filter(|path| path.ends_with(name)).count()
    };
    assert_eq!((holds("audit.jsonl.1"), holds("audit.jsonl")), (0, 1));
    sidecar.finish(&upstream);
}

#[test]
fn a_copy_that_is_truncated_goes_on_at_its_beginning() {
    let upstream = Upstream::start();
    let sidecar = audited().upstream(&upstream).start();
    let path = sidecar.dir().join("audit.jsonl");
    let admin = Admin::of(sidecar.dir());
    add_client(&admin, "before");
    wait(&path, |line| line["client_id"] == "before");
    std::fs::copy(&path, sidecar.dir().join("audit.jsonl.1")).unwrap();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    add_client(&admin, "after");
    wait(&path, |line| line["client_id"] == "after");
    let text = std::fs::read(&path).unwrap();
    assert!(text.starts_with(b"{") && !text.contains(&0), "no hole at its beginning");
    sidecar.finish(&upstream);
}

#[test]
fn a_deleted_file_is_made_anew() {
    let upstream = Upstream::start();
    let sidecar = audited().upstream(&upstream).start();
    let path = sidecar.dir().join("audit.jsonl");
    wait(&path, |line| line["what"] == "start");
    std::fs::remove_file(&path).unwrap();
    add_client(&Admin::of(sidecar.dir()), "after");
    wait(&path, |line| line["client_id"] == "after");
    sidecar.finish(&upstream);
}
