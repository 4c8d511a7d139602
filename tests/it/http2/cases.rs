//! `tests/corpus/h2-frames.toml`: requests that HTTP/2 can say and should not, and the safe answers.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use crate::support::http::{Method, Outcome, Wire, token_request};
use crate::support::raw_frames::{
    DATA, END_HEADERS, END_STREAM, FORM, Fate, GOAWAY, HEADERS, PUSH_PROMISE, RST_STREAM, Raw, block, frame, good,
};
use crate::support::sidecar::Sidecar;
use crate::support::upstream::Upstream;
use crate::support::{PATIENCE, bytes, poll};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    case: Vec<Case>,
}

/// A good request but for what is said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    title: String,
    /// Fields that replace the good ones of that name; an empty list takes them out.
    #[serde(default)]
    with: Vec<(String, Vec<String>)>,
    /// Fields behind all others, as they stand.
    #[serde(default)]
    more: Vec<(String, String)>,
    /// Fields before all others.
    #[serde(default)]
    first: Vec<(String, String)>,
    /// The body in place of the good one.
    body: Option<String>,
    /// Whether the head ends the stream.
    #[serde(default)]
    bodyless: bool,
    /// Trailers.
    #[serde(default)]
    trailers: Vec<(String, String)>,
    /// After the head, in place of the rest: `reset` or nothing more.
    then: Option<String>,
    /// Frames before the request, in hexadecimal.
    #[serde(default)]
    before: Vec<String>,
    /// Statuses, `reset`, `goaway`, `closed`.
    expect: Vec<String>,
    /// How many requests the upstream sees; by default one for a 200.
    upstream: Option<usize>,
    /// What the upstream never sees.
    #[serde(default)]
    forbid: Vec<String>,
}

impl Case {
    fn fields(&self, authorization: &str) -> Vec<(String, String)> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut fields: Vec<_> = good(authorization).iter().map(own).collect();
        for (name, values) in &self.with {
            let at = fields.iter().position(|(known, _)| known == name).unwrap_or(fields.len());
            fields.retain(|(known, _)| known != name);
            for value in values.iter().rev() {
                fields.insert(at, (name.clone(), value.clone()));
            }
        }
        [self.first.clone(), fields, self.more.clone()].concat()
    }

    fn send(&self, raw: &mut Raw) {
        let basic = bytes::basic("c1", "good-secret");
        let pairs = |fields: &[(String, String)]| {
            block(&fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>())
        };
        for hex in &self.before {
            let digits: Vec<char> = hex.chars().filter(|c| !c.is_whitespace()).collect();
            let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
            raw.send(&digits.chunks(2).map(byte).collect::<Vec<_>>());
        }
        let ends = if self.bodyless { END_STREAM } else { 0 };
        raw.send(&frame(HEADERS, END_HEADERS | ends, 1, &pairs(&self.fields(&basic))));
        match self.then.as_deref() {
            Some("reset") => _ = raw.send(&frame(RST_STREAM, 0, 1, &8u32.to_be_bytes())),
            Some("reset without error") => {
                raw.send(&frame(DATA, 0, 1, b"grant_type=client_credentials&scope=a"));
                raw.send(&frame(RST_STREAM, 0, 1, &0u32.to_be_bytes()));
            }
            Some("nothing") => {}
            Some("leave") => _ = raw.send(&frame(GOAWAY, 0, 0, &[0; 8])),
            Some("push") => _ = raw.send(&frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2, 0x88])),
            Some(other) => panic!("{}: then {other}", self.id),
            None if self.bodyless => {}
            None => {
                let body = self.body.as_ref().map_or(FORM, |body| body.as_bytes());
                let last = if self.trailers.is_empty() { END_STREAM } else { 0 };
                raw.send(&frame(DATA, last, 1, body));
                if !self.trailers.is_empty() {
                    raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &pairs(&self.trailers)));
                }
            }
        }
    }

    fn allows(&self, fate: &Fate) -> bool {
        self.expect.iter().any(|word| match (word.as_str(), fate) {
            ("reset", Fate::Reset(_)) | ("goaway", Fate::GoAway(_)) | ("closed", Fate::Closed) => true,
            ("silence", Fate::Silence) => true,
            (status, Fate::Answered(answered)) => *status == answered.to_string(),
            _ => false,
        })
    }
}

#[test]
fn frames_have_one_reading_or_are_refused() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/h2-frames.toml");
    let cases: Cases = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let upstream = Upstream::start();
    // One thread, so that a connection to the upstream always lies ready.
    let overlay = "[upstream]\ncredential = \"assert\"\n[proxy]\nworkers = 1\n";
    let sidecar = Sidecar::guard().client("c1", &["good-secret"]).config(overlay).upstream(&upstream).start();
    let (mut failures, mut seen) = (Vec::new(), 0);
    for case in &cases.case {
        let mut raw = Raw::begin(sidecar.proxy(), &[]);
        case.send(&mut raw);
        let silent = case.expect.iter().any(|word| word == "silence");
        let fate = raw.fate(1, if silent { Duration::from_millis(300) } else { PATIENCE });
        drop(raw);
        let mut fail = |why: String| failures.push(format!("{} ({}): {why}", case.id, case.title));
        if !case.allows(&fate) {
            fail(format!("{fate:?}, allowed are {:?}", case.expect));
        }
        // A good request, over the other protocol, tells that all before it has arrived.
        let mut wire = Wire::connect(sidecar.proxy());
        wire.send(&token_request(Method::Post, "c1", "good-secret", &format!("after-{}", case.id)));
        match wire.read_reply(false, PATIENCE) {
            Outcome::Reply(reply) if reply.status == 200 => {}
            other => fail(format!("a good request afterwards: {other:?}")),
        }
        let wanted = case.upstream.unwrap_or(usize::from(fate == Fate::Answered(200)));
        let arrived = upstream.since(seen);
        seen += arrived.len();
        let own: Vec<_> =
            arrived.iter().filter(|one| one.request_id() != Some(&format!("after-{}", case.id))).collect();
        if own.len() != wanted {
            fail(format!("{} requests upstream, not {wanted}", own.len()));
        }
        for one in &own {
            for text in case.forbid.iter().filter(|text| bytes::contains(&one.raw, text.as_bytes())) {
                fail(format!("the upstream saw {text:?}"));
            }
            let identity = one.all("x-relatch-client-id");
            if identity != ["c1"] {
                fail(format!("the upstream was told {identity:?}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.case.len(), failures.join("\n"));
    poll(PATIENCE, || (sidecar.metric("relatch_http_requests_in_flight", &[]) == Some(0.0)).then_some(()))
        .expect("a request is still under way");
    sidecar.finish(&upstream);
}
