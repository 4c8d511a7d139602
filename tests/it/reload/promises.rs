//! What a reload promises beyond one change of one file: speed, counters, the
//! settings beside the list, many signals at once.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::list::written;
use crate::support::PATIENCE;
use crate::support::caller::Caller;
use crate::support::http::{Method, token_post, token_request};
use crate::support::metrics;
use crate::support::poll;
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;

fn list(lines: &[&str]) -> String {
    written(&lines.iter().map(|&line| line.to_owned()).collect::<Vec<_>>(), "clients.toml")
}

#[test]
fn an_edit_is_in_force_within_a_second() {
    let upstream = Upstream::start();
    let sidecar = Sidecar::guard()
        .clients_text(&list(&["c1 s0=kept-7Hq2"]))
        .canary("kept-7Hq2")
        .config("clients.poll_interval = \"1h\"\nthrottle.failures = 60000")
        .upstream(&upstream)
        .start();
    let mut took: Vec<Duration> = (1..=9)
        .map(|number| {
            let secret = format!("edit-{number}-7Hq2");
            sidecar.write_clients(&list(&[&format!("c1 s0=kept-7Hq2 s{number}={secret}")]));
            let written = Instant::now();
            let works = || (token_post(sidecar.proxy(), Method::Basic, "c1", &secret).status == 200).then_some(());
            poll(PATIENCE, works).unwrap_or_else(|| panic!("{secret} never worked"));
            written.elapsed()
        })
        .collect();
    took.sort();
    // The median: one slow look on a loaded machine says nothing.
    assert!(took[4] < Duration::from_secs(1), "{took:?}");
    sidecar.finish(&upstream);
}

#[test]
fn a_client_goes_on_counting_whichever_way_its_list_changes() {
    let upstream = Upstream::start();
    let others = ["c2 s1=three-7Hq2", "c3 s1=four-7Hq2", "c4 s1=five-7Hq2"];
    let with_others = |first: &str| list(&[&[first], &others[..]].concat());
    let sidecar = Sidecar::guard()
        .clients_text(&with_others("c1 s1=one-7Hq2 s2=two-7Hq2"))
        .config("clients.poll_interval = \"1h\"")
        .upstream(&upstream)
        .start();
    let ask = |secret| token_post(sidecar.proxy(), Method::Basic, "c1", secret).status;
    let counted = || {
        sidecar.metric("relatch_client_authentications_total", &[("client_id", "c1"), ("result", "success")]).unwrap()
    };
    let next_generation = |number: f64| sidecar.wait_metric("relatch_config_generation", &[], |now| now == number);
    assert_eq!([ask("one-7Hq2"), ask("one-7Hq2"), ask("two-7Hq2")], [200; 3]);
    sidecar.write_clients(&with_others("c1 s1=one-7Hq2 s2=two-7Hq2,name=renamed"));
    next_generation(2.0);
    assert_eq!(counted(), 3.0);
    // Held, as too many would be gone; what it revokes is in force.
    sidecar.write_clients(&list(&["c1 s1=one-7Hq2,revoked s2=two-7Hq2"]));
    next_generation(3.0);
    assert_eq!((ask("one-7Hq2"), ask("two-7Hq2")), (401, 200));
    assert_eq!(counted(), 4.0);
    sidecar.finish(&upstream);
}

#[test]
fn counters_stay_with_the_secret_id_and_an_edited_hash_starts_unused() {
    let upstream = Upstream::start();
    let sidecar = Sidecar::guard()
        .clients_text(&list(&["c1 s1=one-7Hq2 s2=two-7Hq2", "c2 s1=three-7Hq2"]))
        .config("clients.poll_interval = \"1h\"\nclients.max_shrink = 1.0")
        .upstream(&upstream)
        .start();
    let ask = |id, secret| assert_eq!(token_post(sidecar.proxy(), Method::Basic, id, secret).status, 200, "{secret}");
    let of = |scrape: &str, name: &str, client: &str, secret: &str| {
        metrics::value(
            scrape,
            &format!("relatch_client_secret_{name}"),
            &[("client_id", client), ("secret_id", secret)],
        )
    };
    for _ in 0..3 {
        ask("c1", "one-7Hq2");
    }
    ask("c1", "two-7Hq2");
    ask("c2", "three-7Hq2");
    let first = sidecar.metrics();
    let uses = |scrape: &str| {
        ["s1", "s2"].map(|secret| of(scrape, "uses_total", "c1", secret)).map(|uses| uses.expect("a counter"))
    };
    assert_eq!(uses(&first), [3.0, 1.0]);
    let since = of(&first, "tracking_since_timestamp_seconds", "c1", "s1");
    let last_used = of(&first, "last_used_timestamp_seconds", "c1", "s1");
    assert!(last_used.is_some_and(|at| at > 1.7e9), "{last_used:?}");

    // Other order, another name, disabled, another place in the list: the same record.
    let next_generation = |number: f64| sidecar.wait_metric("relatch_config_generation", &[], |now| now == number);
    sidecar.write_clients(&list(&["c2 s1=three-7Hq2", "c1 s2=two-7Hq2,disabled s1=one-7Hq2,name=renamed"]));
    next_generation(2.0);
    let second = sidecar.metrics();
    assert_eq!(uses(&second), [3.0, 1.0]);
    assert_eq!(of(&second, "tracking_since_timestamp_seconds", "c1", "s1"), since);
    assert_eq!(of(&second, "last_used_timestamp_seconds", "c1", "s1"), last_used);

    // A hash that was edited is another secret: whoever used the old one says nothing about it.
    sidecar.write_clients(&list(&["c2 s1=three-7Hq2", "c1 s2=edited-7Hq2 s1=one-7Hq2"]));
    next_generation(3.0);
    let third = sidecar.metrics();
    assert_eq!(uses(&third), [3.0, 0.0]);
    assert_eq!(of(&third, "last_used_timestamp_seconds", "c1", "s2"), Some(0.0));
    assert!(of(&third, "tracking_since_timestamp_seconds", "c1", "s2") >= since);
    ask("c1", "one-7Hq2");
    ask("c1", "edited-7Hq2");
    assert_eq!(uses(&sidecar.metrics()), [4.0, 1.0]);

    // The client's own counters go on, whatever its secrets do.
    let success = [("client_id", "c1"), ("result", "success")];
    assert_eq!(sidecar.metric("relatch_client_authentications_total", &success), Some(6.0));
    sidecar.finish(&upstream);
}

#[test]
fn a_refused_list_takes_no_counter_with_it() {
    let upstream = Upstream::start();
    let good = list(&["c1 s1=one-7Hq2"]);
    let sidecar = Sidecar::guard().clients_text(&good).upstream(&upstream).start();
    let uses = || {
        let labels = [("client_id", "c1"), ("secret_id", "s1")];
        sidecar.metric("relatch_client_secret_uses_total", &labels)
    };
    token_post(sidecar.proxy(), Method::Basic, "c1", "one-7Hq2");
    let before = sidecar.metric("relatch_config_last_reload_success_timestamp_seconds", &[]);
    sidecar.write_clients("[[client]]\n");
    sidecar.wait_metric("relatch_config_last_reload_successful", &[], |gauge| gauge == 0.0);
    assert_eq!(sidecar.metric("relatch_config_last_reload_success_timestamp_seconds", &[]), before);
    sidecar.write_clients(&good);
    sidecar.wait_metric("relatch_config_last_reload_successful", &[], |gauge| gauge == 1.0);
    token_post(sidecar.proxy(), Method::Basic, "c1", "one-7Hq2");
    assert_eq!(uses(), Some(2.0));
    sidecar.finish(&upstream);
}

#[test]
fn a_reload_names_the_static_keys_that_need_a_restart() {
    let upstream = Upstream::start();
    let sidecar = Sidecar::guard()
        .client("c1", &["right-s3cr3t"])
        .config("upstream.connect_timeout = \"2s\"\nlimits.max_connections = 100")
        .upstream(&upstream)
        .start();
    let path = sidecar.dir().join("relatch.toml");
    let old = std::fs::read_to_string(&path).unwrap();
    let told = || sidecar.log_lines().into_iter().filter(|line| line.to_string().contains("needs restart")).count();

    // Nothing is changed: nothing is said.
    sidecar.signal(Signal::HUP);
    let unchanged = [("result", "unchanged")];
    sidecar.wait_metric("relatch_config_reloads_total", &unchanged, |count| count >= 1.0);
    assert_eq!(told(), 0);

    // A value changed, a key added, a key taken out; comments and spaces do not count.
    let new = old.replace("\"2s\"", "\"3s\"").replace("\"max_connections\" = 100\n", "")
        + "\n# a remark\n[log]\nlevel = \"warn\"\n";
    let new = new.replacen("[\"log\"]\n\"format\" = \"json\"\n", "", 1);
    assert_ne!(new, old);
    std::fs::write(&path, &new).unwrap();
    sidecar.signal(Signal::HUP);
    let line = sidecar.wait_log(|line| line.to_string().contains("needs restart"));
    let keys: Vec<&str> = line["keys"].as_str().unwrap_or_default().split(' ').collect();
    for key in ["upstream.connect_timeout", "limits.max_connections", "log.level"] {
        assert!(keys.contains(&key), "{key} in {line}");
    }
    assert!(!keys.contains(&"upstream.url"), "{line}");
    assert!(!line.to_string().contains("3s"), "keys, not values: {line}");

    // What changed there is not in force, and what it says is wrong stops nobody.
    std::fs::write(&path, "[upstream\n").unwrap();
    sidecar.signal(Signal::HUP);
    sidecar.wait_log(|line| line.to_string().contains("not valid TOML"));
    assert_eq!(token_post(sidecar.proxy(), Method::Basic, "c1", "right-s3cr3t").status, 200);

    std::fs::write(&path, &old).unwrap();
    let before = told();
    sidecar.signal(Signal::HUP);
    sidecar.wait_metric("relatch_config_reloads_total", &unchanged, |count| count >= 4.0);
    assert_eq!(told(), before);
    sidecar.finish(&upstream);
}

#[test]
fn a_thousand_signals_are_a_few_reloads_and_stop_nobody() {
    // Large enough that a reload takes far longer than the signals lie apart.
    let many = |last: &str| {
        let lines: Vec<String> = (0..4000).map(|n| format!("client-{n} s1=many-{n}-7Hq2")).collect();
        written(&[lines, vec![last.to_owned()]].concat(), "clients.toml")
    };
    let upstream = Upstream::start();
    let sidecar = Sidecar::guard()
        .clients_text(&many("c1 s1=good-7Hq2"))
        .canary("good-7Hq2")
        .config("clients.poll_interval = \"1h\"\nlog.access = false\nthrottle.failures = 60000")
        .upstream(&upstream)
        .start();
    let scrape = sidecar.metrics();
    let reloads = |scrape: &str| -> f64 {
        let of = |result| metrics::value(scrape, "relatch_config_reloads_total", &[("result", result)]).unwrap();
        ["success", "failure", "unchanged", "held"].into_iter().map(of).sum()
    };
    let (before, resident) = (reloads(&scrape), sidecar.resident_kib());
    let started = Instant::now();
    let slowest = std::thread::scope(|scope| {
        let proxy = sidecar.proxy();
        let caller = scope.spawn(move || {
            let request = token_request(Method::Basic, "c1", "good-7Hq2", "");
            let mut caller = Caller::connect(proxy).unwrap();
            let mut slowest = Duration::ZERO;
            while started.elapsed() < Duration::from_millis(2500) {
                let asked = Instant::now();
                assert_eq!(caller.ask(&request), Ok((200, false)));
                slowest = slowest.max(asked.elapsed());
            }
            slowest
        });
        for number in 0..1000 {
            if number == 500 {
                sidecar.write_clients(&many("c1 s1=good-7Hq2 s2=new-7Hq2"));
            }
            sidecar.signal(Signal::HUP);
            std::thread::sleep(Duration::from_millis(1));
        }
        caller.join().unwrap()
    });
    let works = || (token_post(sidecar.proxy(), Method::Basic, "c1", "new-7Hq2").status == 200).then_some(());
    assert!(poll(PATIENCE, works).is_some(), "the list written in between is not in force");
    let scrape = sidecar.metrics();
    let after = reloads(&scrape) - before;
    assert!((2.0..=200.0).contains(&after), "1,000 signals became {after} reloads");
    assert_eq!(metrics::value(&scrape, "relatch_config_generation", &[]), Some(2.0));
    assert_eq!(metrics::value(&scrape, "relatch_config_last_reload_successful", &[]), Some(1.0));
    let grown = sidecar.resident_kib().saturating_sub(resident);
    assert!(grown <= resident.max(32 * 1024), "grew by {grown} KiB over {resident} KiB");
    // Far less on a machine of its own; here the tests take their share.
    assert!(slowest < Duration::from_secs(1), "a request waited {slowest:?}");
    sidecar.finish(&upstream);
}
