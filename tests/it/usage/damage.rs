//! State files as they should not be: a warning, never an exit, and nothing lost that could be kept.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Home, ask, list, stop, told};
use crate::support::upstream::Upstream;

const SECRET: &str = "right-s3cr3t-7Hq2";
const OTHER: &str = "other-s3cr3t-7Hq2";

/// A file that an instance has left behind, with one use in it.
fn left(upstream: &Upstream) -> (Home, (f64, f64, f64)) {
    let home = Home::new();
    let sidecar = home.guard(&list(&[("s1", SECRET, ""), ("s2", OTHER, "")])).upstream(upstream).start();
    assert_eq!(ask(&sidecar, SECRET), 200);
    let used = told(&sidecar, "s1");
    stop(sidecar);
    (home, used)
}

#[test]
fn a_damaged_file_is_a_warning_and_what_can_be_read_of_it_is_kept() {
    let upstream = Upstream::start();
    type Harm = fn(&[u8]) -> Vec<u8>;
    // What is done to it, whether there is a warning, and whether the use of the first secret is still known.
    let harms: [(&str, Harm, bool, Option<bool>); 7] = [
        ("empty", |_| Vec::new(), false, Some(false)),
        ("cut in the header", |whole| whole[..7].to_vec(), true, Some(false)),
        ("without its last byte", |whole| whole[..whole.len() - 1].to_vec(), true, None),
        ("a torn line at the end", |whole| [whole, b"12345678 {\"key\":\"AAAA"].concat(), true, Some(true)),
        ("garbage lines", |whole| [whole, b"\x00\xff\n\n{}\n00000000 {}\n"].concat(), true, Some(true)),
        ("another header", |whole| [b"relatch-stAte 1\n", &whole[16..]].concat(), true, Some(true)),
        ("an older version", |whole| [b"relatch-state 0\n", &whole[16..]].concat(), true, Some(true)),
    ];
    for (name, harm, warns, known) in harms {
        let (home, used) = left(&upstream);
        let whole = std::fs::read(home.path()).unwrap();
        std::fs::write(home.path(), harm(&whole)).unwrap();
        let sidecar = home.guard(&list(&[("s1", SECRET, ""), ("s2", OTHER, "")])).upstream(&upstream).start();
        let now = told(&sidecar, "s1");
        match known {
            Some(true) => assert_eq!(now, used, "{name}"),
            Some(false) => assert!(now.0 == 0.0 && now.1 > used.1, "{name}: tracking since now: {now:?}"),
            None => assert!(now == used || now.0 == 0.0, "{name}: {now:?}"),
        }
        let warned = sidecar.log().contains("lines of the state file cannot be read");
        assert_eq!(warned, warns, "{name}: {}", sidecar.log());
        assert_eq!(ask(&sidecar, SECRET), 200, "{name}");
        stop(sidecar);
        assert!(home.kept().of("s1")["used"].as_u64() > Some(0), "{name}: it is whole again");
    }
}

#[test]
fn a_file_that_is_not_ours_to_write_over_stays_as_it_is() {
    let upstream = Upstream::start();
    let (home, _) = left(&upstream);
    let ours = std::fs::read(home.path()).unwrap();
    let newer = [b"relatch-state 2\n", &ours[16..]].concat();
    let list = list(&[("s1", SECRET, "")]);
    for (content, reason) in
        [(newer.as_slice(), "a newer relatch wrote it"), (b"[[client]]\nid = 1\n", "no state file")]
    {
        std::fs::write(home.path(), content).unwrap();
        let sidecar = home.guard(&list).upstream(&upstream).start();
        assert_eq!(ask(&sidecar, SECRET), 200);
        assert_eq!(told(&sidecar, "s1").2, 1.0, "in memory it is counted");
        let warning = sidecar.wait_log(|line| line["msg"] == "last use is kept in memory only, and lost at the end");
        assert!(warning["reason"].as_str().unwrap().contains(reason), "{warning}");
        stop(sidecar);
        assert_eq!(std::fs::read(home.path()).unwrap(), content);
    }
}

#[test]
fn a_path_that_cannot_be_written_is_a_warning_and_it_serves() {
    let upstream = Upstream::start();
    let (folder, missing, denied) = (Home::new(), Home::new(), Home::new());
    std::fs::create_dir(folder.path()).unwrap();
    let nowhere = missing.dir.path().join("not/there/relatch.state");
    set_mode(denied.dir.path(), 0o500);
    let root = rustix::process::geteuid().is_root();
    let paths = [Some(folder.path()), Some(nowhere), (!root).then(|| denied.path())];
    for path in paths.into_iter().flatten() {
        let config = format!("state.path = {:?}", path.to_str().unwrap());
        let sidecar = folder.guard(&list(&[("s1", SECRET, "")])).config(&config).upstream(&upstream).start();
        sidecar.wait_log(|line| line["msg"] == "last use is kept in memory only, and lost at the end");
        assert_eq!(ask(&sidecar, SECRET), 200);
        assert_eq!(told(&sidecar, "s1").2, 1.0);
        stop(sidecar);
    }
    set_mode(denied.dir.path(), 0o700);
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
