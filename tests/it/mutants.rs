//! Good requests, bent at random: whatever comes of one, the proxy answers
//! cleanly or closes, the upstream sees only clean requests, and nothing of it
//! stops the next caller.
//!
//! The corpus holds the tricks that somebody thought of; this looks for those
//! that nobody did. The seed is fixed, so that a failure repeats; `MUTANTS`
//! sets how many are sent and `MUTANTS_SEED` where to begin.

use std::time::Duration;

use crate::corpus::live::{Live, setups};
use crate::corpus::request::{sent, torn};
use crate::support::http::{Outcome, Wire};
use crate::support::{bytes, leak};

/// How many are sent without `MUTANTS`.
const COUNT: u64 = 400;

/// An answer that has not come by now waits for the rest of the request.
const PROMPT: Duration = Duration::from_millis(60);

/// Statuses that a bent request may get. Never a 5xx but the two that say what
/// this server does not speak.
const FINE: [u16; 14] = [200, 400, 401, 404, 405, 408, 411, 413, 414, 415, 417, 421, 431, 501];

/// Bytes and words at which parsers have stumbled before.
const POISON: [&[u8]; 24] = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b"\t",
    b" ",
    b":",
    b"%",
    b"%0d%0a",
    b"\xff",
    b"\x7f",
    b"&",
    b"=",
    b";",
    b",",
    b"0",
    b"client_id=c2",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Length: 0\r\n",
    b"Host: evil.test\r\n",
    b"HTTP/1.1",
    b"Authorization: ",
    b"\r\n ",
];

#[test]
fn bent_requests_are_answered_cleanly_and_nothing_strange_gets_through() {
    let number = |key: &str| std::env::var(key).ok().and_then(|value| value.parse().ok());
    let mut live = Live::start("guard", &setups(), false);
    let mut broken = Vec::new();
    let first = number("MUTANTS_SEED").unwrap_or(1);
    for seed in first..first + number("MUTANTS").unwrap_or(COUNT) {
        let bent = bend(&mut Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let outcome = deliver(&live, &bent, seed);
        let seen = live.seen("");
        let mut faults: Vec<String> =
            seen.iter().flat_map(|one| leak::sender(one, live.sidecar.extra_headers())).collect();
        match &outcome {
            Outcome::Reply(reply) if !FINE.contains(&reply.status) && reply.status != 505 => {
                faults.push(format!("status {}", reply.status));
            }
            Outcome::Reply(reply) if reply.status == 200 && seen.is_empty() => {
                faults.push("a token that the upstream did not give".to_owned());
            }
            Outcome::Aborted(_) | Outcome::Garbage(_) => faults.push(format!("{outcome:?}")),
            Outcome::Silence(_) => faults.push("neither answered nor closed".to_owned()),
            Outcome::Reply(_) | Outcome::Closed => {}
        }
        if seen.iter().any(|one| one.basic().is_none() && one.param("client_secret").is_none()) {
            faults.push("a request without credentials got through".to_owned());
        }
        if !faults.is_empty() {
            let upstream: Vec<_> = seen.iter().map(|one| bytes::escape(&one.raw)).collect();
            let (faults, sent) = (faults.join("; "), bytes::escape(&bent));
            broken.push(format!("seed {seed}: {faults}\n  sent     {sent}\n  upstream {upstream:?}"));
        }
    }
    broken.extend(live.ask("after-mutants").err());
    live.seen("after-mutants");
    broken.extend(live.finish());
    assert!(broken.is_empty(), "{} findings:\n{}", broken.len(), broken.join("\n"));
}

/// Sends it, whole or torn, and ends our side so that nobody waits for more.
fn deliver(live: &Live, bent: &[u8], seed: u64) -> Outcome {
    let mut wire = Wire::connect(live.sidecar.proxy());
    if seed.is_multiple_of(4) {
        for step in torn(bent, &seed.to_string()) {
            wire.send(&sent(&[step]));
        }
    } else {
        wire.send(bent);
    }
    match wire.read_reply(false, PROMPT) {
        Outcome::Silence(_) => {
            wire.half_close();
            wire.read_reply(false, Duration::from_secs(5))
        }
        other => other,
    }
}

/// One to three changes to one of the good requests.
fn bend(dice: &mut Dice) -> Vec<u8> {
    let basic = bytes::basic("c1", "good-7Hq2");
    let head = "POST /token HTTP/1.1\r\nHost: proxy.test\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let good = [
        format!("{head}Authorization: {basic}\r\n{form}Content-Length: 29\r\n\r\ngrant_type=client_credentials"),
        format!("{head}{form}Content-Length: 43\r\n\r\nclient_id=c1&client_secret=good-7Hq2&a=b%20"),
        format!(
            "{head}Authorization: {basic}\r\n{form}Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n2\r\n&c\r\n0\r\n\r\n"
        ),
    ];
    let mut bent = good[dice.below(good.len())].clone().into_bytes();
    for _ in 0..=dice.below(3) {
        let at = dice.below(bent.len());
        let poison = POISON[dice.below(POISON.len())];
        match dice.below(6) {
            0 => bent[at] = poison[0],
            1 => drop(bent.remove(at)),
            2 => bent[at] ^= 1 << dice.below(8),
            3 => drop(bent.splice(at..at, poison.iter().copied())),
            4 => {
                // A stretch of the request once more, somewhere else.
                let end = (at + 1 + dice.below(24)).min(bent.len());
                let stretch = bent[at..end].to_vec();
                let to = dice.below(bent.len());
                drop(bent.splice(to..to, stretch));
            }
            _ => {
                // A poison where a line begins: most of what matters is decided there.
                let starts: Vec<usize> =
                    bent.windows(2).enumerate().filter(|(_, w)| w == b"\r\n").map(|(i, _)| i + 2).collect();
                if !starts.is_empty() {
                    let at = starts[dice.below(starts.len())];
                    drop(bent.splice(at..at, poison.iter().copied()));
                }
            }
        }
    }
    bent
}

/// A small generator: the same seed, the same mutants.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % bound.max(1)
    }
}
