//! A thousand rotations under load, each whole: a new secret is added, old and new
//! overlap while the callers switch, the old one is revoked. Whoever holds an
//! active secret never fails; from the answer of a revoke on, nobody passes with
//! what it revoked; and at the end every secret that was ever made is in the list.
//!
//! `held` knows what may be answered when, `callers` ask, `effect` measures how
//! long an edit by hand takes from its rename to the first answer that knows it.
//! The real client libraries join in under `peers`. With `RELATCH_BIN` another
//! build is put to the test.

mod callers;
mod effect;
mod held;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub(crate) use callers::Library;
use callers::Tally;
use effect::{Probe, Spread};
use held::{Book, Secret};
use serde_json::{Value, json};

use crate::support::admin::Admin;
use crate::support::quick::Quick;
use crate::support::sidecar::Sidecar;
use crate::support::{bytes, leak, metrics};

const CLIENTS: usize = 50;
/// Clients in one write of the list.
const BATCH: usize = 25;
/// Connections that ask at once.
const CALLERS: u64 = 6;
/// Old and new are both in use for so long.
const OVERLAP: Duration = Duration::from_millis(150);
/// Edits by hand in each round.
const EDITS: usize = 10;

#[test]
fn a_thousand_rotations_under_load_fail_nobody_and_let_nobody_in() {
    thousand(Vec::new());
}

/// Rotates every client again and again while these libraries, and plain callers beside them, ask.
pub(crate) fn thousand(libraries: Vec<Library>) {
    let upstream = Quick::start();
    let book = Book::new(CLIENTS);
    let probe = Probe::new();
    let mut sidecar = Sidecar::guard()
        .file("up.secret", "remote-8f21c0aa7b\n")
        .clients_text(&first_list(&book, &probe))
        .config("clients.poll_interval = \"1h\"\nthrottle = { failures = 65000, per = \"1s\" }\nlog.access = false")
        .upstream_url(&upstream.url())
        .start();
    let admin = Admin::of(sidecar.dir());
    let list = sidecar.dir().join("clients.toml");

    let done = AtomicBool::new(false);
    let started = Instant::now();
    let mut times = Times::default();
    let tallies: Vec<Tally> = std::thread::scope(|scope| {
        let asking: Vec<_> = callers::all(sidecar.proxy(), CALLERS, libraries)
            .into_iter()
            .map(|mut caller| {
                let (book, done) = (&book, &done);
                scope.spawn(move || caller.ask_until(book, || done.load(Ordering::Relaxed)))
            })
            .collect();
        // A failed assertion must not leave the callers asking for ever.
        let round = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..rounds() {
                rotate_all(&admin, &book, &list, &mut times);
                probe.toggle(&list, sidecar.proxy(), EDITS, &mut times.edits);
            }
        }));
        done.store(true, Ordering::Relaxed);
        let tallies = asking.into_iter().map(|caller| caller.join().unwrap()).collect();
        round.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        tallies
    });
    let took = started.elapsed();

    let total = Tally::sum(&tallies);
    let rate = total.asked as f64 / took.as_secs_f64();
    eprintln!("{} rotations in {took:.1?} under {rate:.0} requests/s: {total}", CLIENTS * rounds());
    eprintln!("{times}");
    assert_eq!(total.wrong, Vec::<String>::new(), "{total}");
    // A storm in which nothing was at stake proves nothing.
    assert!(total.must_pass > total.asked / 2 && total.must_fail > total.asked / 100, "{total}");
    assert!(tallies.iter().all(|tally| tally.must_pass > 0), "a caller that was never sure to pass");
    assert!(book.secrets().iter().all(|secret| secret.accepted() > 0), "a secret that nobody used");

    hold_list(&book, &admin, &list);
    hold_metrics(&book, &sidecar, &total, &upstream);
    assert!(sidecar.is_alive());
    let log = sidecar.log();
    assert!(!log.contains("panicked"));
    let some: Vec<String> = book.secrets().iter().step_by(97).map(|secret| secret.value.clone()).collect();
    assert_eq!(leak::spills("the log", log.as_bytes(), &some), Vec::<String>::new());
}

/// A build that is not optimised takes ten times as long for each.
fn rounds() -> usize {
    if cfg!(debug_assertions) && std::env::var_os("RELATCH_BIN").is_none() { 2 } else { 20 }
}

/// How long things took.
#[derive(Default)]
struct Times {
    rotate: Spread,
    revoke: Spread,
    renamed: Spread,
    edits: Spread,
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "  rotate of {BATCH} clients, question to answer: {}", self.rotate)?;
        writeln!(f, "  revoke, question to answer:              {}", self.revoke)?;
        writeln!(f, "  revoke, rename to answer:                {}", self.renamed)?;
        write!(f, "  edit by hand, rename to effect:          {}", self.edits)
    }
}

/// One rotation of every client.
fn rotate_all(admin: &Admin, book: &Book, list: &Path, times: &mut Times) {
    for batch in book.names().chunks(BATCH) {
        let asked = Instant::now();
        let answer = admin.must("POST", "/api/v1/rotate", &json!({"clients": batch}));
        times.rotate.add(asked.elapsed());
        for result in answer["results"].as_array().unwrap() {
            let secret = &result["secret"];
            let text = |key: &str| secret[key].as_str().unwrap_or_else(|| panic!("{key}: {result}")).to_owned();
            book.give(&text("client_id"), &text("id"), &text("client_secret"));
        }
    }
    std::thread::sleep(OVERLAP);
    for old in book.old() {
        old.leaves();
        // Who asks with it now may pass or fail; who asks after the answer must fail.
        let path = format!("/api/v1/clients/{}/secrets/{}/lifecycle/revoke", old.client, old.id);
        let asked = Instant::now();
        admin.must("POST", &path, &json!({"force": true}));
        old.is_gone();
        times.revoke.add(asked.elapsed());
        times.renamed.add(since_change(list));
    }
}

/// How long ago a file got its name: the kernel notes a rename as a change of the file.
fn since_change(list: &Path) -> Duration {
    let changed = std::fs::metadata(list).unwrap();
    let changed = Duration::new(changed.ctime().try_into().unwrap(), changed.ctime_nsec().try_into().unwrap());
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().saturating_sub(changed)
}

const COMMENT: &str = "# Kept as it is, whatever the commands do.";

fn first_list(book: &Book, probe: &Probe) -> String {
    let mut text = format!("{COMMENT}\n");
    for secret in book.secrets() {
        let (client, id, hash) = (&secret.client, &secret.id, bytes::sha256_record(secret.value.as_bytes()));
        _ = write!(
            text,
            "[[client]]\nid = \"{client}\"  # of team {client}\nmax_active_secrets = 4\n[client.upstream]\n\
             secret_file = \"up.secret\"\n[[client.secret]]\nid = \"{id}\"\nhash = \"{hash}\"\n\n"
        );
    }
    text += &probe.entry();
    text + &format!("[end]\nclients = {}\nsecrets = {}\n", CLIENTS + 1, CLIENTS + 1)
}

/// Every secret that was ever made stands in the list as what it is, in the file and by the admin door.
#[track_caller]
fn hold_list(book: &Book, admin: &Admin, list: &Path) {
    let wanted: BTreeMap<(String, String), &str> = book
        .secrets()
        .iter()
        .map(|secret| {
            let status = if secret.went() { "revoked" } else { "active" };
            ((secret.client.clone(), secret.id.clone()), status)
        })
        .chain([((effect::CLIENT.to_owned(), effect::SECRET.to_owned()), "active")])
        .collect();
    let text = std::fs::read_to_string(list).unwrap();
    assert!(text.starts_with(COMMENT) && text.matches("  # of team ").count() == CLIENTS, "comments are kept");
    let file: toml::Table = text.parse().unwrap();
    let file = serde_json::to_value(&file).unwrap();
    assert_eq!(file["end"], json!({"clients": CLIENTS + 1, "secrets": wanted.len()}));
    let of = |clients: &Value, secrets: &str| -> BTreeMap<(String, String), String> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let all = clients.as_array().unwrap().iter();
        all.flat_map(|client| {
            let status = |secret: &Value| secret["status"].as_str().unwrap_or("active").to_owned();
            let records = client[secrets].as_array().unwrap().iter();
            records.map(move |secret| ((text(&client["id"]), text(&secret["id"])), status(secret)))
        })
        .collect()
    };
    let wanted: BTreeMap<_, _> = wanted.into_iter().map(|(key, status)| (key, status.to_owned())).collect();
    assert_eq!(of(&file["client"], "secret"), wanted, "in the file");
    assert_eq!(of(&admin.must("GET", "/api/v1/clients", &Value::Null), "secrets"), wanted, "by the admin door");
}

/// The counters agree with what was answered.
#[track_caller]
fn hold_metrics(book: &Book, sidecar: &Sidecar, total: &Tally, upstream: &Quick) {
    let scrape = sidecar.metrics();
    let of = |name: &str, labels: &[(&str, &str)]| metrics::value(&scrape, name, labels).unwrap_or(f64::NAN) as usize;
    let changes = rounds() * (CLIENTS / BATCH + CLIENTS + EDITS);
    for (result, count) in [("success", changes), ("failure", 0), ("held", 0)] {
        assert_eq!(of("relatch_config_reloads_total", &[("result", result)]), count, "{result} reloads");
    }
    assert_eq!(of("relatch_config_generation", &[]), changes + 1);
    assert_eq!(of("relatch_config_last_reload_successful", &[]), 1);
    let probes = rounds() * EDITS;
    let refusals = of("relatch_http_requests_total", &[("code", "401"), ("endpoint", "/token")]);
    let passed = of("relatch_http_requests_total", &[("code", "200"), ("endpoint", "/token")]);
    assert_eq!(passed, upstream.answered(), "tokens that the upstream gave");
    assert!(passed >= total.accepted && refusals >= total.refused, "{passed} {refusals}: {total}, {probes} probes");
    let samples = metrics::samples(&scrape);
    let mut uses = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.name == "relatch_client_secret_uses_total") {
        let label = |key: &str| sample.labels.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str());
        uses.insert((label("client_id").unwrap(), label("secret_id").unwrap()), sample.value as u64);
    }
    let counted = |secret: &Arc<Secret>| uses.get(&(secret.client.as_str(), secret.id.as_str())).copied();
    let wrong: Vec<String> = (book.secrets().iter())
        .filter(|secret| counted(secret) != Some(secret.accepted()))
        .map(|secret| format!("{}: {:?}, not {}", secret.id, counted(secret), secret.accepted()))
        .collect();
    assert!(wrong.is_empty(), "{} secrets are counted wrong: {wrong:?}", wrong.len());
    for name in book.names() {
        let success = of("relatch_client_authentications_total", &[("client_id", &name), ("result", "success")]);
        let accepted: u64 = book.secrets().iter().filter(|secret| secret.client == name).map(|s| s.accepted()).sum();
        assert_eq!(success as u64, accepted, "successes of {name}");
        let state = |status| of("relatch_client_secrets", &[("client_id", &name), ("status", status)]);
        assert_eq!((state("active"), state("revoked")), (1, rounds()), "secrets of {name}");
    }
}
