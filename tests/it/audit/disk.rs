//! A disk that is full, missing or hung: neither a token request nor a change waits for it.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{OLD, add_client, audited, lines_of, part, refused, token, wait};
use crate::support::admin::Admin;
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;
use crate::support::{PATIENCE, poll};

fn told(sidecar: &Sidecar, message: &str) -> usize {
    sidecar.log_lines().iter().filter(|line| line["msg"] == message).count()
}

fn counted(sidecar: &Sidecar, result: &str) -> f64 {
    sidecar.metric("relatch_audit_lines_total", &[("result", result)]).unwrap()
}

/// What fails for a while, and what heals it.
fn goes_on(start: impl Fn(&Sidecar), heal: impl Fn(&Sidecar), config: &str) {
    let upstream = Upstream::start();
    let sidecar = audited().config(config).upstream(&upstream).start();
    start(&sidecar);
    let path = sidecar.dir().join(config.split('"').nth(1).unwrap_or("audit.jsonl"));
    let admin = Admin::of(sidecar.dir());
    for number in 0..5 {
        add_client(&admin, &format!("lost-{number}"));
        assert_eq!(token(&sidecar, OLD), 200);
    }
    let error = sidecar.wait_log(|line| line["msg"] == "the audit log cannot be written");
    assert_eq!(error["level"], "error");
    sidecar.wait_metric("relatch_audit_lines_total", &[("result", "failed")], |failed| failed >= 10.0);
    assert_eq!(told(&sidecar, "the audit log cannot be written"), 1, "once");
    heal(&sidecar);
    add_client(&admin, "kept");
    wait(&path, |line| line["client_id"] == "kept");
    let failed = counted(&sidecar, "failed");
    let gap = wait(&path, |line| line["what"] == "audit.gap");
    assert_eq!(part(&gap, &["outcome", "who", "count"]), json!(["done", "instance", failed as u64]));
    assert_eq!(told(&sidecar, "the audit log is written again"), 1);
    assert!(lines_of(&path).iter().all(|line| !line["client_id"].to_string().contains("lost")));
    sidecar.finish(&upstream);
}

#[test]
fn a_link_in_its_place_is_not_followed_and_stops_nothing_and_the_gap_is_told() {
    let name = |sidecar: &Sidecar| sidecar.dir().join("audit.jsonl");
    let elsewhere = |sidecar: &Sidecar| sidecar.dir().join("somebody's.own");
    goes_on(
        |sidecar| {
            wait(&name(sidecar), |line| line["what"] == "start");
            std::fs::remove_file(name(sidecar)).unwrap();
            std::fs::write(elsewhere(sidecar), "").unwrap();
            symlink(elsewhere(sidecar), name(sidecar)).unwrap();
        },
        |sidecar| {
            assert_eq!(std::fs::read(elsewhere(sidecar)).unwrap(), b"");
            std::fs::remove_file(name(sidecar)).unwrap();
        },
        "",
    );
}

#[test]
fn a_missing_folder_stops_nothing_and_is_used_when_it_comes() {
    goes_on(
        |_| {},
        |sidecar| std::fs::create_dir(sidecar.dir().join("logs")).unwrap(),
        "log.audit = \"logs/audit.jsonl\"",
    );
}

/// A file system of a few pages, which only root can mount.
#[test]
#[ignore = "needs root, to mount a tmpfs"]
fn a_disk_that_fills_up_ends_with_whole_lines_after_it_has_room_again() {
    use std::process::Command;
    let upstream = Upstream::start();
    let mount = tempfile::tempdir().unwrap();
    let done = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    done(Command::new("mount").args(["-t", "tmpfs", "-o", "size=12k", "tmpfs"]).arg(mount.path()));
    let filler = mount.path().join("filler");
    let path = mount.path().join("audit.jsonl");
    let test = std::panic::catch_unwind(|| {
        let sidecar = audited().config(&format!("log.audit = {path:?}")).upstream(&upstream).start();
        let admin = Admin::of(sidecar.dir());
        wait(&path, |line| line["what"] == "start");
        std::fs::write(&filler, vec![0; 4096]).unwrap();
        let full = || counted(&sidecar, "failed") > 0.0;
        let filled = (0..500).any(|_| {
            assert_eq!((refused(&admin), token(&sidecar, OLD)), (404, 200));
            full()
        });
        assert!(filled, "it never became full");
        std::fs::remove_file(&filler).unwrap();
        assert_eq!(refused(&admin), 404);
        poll(PATIENCE, || std::fs::read_to_string(&path).ok()?.contains("audit.gap").then_some(())).unwrap();
        // Half a line, where there is one, stands alone.
        let text = std::fs::read_to_string(&path).unwrap();
        let broken = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).count();
        assert!(broken <= 1 && text.ends_with('\n'), "{text}");
        sidecar.finish(&upstream);
    });
    done(Command::new("umount").arg(mount.path()));
    test.unwrap();
}

/// Whoever opens a pipe without a reader waits, as for a server of files that is gone.
fn hang(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    std::fs::remove_file(path).unwrap();
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

#[test]
fn lines_that_a_disk_takes_with_it_at_the_end_are_counted() {
    let upstream = Upstream::start();
    let mut sidecar = audited().upstream(&upstream).start();
    let path = sidecar.dir().join("audit.jsonl");
    wait(&path, |line| line["what"] == "start");
    hang(&path);
    let admin = Admin::of(sidecar.dir());
    (0..3).for_each(|_| assert_eq!(refused(&admin), 404));
    sidecar.signal(Signal::TERM);
    assert!(sidecar.wait_exit(PATIENCE).is_some_and(|status| status.success()), "and it ends");
    let told = sidecar.wait_log(|line| line["msg"] == "lines of the audit log were lost at the end");
    assert_eq!(
        (&told["level"], &told["lines"]),
        (&"error".into(), &"4".into()),
        "with the one that says that it stops"
    );
}

#[test]
fn a_disk_that_hangs_stops_nothing_and_the_gap_is_told() {
    let upstream = Upstream::start();
    let sidecar = audited().upstream(&upstream).start();
    let path = sidecar.dir().join("audit.jsonl");
    wait(&path, |line| line["what"] == "start");
    hang(&path);
    let admin = Admin::of(sidecar.dir());
    let began = Instant::now();
    let mut asked = 0;
    while counted(&sidecar, "dropped") < 5.0 {
        assert!(asked < 3000 && began.elapsed() < PATIENCE * 12, "{asked} in {:?}", began.elapsed());
        for _ in 0..50 {
            assert_eq!(refused(&admin), 404);
            asked += 1;
        }
        assert_eq!(token(&sidecar, OLD), 200);
    }
    assert!(asked > 1000, "they wait for a while: {asked}");
    add_client(&admin, "meanwhile");
    assert_eq!(told(&sidecar, "the audit log does not keep up"), 1);
    let dropped = counted(&sidecar, "dropped");
    // Somebody reads: all that waited comes, and then how many are missing.
    let reader = std::fs::File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        use std::io::BufRead as _;
        for line in std::io::BufReader::new(reader).lines().map_while(Result::ok) {
            _ = sender.send(serde_json::from_str::<Value>(&line).unwrap());
        }
    });
    let gap = poll(PATIENCE, || {
        let next = lines.try_recv().ok().filter(|line| line["what"] == "audit.gap");
        next.or_else(|| lines_of(&path).into_iter().find(|line| line["what"] == "audit.gap"))
    });
    let gap = gap.unwrap_or_else(|| panic!("no gap\n{}", sidecar.log()));
    assert!(gap["count"].as_f64().unwrap() >= dropped, "{gap} of {dropped}");
    add_client(&admin, "kept");
    wait(&path, |line| line["client_id"] == "kept");
    sidecar.finish(&upstream);
}
