//! Time at the wire: a secret's window opens and closes without any reload, and
//! a wall clock that jumps neither revives an expired secret nor kills a living one.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::list::written;
use crate::support::http::{Method, token_post};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;
use crate::support::{PATIENCE, poll};

fn rfc3339(at: SystemTime) -> String {
    format!("{:.0}", jiff::Timestamp::try_from(at).unwrap())
}

#[test]
fn windows_open_and_close_without_a_reload() {
    let upstream = Upstream::start();
    let soon = rfc3339(SystemTime::now() + Duration::from_secs(3));
    let lines = [format!("c1 s1=ends-7Hq2,expires={soon} s2=begins-7Hq2,not_before={soon}")];
    let sidecar = Sidecar::guard()
        .clients_text(&written(&lines, "clients.toml"))
        .canary("ends-7Hq2")
        .canary("begins-7Hq2")
        .config("clients.poll_interval = \"1h\"\nthrottle.failures = 60000")
        .upstream(&upstream)
        .start();
    let ask = |secret| token_post(sidecar.proxy(), Method::Basic, "c1", secret).status;
    let answers = || (ask("ends-7Hq2"), ask("begins-7Hq2"));
    assert_eq!(answers(), (200, 401));
    assert!(poll(PATIENCE, || (answers() == (401, 200)).then_some(())).is_some(), "{:?}", answers());
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(answers(), (401, 200));
    assert_eq!(sidecar.metric("relatch_config_generation", &[]), Some(1.0));
    for (secret, result) in [("ends-7Hq2", "expired_secret"), ("begins-7Hq2", "not_yet_valid_secret")] {
        let labels = [("client_id", "c1"), ("result", result)];
        let count = sidecar.metric("relatch_client_authentications_total", &labels);
        assert!(count.is_some_and(|count| count >= 1.0), "{secret} is not counted as {result}");
    }
    sidecar.finish(&upstream);
}

#[test]
#[ignore = "needs faketime: make test"]
fn a_wall_clock_that_jumps_neither_revives_nor_kills() {
    let upstream = Upstream::start();
    let stage = tempfile::tempdir().unwrap();
    let hands = stage.path().join("wall");
    let set = |offset: &str| std::fs::write(&hands, format!("{offset}\n")).unwrap();
    set("+0");
    let soon = rfc3339(SystemTime::now() + Duration::from_secs(3));
    let in_a_year = rfc3339(SystemTime::now() + Duration::from_secs(365 * 86_400));
    let lines = [format!("c1 s1=ends-7Hq2,expires={soon} s2=lives-7Hq2,expires={in_a_year}")];
    let library = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"]
        .map(|dir| format!("{dir}/faketime/libfaketime.so.1"))
        .into_iter()
        .find(|path| Path::new(path).exists())
        .expect("libfaketime: apt-get install faketime");
    let sidecar = Sidecar::guard()
        .clients_text(&written(&lines, "clients.toml"))
        .config("clients.poll_interval = \"1h\"\nthrottle.failures = 60000")
        .env("LD_PRELOAD", &library)
        .env("FAKETIME_TIMESTAMP_FILE", hands.to_str().unwrap())
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("DONT_FAKE_MONOTONIC", "1")
        .upstream(&upstream)
        .start();
    let ask = |secret| token_post(sidecar.proxy(), Method::Basic, "c1", secret).status;
    assert_eq!((ask("ends-7Hq2"), ask("lives-7Hq2")), (200, 200));
    assert!(poll(PATIENCE, || (ask("ends-7Hq2") == 401).then_some(())).is_some());

    let alarm = |word: &str| {
        sidecar
            .wait_log(|line| line["msg"].as_str().is_some_and(|msg| msg.contains("wall clock") && msg.contains(word)));
    };
    set("-3600");
    alarm("set back");
    assert_eq!((ask("ends-7Hq2"), ask("lives-7Hq2")), (401, 200), "an hour back");
    set("+10y");
    alarm("set ahead");
    assert_eq!((ask("ends-7Hq2"), ask("lives-7Hq2")), (401, 200), "ten years ahead");
    set("+0");
    alarm("agrees again");
    assert_eq!((ask("ends-7Hq2"), ask("lives-7Hq2")), (401, 200), "in step again");
    sidecar.finish(&upstream);
}
