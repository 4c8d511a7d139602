//! From a case to bytes, and to the steps in which they are sent.
//!
//! Marks: `@R0@` and `@R1@` are whole good requests, `@EVIL@` a request that
//! nobody may ever see, `@B64(..)@` base64, `@N@` the number of the repetition.
//! `@PAUSE@` waits a moment, `@WAIT@` until the first byte of an answer has come,
//! `@EOF@` ends our side.

use std::time::Duration;

use super::Shape;
use super::case::{Base, Case};
use crate::support::bytes;
use crate::support::frames::{Request, translated as translate};

/// What `@EVIL@` stands for.
const EVIL: &str = "GET /evil HTTP/1.1\r\nHost: proxy.test\r\n\r\n";

/// The body of the good requests.
const FORM: &str = "grant_type=client_credentials";

/// Larger requests go in one piece only: tearing them shows nothing new.
const LARGE: usize = 64 * 1024;

/// One step of sending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Write these bytes.
    Send(Vec<u8>),
    /// Give the other side time to read them.
    Pause(Duration),
    /// Go on when the other side has said something, or has had its time.
    Wait,
    /// End our side of the connection.
    End,
}

/// The request of a case, marks for sending still in it.
pub(super) fn build(case: &Case) -> Vec<u8> {
    let one = match &case.raw {
        Some(raw) => fill(case, raw),
        None => compose(case),
    };
    let all: String = (1..=case.times).map(|n| one.replace("@N@", &n.to_string())).collect();
    latin1(&all)
}

/// True if the case says nothing itself about how it is sent.
pub(super) fn can_be_torn(case: &Case) -> bool {
    let whole = build(case);
    let marks = [&b"@PAUSE@"[..], b"@WAIT@", b"@EOF@"];
    whole.len() <= LARGE && !marks.iter().any(|mark| bytes::contains(&whole, mark))
}

/// The request over HTTP/2, if the case is one request that means something there.
pub(super) fn translated(case: &Case) -> Option<Request> {
    let whole = Some(build(case)).filter(|_| case.times == 1 && can_be_torn(case))?;
    let speaks_http2 = case.setup != "http1";
    translate(&whole).filter(|_| speaks_http2)
}

/// The steps of sending it.
pub(super) fn steps(case: &Case, shape: Shape) -> Vec<Step> {
    let whole = build(case);
    match shape {
        Shape::Whole | Shape::Secured | Shape::Streams => marked(&whole),
        Shape::Torn => torn(&whole, &case.id),
    }
}

/// The bytes without the marks, for the report.
pub(crate) fn sent(steps: &[Step]) -> Vec<u8> {
    let bytes = |step: &Step| match step {
        Step::Send(bytes) => bytes.clone(),
        _ => Vec::new(),
    };
    steps.iter().flat_map(bytes).collect()
}

/// Whether our side ends with the request.
pub(crate) fn ends(steps: &[Step]) -> bool {
    steps.last() == Some(&Step::End)
}

fn compose(case: &Case) -> String {
    let body = match (&case.body, case.base) {
        (Some(body), _) => fill(case, body),
        (None, Base::R0) => FORM.to_owned(),
        (None, Base::R1) => format!("{FORM}&client_id=c1&client_secret=good-7Hq2"),
        (None, Base::R0C) => format!("{:x}\r\n{FORM}\r\n0\r\n\r\n", FORM.len()),
    };
    let authorization = match (&case.authorization, &case.basic, case.base) {
        (Some(value), _, _) => Some(fill(case, value)),
        (None, Some(pair), _) => Some(format!("Basic {}", bytes::base64(pair.as_bytes()))),
        (None, None, Base::R0 | Base::R0C) => Some(bytes::basic("c1", "good-7Hq2")),
        (None, None, Base::R1) => None,
    };
    let form_type = || "application/x-www-form-urlencoded".to_owned();
    let counted = || without_marks(&body).chars().count().to_string();
    let framing = match (&case.content_length, case.base) {
        (Some(value), _) => ("Content-Length", value.clone()),
        (None, Base::R0 | Base::R1) => ("Content-Length", counted()),
        (None, Base::R0C) => ("Transfer-Encoding", "chunked".to_owned()),
    };
    let standard = [
        Some(("Host", "proxy.test".to_owned())),
        authorization.map(|value| ("Authorization", value)),
        Some(("Content-Type", case.content_type.clone().unwrap_or_else(form_type))),
        Some(framing),
    ];
    let kept = |name: &str| !case.headers_remove.iter().any(|out| out.eq_ignore_ascii_case(name));
    let part = |part: &Option<String>, usual: &str| part.clone().unwrap_or(usual.to_owned());
    let mut out = format!(
        "{} {} {}\r\n",
        part(&case.method, "POST"),
        part(&case.target, "/token"),
        part(&case.version, "HTTP/1.1")
    );
    for (name, value) in &case.headers_first {
        out += &format!("{name}: {value}\r\n");
    }
    for (name, value) in standard.into_iter().flatten().filter(|(name, _)| kept(name)) {
        out += &format!("{name}: {value}\r\n");
    }
    for (name, value) in &case.headers_add {
        out += &format!("{name}: {value}\r\n");
    }
    for line in &case.header_lines {
        out += &format!("{line}\r\n");
    }
    fill(case, &format!("{out}\r\n{body}"))
}

/// Fills in every mark but those about sending and counting.
fn fill(case: &Case, text: &str) -> String {
    let mut text = text.to_owned();
    for repeat in &case.repeat {
        let one = |index: usize| repeat.with.replace("@I@", &index.to_string());
        text = text.replace(&repeat.mark, &(0..repeat.times).map(one).collect::<String>());
    }
    let head = "POST /token HTTP/1.1\r\nHost: proxy.test\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ";
    let basic = bytes::basic("c1", "good-7Hq2");
    let post = format!("{FORM}&client_id=c1&client_secret=good-7Hq2");
    let (short, long) = (FORM.len(), post.len());
    text = text
        .replace("@EVIL@", EVIL)
        .replace("@R0@", &format!("{head}Authorization: {basic}\r\n{form}{short}\r\n\r\n{FORM}"))
        .replace("@R1@", &format!("{head}{form}{long}\r\n\r\n{post}"));
    while let Some((before, rest)) = text.split_once("@B64(") {
        let (plain, after) = rest.split_once(")@").expect("@B64(..)@ without its end");
        text = format!("{before}{}{after}", bytes::base64(&latin1(plain)));
    }
    text
}

fn without_marks(text: &str) -> String {
    text.replace("@PAUSE@", "").replace("@WAIT@", "").replace("@EOF@", "")
}

/// Each character as one byte.
fn latin1(text: &str) -> Vec<u8> {
    let byte = |c| u8::try_from(c).unwrap_or_else(|_| panic!("{c:?} is more than one byte"));
    text.chars().map(byte).collect()
}

fn marked(whole: &[u8]) -> Vec<Step> {
    let marks =
        [(&b"@PAUSE@"[..], Step::Pause(Duration::from_millis(40))), (b"@WAIT@", Step::Wait), (b"@EOF@", Step::End)];
    let mut steps = Vec::new();
    let mut rest = whole;
    let next = |rest| {
        let at = |(mark, step)| bytes::find(rest, mark).map(|at| (at, mark.len(), step));
        marks.clone().into_iter().filter_map(at).min_by_key(|(at, ..)| *at)
    };
    while let Some((at, len, step)) = next(rest) {
        steps.extend([Step::Send(rest[..at].to_vec()), step]);
        rest = &rest[at + len..];
    }
    if !rest.is_empty() {
        steps.push(Step::Send(rest.to_vec()));
    }
    steps
}

/// Cuts at four places that depend on the case's id alone, so that a failure repeats.
pub(crate) fn torn(whole: &[u8], seed: &str) -> Vec<Step> {
    let mut state = seed.bytes().fold(0x9e37_79b9_u64, |s, b| s.rotate_left(7) ^ u64::from(b));
    let mut cuts: Vec<usize> = (0..4)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as usize % whole.len().max(1)
        })
        .collect();
    cuts.sort_unstable();
    let mut steps = Vec::new();
    let mut from = 0;
    for cut in cuts.into_iter().chain([whole.len()]) {
        if cut > from {
            steps.push(Step::Send(whole[from..cut].to_vec()));
            steps.push(Step::Pause(Duration::from_millis(3)));
            from = cut;
        }
    }
    steps.pop();
    steps
}
