//! How long it takes from the rename of an edited list to the first answer that
//! knows it. Printed, not asserted: a time is the machine's too.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::caller::Caller;
use crate::support::http::{Method, token_request};
use crate::support::{PATIENCE, bytes};

/// The one client that is edited by hand.
pub(super) const CLIENT: &str = "probe";
/// Its one secret.
pub(super) const SECRET: &str = "probe_1";
const VALUE: &str = "probe-canary-3bX81q";
const ACTIVE: &str = "status = \"active\"  # by hand";
const DISABLED: &str = "status = \"disabled\"  # by hand";

/// A client whose secret somebody disables and enables in an editor.
pub(super) struct Probe {
    request: Vec<u8>,
}

impl Probe {
    pub(super) fn new() -> Self {
        Self { request: token_request(Method::Basic, CLIENT, VALUE, "") }
    }

    /// Its entry in the list.
    pub(super) fn entry(&self) -> String {
        let hash = bytes::sha256_record(VALUE.as_bytes());
        format!("[[client]]\nid = \"{CLIENT}\"\n[[client.secret]]\nid = \"{SECRET}\"\nhash = \"{hash}\"\n{ACTIVE}\n\n")
    }

    /// Edits the list so many times, an even number, each once the one before it has been seen in an answer.
    #[track_caller]
    pub(super) fn toggle(&self, list: &Path, proxy: SocketAddr, times: usize, spread: &mut Spread) {
        let mut caller = Caller::connect(proxy).unwrap();
        let fresh = list.with_extension("new");
        for turn in 0..times {
            let (from, to, wanted) =
                if turn.is_multiple_of(2) { (ACTIVE, DISABLED, 401) } else { (DISABLED, ACTIVE, 200) };
            let text = std::fs::read_to_string(list).unwrap();
            assert!(text.contains(from), "{from} is not in the list");
            std::fs::write(&fresh, text.replace(from, to)).unwrap();
            std::fs::rename(&fresh, list).unwrap();
            let renamed = Instant::now();
            loop {
                let answer = caller.ask(&self.request);
                if answer == Ok((wanted, false)) {
                    break;
                }
                assert!(renamed.elapsed() < PATIENCE, "the edit has no effect: {answer:?}, not {wanted}");
            }
            spread.add(renamed.elapsed());
        }
    }
}

/// Many times, told as three.
#[derive(Default)]
pub(super) struct Spread(Vec<Duration>);

impl Spread {
    pub(super) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut sorted = self.0.clone();
        sorted.sort();
        let at = |share: f64| sorted.get((sorted.len() as f64 * share) as usize).or(sorted.last()).copied();
        let ms = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64() * 1000.0;
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| ms(at(share)));
        write!(f, "p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms ({} times)", sorted.len())
    }
}
