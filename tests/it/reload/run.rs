//! Runs one row: starts a sidecar on its stage, carries out its steps, and waits
//! at each for what must come of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::list;
use super::row::{Deed, Row, Step};
use super::stage::Stage;
use crate::support::http::{Method, token_post};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;
use crate::support::{PATIENCE, leak, metrics};

/// The results that a reload is counted under.
const RESULTS: [&str; 4] = ["success", "failure", "unchanged", "held"];

/// Everything that went otherwise than the row says.
pub(super) fn run(row: &Row) -> Vec<String> {
    let upstream = Upstream::start();
    let mut stage = Stage::new();
    row.start.iter().for_each(|deed| stage.carry_out(deed));
    let mut setup = Sidecar::guard().upstream(&upstream).config(&config(row, &stage)).config(&row.config);
    // The debug form holds every text of the row, and so every secret.
    for canary in list::canaries(&format!("{row:?}")) {
        setup = setup.canary(&canary);
    }
    let under = row.under.map_or(&[][..], |under| under.command());
    let sidecar = match setup.under(under).try_start() {
        Ok(sidecar) => sidecar,
        Err(stillborn) => return vec![format!("does not start: {stillborn:?}")],
    };
    for (number, step) in row.step.iter().enumerate() {
        let faults = take(step, &mut stage, &sidecar, &upstream);
        if !faults.is_empty() {
            // What follows would only say the same again.
            return vec![format!("step {}: {}\n{}", number + 1, faults.join("\n  "), said(&sidecar))];
        }
    }
    leak::silence(&sidecar)
}

/// What it said, but for the lines of requests.
fn said(sidecar: &Sidecar) -> String {
    let log = sidecar.log();
    let told = log.lines().filter(|line| !line.contains(r#""msg":"request""#));
    told.map(|line| format!("    {line}\n")).collect()
}

/// The least that a row needs: its list, and room to ask for what does not work.
fn config(row: &Row, stage: &Stage) -> String {
    let path = stage.path(&row.path);
    format!("clients = {{ path = {path:?}, poll_interval = \"1h\" }}\nthrottle.failures = 60000\n")
}

/// One step. Gives what did not come in time, or did not last.
fn take(step: &Step, stage: &mut Stage, sidecar: &Sidecar, upstream: &Upstream) -> Vec<String> {
    let before = Before::of(sidecar);
    for deed in &step.deeds {
        match deed {
            Deed::Bare(line) if line == "hangup" => sidecar.signal(Signal::HUP),
            deed => stage.carry_out(deed),
        }
    }
    let within = step.within_ms.map_or(PATIENCE, Duration::from_millis);
    let deadline = Instant::now() + within;
    let faults = loop {
        let broken: Vec<String> = step.always.iter().filter_map(|pair| asked(sidecar, pair, 200)).collect();
        if !broken.is_empty() {
            return broken;
        }
        let faults = look(step, &before, sidecar, upstream);
        if faults.is_empty() || Instant::now() >= deadline {
            break faults;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    match step.holds_ms {
        Some(ms) if faults.is_empty() => {
            std::thread::sleep(Duration::from_millis(ms));
            look(step, &before, sidecar, upstream)
        }
        _ => faults,
    }
}

/// What stood in the scrape and in the log when a step began.
struct Before {
    scrape: String,
    log: usize,
    resident_kib: u64,
}

impl Before {
    fn of(sidecar: &Sidecar) -> Self {
        Self { scrape: sidecar.metrics(), log: sidecar.log().len(), resident_kib: sidecar.resident_kib() }
    }
}

/// What is not (yet) as the step says.
fn look(step: &Step, before: &Before, sidecar: &Sidecar, upstream: &Upstream) -> Vec<String> {
    let mut faults = Vec::new();
    let scrape = sidecar.metrics();
    let read = |text: &str, name: &str, labels: &[(&str, &str)]| metrics::value(text, name, labels);
    let gauge = read(&scrape, "relatch_config_last_reload_successful", &[]);
    if step.gauge.is_some() && gauge != step.gauge {
        faults.push(format!("the gauge is {gauge:?}"));
    }
    let rise = |name: &str, labels: &[(&str, &str)]| {
        read(&scrape, name, labels).zip(read(&before.scrape, name, labels)).map(|(now, then)| now - then)
    };
    if let Some(wanted) = &step.moves {
        let moved: BTreeMap<&str, f64> = RESULTS
            .iter()
            .map(|result| (*result, rise("relatch_config_reloads_total", &[("result", result)]).unwrap_or(f64::NAN)))
            .collect();
        let as_wanted = moved.iter().all(|(result, by)| match wanted.get(*result) {
            Some(moves) => moves.allows(*by),
            None => *by == 0.0 || *result == "unchanged",
        });
        if !as_wanted {
            faults.push(format!("reloads moved {moved:?}, wanted {wanted:?}"));
        }
    }
    let risen = rise("relatch_config_generation", &[]);
    if step.generation.is_some() && risen != step.generation {
        faults.push(format!("the generation rose by {risen:?}"));
    }
    let log = sidecar.log().split_off(before.log);
    for words in step.lines.iter().chain(Some(&step.log)) {
        let has_all = |line: &str| words.iter().all(|word| line.contains(word.as_str()));
        if !words.is_empty() && !log.lines().any(has_all) {
            faults.push(format!("no line of the log has {words:?}"));
        }
    }
    let grown = sidecar.resident_kib().saturating_sub(before.resident_kib);
    if step.rss_kib.is_some_and(|most| grown > most) {
        faults.push(format!("grew by {grown} KiB"));
    }
    // Questions only when all else is well: each is a request, and may be a failed one.
    if faults.is_empty() {
        faults.extend(step.accepted.iter().filter_map(|pair| asked(sidecar, pair, 200)));
        faults.extend(step.refused.iter().filter_map(|pair| asked(sidecar, pair, 401)));
        faults.extend(step.sends.iter().filter_map(|(pair, secret)| sent(sidecar, upstream, pair, secret)));
    }
    faults
}

/// Presents a pair; tells if it was not answered so.
fn asked(sidecar: &Sidecar, pair: &str, wanted: u16) -> Option<String> {
    let (id, secret) = pair.split_once(' ').expect("client and secret");
    let status = token_post(sidecar.proxy(), Method::Basic, id, secret).status;
    (status != wanted).then(|| format!("{pair} is answered {status}"))
}

/// Presents a pair; tells if the upstream did not see that secret for it.
fn sent(sidecar: &Sidecar, upstream: &Upstream, pair: &str, wanted: &str) -> Option<String> {
    let mark = upstream.count();
    if let Some(fault) = asked(sidecar, pair, 200) {
        return Some(fault);
    }
    let seen = upstream.since(mark).first().and_then(|seen| seen.basic_decoded());
    let seen = seen.map(|(_, secret)| secret);
    (seen.as_deref() != Some(wanted)).then(|| format!("for {pair} the upstream saw {seen:?}"))
}
