//! Nine servers that other people wrote, one after the other the upstream of a relatch of its own: every case of the
//! corpus is sent to each of them, and what the server read is held against what the recording upstream of the corpus
//! saw, and against whom relatch says that it authenticated.
//!
//! [`server`] starts them, [`reading`] is one request as one of them read it, [`walk`] sends the corpus.

mod reading;
mod server;
mod walk;

use std::fmt::Write as _;

use server::{SERVERS, Server};
use walk::{Observed, Recorder, Stage, walk};

use crate::corpus::sample::Sample;

/// More would only say the same again.
const SHOWN: usize = 40;

#[test]
#[ignore = "needs node, python, nginx, apache and haproxy: make test"]
fn no_server_reads_another_request_client_credential_or_count_than_relatch_authenticated() {
    let samples = Sample::all();
    let stages = Stage::all(&samples);
    let (expected, observed) = std::thread::scope(|scope| {
        let stages = &stages;
        let each = SERVERS.map(|which| scope.spawn(move || walk(stages, &mut Server::start(which))));
        let expected = walk(stages, &mut Recorder::start());
        (expected, each.map(|one| one.join().unwrap_or_else(|why| std::panic::resume_unwind(why))))
    });
    let mut faults: Vec<String> =
        expected.iter().filter_map(|one| report("recording upstream", one, &one.faults)).collect();
    for (server, observed) in SERVERS.iter().zip(&observed) {
        assert_eq!(expected.len(), observed.len(), "{}", server.name);
        for (expected, observed) in expected.iter().zip(observed) {
            faults.extend(compare(server.name, expected, observed));
        }
    }
    let delivered: usize = expected.iter().map(|one| one.readings.len()).sum();
    assert!(delivered > 0, "nothing was delivered");
    let (count, ran) = (faults.len(), expected.len());
    faults.truncate(SHOWN);
    assert!(count == 0, "{count} findings in {ran} runs on each server:\n\n{}", faults.join("\n"));
}

/// What a server read of a case, beside what was written for it: a report if they differ.
fn compare(server: &str, expected: &Observed<'_>, observed: &Observed<'_>) -> Option<String> {
    let mut faults = observed.faults.clone();
    if expected.statuses != observed.statuses {
        faults.push(format!("answered {:?}, with the recording upstream {:?}", observed.statuses, expected.statuses));
    }
    if observed.readings.len() > observed.most {
        faults.push(format!("read {} requests, allowed are {}", observed.readings.len(), observed.most));
    }
    if expected.readings.len() == observed.readings.len() {
        let pairs = expected.readings.iter().zip(&observed.readings);
        faults.extend(pairs.flat_map(|(written, read)| written.differences(read)));
    } else {
        faults.push(format!("read {} requests, written were {}", observed.readings.len(), expected.readings.len()));
    }
    report(server, observed, &faults)
}

/// The faults of a case, if there are any, and what was read.
fn report(server: &str, observed: &Observed<'_>, faults: &[String]) -> Option<String> {
    if faults.is_empty() {
        return None;
    }
    let mut out = format!("{server}, {} ({}): {}", observed.id, observed.stage, observed.title);
    for fault in faults {
        _ = write!(out, "\n  - {fault}");
    }
    for reading in &observed.readings {
        _ = write!(out, "\n  read {reading}");
    }
    Some(out)
}
