//! Holds what happened to a case against what it expects.

use std::fmt::Write as _;
use std::time::Duration;

use super::Shape;
use super::case::{Case, Expect, Words};
use super::exchange::{Plan, Transcript, ask, converse};
use super::kind::Kind;
use super::live::Live;
use super::request::{self, Step};
use crate::support::upstream::Seen;
use crate::support::{bytes, leak, poll};

/// Parameters whose place in the form is the proxy's choice.
const CREDENTIALS: [&str; 2] = ["client_id", "client_secret"];

/// Runs one case in one shape; a report if it failed.
pub(super) fn run(case: &Case, shape: Shape, live: &mut Live) -> Option<String> {
    let mut faults = Vec::new();
    for late in live.turn_page() {
        faults.push(format!("(of the case before) {late}"));
    }
    let memory = live.sidecar.resident_kib();
    let steps = request::steps(case, shape);
    let follow_id = format!("after-{}", case.id);
    let plan = plan(case, &steps, &follow_id, &live.probe);
    let mut transcript = match request::translated(case).filter(|_| shape == Shape::Streams) {
        Some(request) => ask(live.front(), request, &plan),
        None => converse(live.front(), &plan),
    };
    faults.append(&mut transcript.faults);
    if !transcript.in_step {
        faults.extend(live.ask(&follow_id).err());
    }
    let seen = live.seen(&follow_id);
    faults.extend(answers(case, shape, &transcript, live));
    faults.extend(deliveries(case, &transcript, &seen));
    for one in &seen {
        faults.extend(leak::sender(one, live.sidecar.extra_headers()));
        faults.extend(content(&case.expect, shape, one));
    }
    faults.extend(secrecy(case, &transcript, &seen, live));
    faults.extend(logged(&case.expect, live));
    if let Some(most) = case.expect.rss_kib {
        let grown = live.sidecar.resident_kib().saturating_sub(memory);
        if grown > most {
            faults.push(format!("resident memory grew by {grown} KiB"));
        }
    }
    (!faults.is_empty()).then(|| report(case, shape, &steps, &transcript, &seen, live, &faults))
}

/// Stops the test at a word, a name or a reference that means nothing.
#[track_caller]
pub(super) fn check_words(case: &Case, all: &[Case]) {
    for words in [&case.expect.answer].into_iter().chain(&case.expect.then) {
        assert!(!kinds(case, words).is_empty(), "{}: no answer is allowed", case.id);
    }
    if let Some(other) = &case.expect.same_as {
        let before = all.iter().take_while(|one| one.id != case.id);
        let found = before.into_iter().any(|one| one.id == *other && one.setup == case.setup);
        assert!(found, "{}: no case {other} before it in the same set-up", case.id);
    }
}

fn kinds(case: &Case, words: &Words) -> Vec<Kind> {
    let parse = |word| Kind::parse(word).unwrap_or_else(|| panic!("{}: word {word:?}", case.id));
    words.list().into_iter().map(parse).collect()
}

/// What to send for a case and what to wait for; `probe` is whose good request follows.
pub(super) fn plan<'a>(case: &'a Case, steps: &'a [Step], follow_id: &'a str, probe: &'a (String, String)) -> Plan<'a> {
    let mut answers = vec![kinds(case, &case.expect.answer); case.times];
    answers.extend(case.expect.then.iter().map(|words| kinds(case, words)));
    Plan {
        steps,
        answers,
        error: case.expect.error.as_deref(),
        bodyless: case.method.as_deref() == Some("HEAD"),
        close: case.expect.close,
        within: case.expect.within_ms.map(Duration::from_millis),
        follow_id,
        follow: (&probe.0, &probe.1),
    }
}

/// The answers beyond their kind: headers, interim answers, sameness, order.
fn answers(case: &Case, shape: Shape, transcript: &Transcript, live: &mut Live) -> Vec<String> {
    let expect = &case.expect;
    let mut faults = Vec::new();
    for reply in &transcript.replies {
        let kinds = [&expect.answer].into_iter().chain(&expect.then).flat_map(|w| kinds(case, w));
        let foreseen = kinds.into_iter().any(|kind| kind.status() == Some(reply.status));
        if reply.status >= 500 && !foreseen {
            faults.push(format!("a {}", reply.status));
        }
    }
    let tokens: Vec<String> = transcript
        .replies
        .iter()
        .filter_map(|reply| reply.json()["access_token"].as_str().map(str::to_owned))
        .collect();
    let number = |token: &String| token.trim_start_matches("at-").parse::<u64>().unwrap_or(0);
    if !tokens.is_sorted_by_key(number) {
        faults.push(format!("answers out of order: {tokens:?}"));
    }
    let Some(first) = transcript.replies.first() else { return faults };
    for (name, value) in &expect.headers_answer {
        if first.all(name) != [value.as_str()] {
            faults.push(format!("answer header {name} {:?}, not {value:?}", first.all(name)));
        }
    }
    if expect.interim.is_some_and(|wanted| wanted != first.interim.contains(&100)) {
        faults.push(format!("interim answers {:?}", first.interim));
    }
    let bytes = first.without_date();
    // The two protocols write the same answer differently.
    let named = |id: &String| (id.clone(), shape == Shape::Streams);
    if let Some(kept) = expect.same_as.as_ref().and_then(|other| live.answers.get(&named(other)))
        && *kept != bytes
    {
        faults.push(format!("differs from {:?}: {}", expect.same_as, bytes::escape(kept)));
    }
    live.answers.insert(named(&case.id), bytes);
    faults
}

fn deliveries(case: &Case, transcript: &Transcript, seen: &[Seen]) -> Option<String> {
    let allowed = allowed_deliveries(case, transcript);
    let wrong = !allowed.contains(&seen.len());
    wrong.then(|| format!("{} requests upstream, allowed are {allowed:?}", seen.len()))
}

/// How many requests the upstream may see.
pub(super) fn allowed_deliveries(case: &Case, transcript: &Transcript) -> Vec<usize> {
    let passes = transcript.kinds.iter().map(|kind| kind.deliveries()).sum();
    case.expect.upstream.clone().unwrap_or_else(|| vec![passes])
}

/// One request at the upstream, beyond the promises that hold for all of them.
fn content(expect: &Expect, shape: Shape, seen: &Seen) -> Vec<String> {
    let mut faults = Vec::new();
    let target = expect.target_upstream.as_deref().unwrap_or("/token");
    let method = expect.method_upstream.as_deref().unwrap_or("POST");
    if (seen.method.as_str(), seen.target.as_str()) != (method, target) {
        faults.push(format!("upstream got {} {}", seen.method, seen.target));
    }
    for (name, value) in &expect.headers_upstream {
        // The corpus is written for http; what the upstream is told of the scheme follows the way the case came.
        let secured = match name.to_ascii_lowercase().as_str() {
            "x-forwarded-proto" if value == "http" => "https".to_owned(),
            "forwarded" => value.replace("proto=http;", "proto=https;"),
            _ => value.clone(),
        };
        let as_it_came = shape == Shape::Secured && seen.all(name) == [secured.as_str()];
        if !as_it_came && seen.all(name) != [value.as_str()] {
            faults.push(format!("upstream header {name} {:?}, not {value:?}", seen.all(name)));
        }
    }
    for name in &expect.headers_absent {
        if seen.header(name).is_some() {
            faults.push(format!("upstream header {name} {:?}", seen.all(name)));
        }
    }
    if let Some(wanted) = &expect.basic_upstream {
        let readings = [seen.basic(), seen.basic_decoded()];
        if !readings.iter().flatten().any(|found| found == wanted) {
            faults.push(format!("upstream reads Basic as {readings:?}"));
        }
    }
    // A body that does not decode is the promises' finding, not ours.
    let Some(form) = crate::support::form::pairs(&seen.body) else { return faults };
    if let Some(wanted) = &expect.form {
        let place = |form: &[(String, String)]| {
            let (mut credentials, others): (Vec<_>, Vec<_>) =
                form.iter().cloned().partition(|(name, _)| CREDENTIALS.contains(&name.as_str()));
            credentials.sort();
            (credentials, others)
        };
        if place(&form) != place(wanted) {
            faults.push(format!("upstream form {form:?}"));
        }
    }
    for pair in expect.form_has.iter().filter(|pair| !form.contains(pair)) {
        faults.push(format!("upstream form {form:?} lacks {pair:?}"));
    }
    for name in expect.form_lacks.iter().filter(|name| form.iter().any(|(key, _)| key == *name)) {
        faults.push(format!("upstream form has {name}"));
    }
    faults
}

/// What must not be seen anywhere: the case's forbidden bytes, and its secret
/// outside the request that carries it on.
fn secrecy(case: &Case, transcript: &Transcript, seen: &[Seen], live: &Live) -> Vec<String> {
    let mut faults = Vec::new();
    let log = live.log();
    let forbidden = case.expect.forbid.iter();
    for text in forbidden {
        let needle: Vec<u8> = text.chars().map(|c| c as u8).collect();
        let mut places: Vec<(&str, &[u8])> = vec![("log", log.as_bytes()), ("answers", &transcript.received)];
        let fragments = live.fragments();
        places.extend(seen.iter().map(|one| ("upstream", one.raw.as_slice())));
        places.extend(fragments.iter().map(|one| ("upstream", one.as_slice())));
        for (place, _) in places.iter().filter(|(_, hay)| bytes::contains(hay, &needle)) {
            faults.push(format!("{text:?} shows in the {place}"));
        }
    }
    let mut secrets = live.sidecar.canaries().to_vec();
    let own = case.basic.as_ref().and_then(|pair| pair.split_once(':'));
    secrets.extend(own.map(|(_, secret)| secret.to_owned()));
    faults.extend(leak::spills("the log", log.as_bytes(), &secrets));
    faults.extend(leak::spills("the answers", &transcript.received, &secrets));
    faults.extend(leak::log_faults(log.rfind('\n').map_or("", |end| &log[..end])));
    faults
}

/// The access line: it may come a moment after the answer.
fn logged(expect: &Expect, live: &Live) -> Option<String> {
    let wanted = expect.result.as_ref()?;
    let results = || -> Vec<String> {
        let lines = live.log();
        let parsed = lines.lines().filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok());
        let access = parsed.filter(|line| line["msg"] == "request");
        access.filter_map(|line| line["result"].as_str().map(str::to_owned)).collect()
    };
    let found = || results().iter().any(|result| wanted.contains(result)).then_some(());
    let missing = poll(Duration::from_secs(2), found).is_none();
    missing.then(|| format!("results in the access log {:?}, wanted {wanted:?}", results()))
}

fn report(
    case: &Case,
    shape: Shape,
    steps: &[Step],
    transcript: &Transcript,
    seen: &[Seen],
    live: &Live,
    faults: &[String],
) -> String {
    let mut out = format!("{} ({shape:?}, {}): {}", case.id, case.setup, case.title);
    for fault in faults {
        _ = write!(out, "\n  - {fault}");
    }
    _ = write!(out, "\n  sent     {}", bytes::escape(&request::sent(steps)));
    _ = write!(out, "\n  received {}", bytes::escape(&transcript.received));
    for one in seen {
        _ = write!(out, "\n  upstream {}", bytes::escape(&one.raw));
    }
    for line in live.log().lines().take(6) {
        _ = write!(out, "\n  log      {}", bytes::escape(line.as_bytes()));
    }
    out
}
