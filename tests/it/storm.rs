//! The storm: 200,000 authentications over HTTP while the list is replaced a
//! hundred times. Every decision equals that of a list which was live at some
//! instant between the sending of the request and the coming of its answer.
//!
//! `history` makes up the lists, `judge` knows which of them could be live when.
//! `STORM` sets how many authentications, `STORM_SEED` another history.

mod history;
mod judge;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use history::{Aim, Dice, History, LISTS};
use judge::{Asked, Timeline};

use crate::reload::list::MARK;
use crate::reload::stage::Stage;
use crate::support::caller::Caller;
use crate::support::quick::Quick;
use crate::support::sidecar::Sidecar;
use crate::support::{PATIENCE, bytes, leak, metrics, poll};

/// Authentications without `STORM`.
const COUNT: usize = 200_000;

/// Connections that ask at once.
const CALLERS: u64 = 6;

#[test]
fn every_decision_during_a_hundred_reloads_is_that_of_a_list_that_was_live() {
    let number = |key: &str| std::env::var(key).ok().and_then(|value| value.parse().ok());
    let (count, seed) = (number("STORM").unwrap_or(COUNT), number("STORM_SEED").unwrap_or(1));
    let history = History::new(seed as u64);
    let upstream = Quick::start();
    let stage = Stage::new();
    stage.replace("up.secret", format!("remote{MARK}\n").as_bytes());
    stage.replace("clients.toml", history.list(0).as_bytes());
    let config = format!(
        "clients = {{ path = {:?}, poll_interval = \"1h\" }}\nthrottle = {{ failures = 65000, per = \"1s\" }}",
        stage.path("clients.toml")
    );
    let mut sidecar = Sidecar::guard().config(&config).upstream_url(&upstream.url()).start();

    let started = Instant::now();
    let timeline = Timeline::new(started);
    let (asked_so_far, written) = (AtomicUsize::new(0), AtomicBool::new(false));
    let asked: Vec<Asked> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (history, timeline) = (&history, &timeline);
                let (asked_so_far, written, proxy) = (&asked_so_far, &written, sidecar.proxy());
                let dice = Dice::new(seed as u64 * 1000 + caller);
                scope.spawn(move || {
                    let more =
                        || asked_so_far.fetch_add(1, Ordering::Relaxed) < count || !written.load(Ordering::Relaxed);
                    call(proxy, history, timeline, dice, more)
                })
            })
            .collect();
        write_lists(&history, &stage, &sidecar, &timeline, || asked_so_far.load(Ordering::Relaxed) * LISTS / count);
        written.store(true, Ordering::Relaxed);
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    let took = started.elapsed();

    let verdict = judge::judge(&asked, &history, &timeline);
    eprintln!("{} authentications in {took:?}: {verdict}", asked.len());
    assert!(verdict.wrong.is_empty(), "{} wrong, the first:\n{}", verdict.wrong.len(), verdict.first_wrong());
    assert!(asked.len() >= count);
    // A storm in which nothing was at stake proves nothing.
    assert!(verdict.must_pass > asked.len() / 2, "{verdict}");
    assert!(verdict.must_fail > asked.len() / 10, "{verdict}");
    assert!(verdict.either > 0 && verdict.either < asked.len() / 5, "{verdict}");

    hold_counters(&sidecar, &history, &asked, &upstream);
    assert!(sidecar.is_alive());
    let log = sidecar.log();
    assert!(!bytes::contains(log.as_bytes(), MARK.as_bytes()), "a secret shows in the log");
    assert_eq!(leak::spills("the log", log.as_bytes(), &history.canaries(2)), Vec::<String>::new());
    assert!(!log.contains("panicked"));
}

/// Writes list after list: each once the load has come that far, and once the one before it is in force.
fn write_lists(history: &History, stage: &Stage, sidecar: &Sidecar, timeline: &Timeline, due: impl Fn() -> usize) {
    for list in 1..LISTS {
        while due() < list {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let text = history.list(list);
        timeline.put(list);
        // By turns as an editor saves and as a script writes; [end] guards the latter.
        if list.is_multiple_of(3) {
            std::fs::write(stage.path("clients.toml"), text).unwrap();
        } else {
            stage.replace("clients.toml", text.as_bytes());
        }
        let generation = (list + 1) as f64;
        let in_force = || (sidecar.metric("relatch_config_generation", &[]) == Some(generation)).then_some(());
        assert!(poll(PATIENCE, in_force).is_some(), "list {list} was never in force:\n{}", complaints(sidecar));
        timeline.seen(list);
    }
}

/// What it said of reloads.
fn complaints(sidecar: &Sidecar) -> String {
    sidecar.log().lines().filter(|line| !line.contains(r#""msg":"request""#)).map(|line| format!("{line}\n")).collect()
}

/// Asks over one connection for as long as there is `more` to ask.
fn call(
    proxy: std::net::SocketAddr,
    history: &History,
    timeline: &Timeline,
    mut dice: Dice,
    more: impl Fn() -> bool,
) -> Vec<Asked> {
    let mut caller = Caller::connect(proxy).unwrap();
    let mut asked = Vec::with_capacity(COUNT / 2);
    while more() {
        let aim = history.aim(timeline.last_seen(), &mut dice);
        let request = history.request(aim, &mut dice);
        let sent = timeline.now();
        let answer = caller.ask(request);
        asked.push(Asked { aim, sent, answered: timeline.now(), answer });
    }
    asked
}

/// The counters agree with what was answered.
#[track_caller]
fn hold_counters(sidecar: &Sidecar, history: &History, asked: &[Asked], upstream: &Quick) {
    let accepted = asked.iter().filter(|one| one.answer == Ok((200, false))).count();
    assert_eq!(upstream.answered(), accepted, "tokens that the upstream gave");
    let scrape = sidecar.metrics();
    let of = |name: &str, labels: &[(&str, &str)]| metrics::value(&scrape, name, labels).unwrap_or(f64::NAN) as usize;
    for (result, count) in [("success", LISTS - 1), ("failure", 0), ("held", 0)] {
        assert_eq!(of("relatch_config_reloads_total", &[("result", result)]), count, "{result} reloads");
    }
    let requests = |code| of("relatch_http_requests_total", &[("code", code), ("endpoint", "/token")]);
    assert_eq!((requests("200"), requests("401")), (accepted, asked.len() - accepted));
    // A record that stood in every list since it came counts every use of it.
    for (secret, name) in history.lasting() {
        let uses = asked.iter().filter(|one| one.aim == Aim::Secret(secret) && one.answer == Ok((200, false))).count();
        let (client, id) = name;
        let counted = of("relatch_client_secret_uses_total", &[("client_id", client), ("secret_id", id)]);
        assert_eq!(counted, uses, "uses of {client}/{id}");
    }
    let samples = metrics::samples(&scrape);
    let results = samples.iter().filter(|sample| sample.name == "relatch_client_authentications_total");
    let lasting = results.filter(|sample| !history.comes_and_goes(&sample.labels[0].1));
    let counted = lasting.map(|sample| sample.value).sum::<f64>() as usize;
    let of_lasting = asked.iter().filter(|one| !history.comes_and_goes(history.client_of(one.aim))).count();
    assert_eq!(counted, of_lasting, "authentications by result");
    // One line a request, or a dropped line is counted.
    let lines = sidecar.log().lines().filter(|line| line.contains(r#""msg":"request""#)).count();
    let dropped = of("relatch_log_lines_dropped_total", &[]);
    assert_eq!(lines + dropped, asked.len(), "access lines");
}
