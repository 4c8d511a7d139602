//! Mounted Secrets, swung over again and again under load, as the kubelet does
//! when somebody is at work: no decision is wrong, no reload fails.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::list::written;
use super::stage::Stage;
use crate::support::caller::Caller;
use crate::support::http::{Method, token_request};
use crate::support::leak;
use crate::support::mounted::mount;
use crate::support::quick::Quick;
use crate::support::sidecar::Sidecar;

/// Pauses between two swings in milliseconds, in turn. All the time: mostly too short
/// for a reload to come through untouched, now and then long enough.
const WITHOUT_REST: &[u64] = &[20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 110, 60, 3, 90];
/// In bursts that are longer than a reload waits before it looks, and shorter than it looks for a file.
const IN_BURSTS: &[u64] = &[20, 20, 25, 15, 20, 20, 3, 400];
/// How long all of it takes, about.
const ALL: Duration = Duration::from_secs(8);

#[test]
fn a_mount_that_is_swung_over_under_load_gives_no_wrong_decision() {
    // One secret stays, one comes and goes.
    let files = |number: u32| {
        let other = if number.is_multiple_of(2) { " s2=sometimes-7Hq2" } else { "" };
        let lines = [format!("c1 s1=always-7Hq2{other}"), "c2 s1=other-7Hq2".to_owned()];
        BTreeMap::from([("clients.toml", written(&lines, "clients.toml"))])
    };
    swing("conf/clients.toml", WITHOUT_REST, files, &[("c1", "always-7Hq2"), ("c2", "other-7Hq2")]);
}

#[test]
fn a_client_that_moves_between_the_files_of_a_mount_is_there_at_every_moment() {
    // Each state of the mount has each client once; only the files they stand in change.
    let files = |number: u32| {
        let (here, there) = if number.is_multiple_of(2) { ("a.toml", "b.json") } else { ("b.json", "a.toml") };
        let one = ["mover s1=mover-7Hq2".to_owned(), format!("{} s1=first-7Hq2", here.replace('.', "-"))];
        let other = [format!("{} s1=first-7Hq2", there.replace('.', "-"))];
        BTreeMap::from([(here, written(&one, here)), (there, written(&other, there))])
    };
    swing("conf", WITHOUT_REST, files, &[("mover", "mover-7Hq2"), ("a-toml", "first-7Hq2"), ("b-json", "first-7Hq2")]);
}

#[test]
fn a_list_and_the_secret_file_beside_it_are_taken_from_one_state_of_the_mount() {
    // The list holds one of two secrets, the file the other. The list of one state with
    // the file of the next would hold the same secret twice, which is refused.
    let files = |number: u32| {
        let (here, there) = if number.is_multiple_of(2) { ("one", "two") } else { ("two", "one") };
        let lines = [format!("c1 s1={here}-7Hq2 s2=a.secret,file")];
        BTreeMap::from([("clients.toml", written(&lines, "clients.toml")), ("a.secret", format!("{there}-7Hq2"))])
    };
    swing("conf/clients.toml", WITHOUT_REST, files, &[("c1", "one-7Hq2"), ("c1", "two-7Hq2")]);
}

#[test]
fn a_file_that_leaves_a_mount_while_it_is_read_is_looked_for_again() {
    let files = |number: u32| {
        let other = ["b.toml", "c.toml", "d.json"][number as usize % 3];
        let lines = |client: &str, secret: &str| [format!("{client} s1={secret}-7Hq2")];
        let (stays, moves) = (written(&lines("stays", "first"), "a.toml"), written(&lines("moves", "second"), other));
        BTreeMap::from([("a.toml", stays), (other, moves)])
    };
    swing("conf", IN_BURSTS, files, &[("stays", "first-7Hq2"), ("moves", "second-7Hq2")]);
}

#[test]
fn a_list_that_was_a_mount_for_a_while_is_followed_by_whatever_name_its_folder_has() {
    for folder in ["@DIR@", "/proc/self/root@DIR@"] {
        let path = format!("clients = {{ path = \"{folder}/clients.toml\", poll_interval = \"1h\" }}");
        let sidecar = Sidecar::guard().client("c1", &["first-s3cr3t-of-c1"]).config(&path).start();
        let list = sidecar.dir().join("clients.toml");
        mount(&list);
        // Seen, and looked at.
        sidecar.wait_metric("relatch_config_reloads_total", &[("result", "unchanged")], |count| count >= 1.0);
        std::fs::remove_file(&list).unwrap();
        std::fs::write(&list, "[[client]]\nid = 7\n").unwrap();
        sidecar.wait_log(|line| line["msg"] == "client list refused, the one in force stays");
    }
}

/// Swings the mount `conf` over while callers ask for what every state accepts.
#[track_caller]
fn swing(path: &str, pauses: &[u64], files: impl Fn(u32) -> BTreeMap<&'static str, String>, pairs: &[(&str, &str)]) {
    let upstream = Quick::start();
    let mut stage = Stage::new();
    stage.mount("conf", &files(0));
    // Reading while files are fresh is the hard part: compare all the time, beside the events.
    let config = format!(
        "clients = {{ path = {:?}, poll_interval = \"100ms\" }}\nthrottle.failures = 60000\nlog.access = false",
        stage.path(path)
    );
    let mut setup = Sidecar::guard().config(&config).upstream_url(&upstream.url());
    for (_, secret) in pairs {
        setup = setup.canary(secret);
    }
    let sidecar = setup.start();
    let done = AtomicBool::new(false);
    let wrong = std::thread::scope(|scope| {
        let (done, proxy) = (&done, sidecar.proxy());
        let callers: Vec<_> =
            pairs.iter().map(|(id, secret)| scope.spawn(move || ask_until(done, proxy, id, secret))).collect();
        let invalid = scope.spawn(move || refuse_until(done, proxy, pairs[0].0));
        let mut left = ALL;
        for (number, pause) in (1..).zip(pauses.iter().cycle().map(|ms| Duration::from_millis(*ms))) {
            stage.mount("conf", &files(number));
            std::thread::sleep(pause);
            left = left.saturating_sub(pause);
            if left.is_zero() {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
        let wrong: Vec<String> = callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
        [wrong, invalid.join().unwrap()].concat()
    });
    assert!(wrong.is_empty(), "{} wrong answers, the first: {:?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    // A folder that vanishes between readlink and open is looked for again, in silence.
    for result in ["failure", "held"] {
        assert_eq!(sidecar.metric("relatch_config_reloads_total", &[("result", result)]), Some(0.0), "{result}");
    }
    let swung = sidecar.metric("relatch_config_generation", &[]).unwrap();
    assert!(swung > 3.0, "only {swung} lists were taken up");
    assert_eq!(leak::silence(&sidecar), Vec::<String>::new());
}

/// Asks all the time; tells every answer that is not 200.
fn ask_until(done: &AtomicBool, proxy: std::net::SocketAddr, id: &str, secret: &str) -> Vec<String> {
    let started = Instant::now();
    let request = token_request(Method::Basic, id, secret, "");
    let mut caller = Caller::connect(proxy).unwrap();
    let mut wrong = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let answer = caller.ask(&request);
        if answer != Ok((200, false)) {
            wrong.push(format!("{id} after {:?}: {answer:?}", started.elapsed()));
        }
    }
    wrong
}

/// The same for a secret that no state has: every answer is 401.
fn refuse_until(done: &AtomicBool, proxy: std::net::SocketAddr, id: &str) -> Vec<String> {
    let request = token_request(Method::Post, id, "never-valid-7Hq2", "");
    let mut caller = Caller::connect(proxy).unwrap();
    let mut wrong = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let answer = caller.ask(&request);
        if answer != Ok((401, false)) {
            wrong.push(format!("a wrong secret: {answer:?}"));
        }
        // Refusals are to be there, not to be the load.
        std::thread::sleep(Duration::from_millis(2));
    }
    wrong
}
