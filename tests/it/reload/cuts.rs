//! A list with `[end]`, cut at every byte: what is left of it is refused, the
//! list of before serves on, and nobody who was shut out comes back.

use std::time::{Duration, SystemTime};

use super::list;
use super::stage::Stage;
use crate::support::http::{Method, token_post};
use crate::support::leak;
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;

/// Sidecars at work side by side: each cut waits for its event.
const LANES: usize = 8;

/// The trailing records are the ones that a cut would bring back to life.
const LIST: [&str; 4] =
    ["c1 s1=good-7Hq2", "off s1=disabled-7Hq2,disabled", "dead s1=revoked-7Hq2,revoked,reason=x", "end"];

#[test]
fn a_toml_list_cut_at_any_byte_is_refused_and_revives_nobody() {
    cut_everywhere("clients.toml");
}

#[test]
fn a_json_list_cut_at_any_byte_is_refused_and_revives_nobody() {
    cut_everywhere("clients.json");
}

#[track_caller]
fn cut_everywhere(file: &str) {
    let lines = LIST.map(|line| line.replace(",reason=x", ",revoked_reason=compromised"));
    let whole = list::written(&lines, file);
    // Without the newline at its end it says the same.
    let last = whole.trim_end().len();
    let faults: Vec<String> = std::thread::scope(|scope| {
        let whole = &whole;
        let lanes: Vec<_> =
            (0..LANES).map(|lane| scope.spawn(move || lane_of(file, whole, (lane..last).step_by(LANES)))).collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    assert!(faults.is_empty(), "{} faults in {last} cuts:\n{}", faults.len(), faults.join("\n"));
}

/// One sidecar, and every cut of its share.
fn lane_of(file: &str, whole: &str, cuts: impl Iterator<Item = usize>) -> Vec<String> {
    let upstream = Upstream::start();
    let stage = Stage::new();
    stage.replace(file, whole.as_bytes());
    let config = format!(
        "clients = {{ path = {:?}, poll_interval = \"1h\" }}\nthrottle.failures = 60000\nlog.access = false",
        stage.path(file)
    );
    let mut setup = Sidecar::guard().config(&config).upstream(&upstream);
    for canary in list::canaries(&LIST.join(" ")) {
        setup = setup.canary(&canary);
    }
    let sidecar = setup.start();
    let reloads = |result| sidecar.metric("relatch_config_reloads_total", &[("result", result)]);
    let ask = |id, secret| token_post(sidecar.proxy(), Method::Basic, id, secret).status;
    let mut faults = Vec::new();
    let mut refused = 0.0;
    for cut in cuts {
        put_aged(&stage, file, &whole.as_bytes()[..cut]);
        refused += 1.0;
        // An empty TOML file is a list of nobody: [end] is missing from that, too.
        let failure = [("result", "failure")];
        sidecar.wait_metric("relatch_config_reloads_total", &failure, |count| count >= refused);
        let counts = (reloads("success"), reloads("held"), reloads("failure"));
        let gauge = sidecar.metric("relatch_config_last_reload_successful", &[]);
        let answers = (ask("c1", "good-7Hq2"), ask("off", "disabled-7Hq2"), ask("dead", "revoked-7Hq2"));
        if (counts, gauge, answers) != ((Some(0.0), Some(0.0), Some(refused)), Some(0.0), (200, 401, 401)) {
            faults.push(format!("cut at {cut}: reloads {counts:?}, gauge {gauge:?}, answers {answers:?}"));
            break;
        }
    }
    faults.extend(leak::silence(&sidecar));
    faults
}

/// A file that nobody has touched for a minute: nothing to wait for before it is believed.
fn put_aged(stage: &Stage, file: &str, content: &[u8]) {
    let fresh = stage.path("fresh");
    std::fs::write(&fresh, content).unwrap();
    let aged = SystemTime::now() - Duration::from_secs(60);
    std::fs::File::options().write(true).open(&fresh).unwrap().set_modified(aged).unwrap();
    std::fs::rename(&fresh, stage.path(file)).unwrap();
}
