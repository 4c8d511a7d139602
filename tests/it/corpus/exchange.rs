//! One case on one connection: send its steps, read its answers, then find out
//! what state the connection is left in.

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::kind::Kind;
use super::request::{Step, ends};
use crate::support::bytes;
use crate::support::frames::{Request, Streams, translated};
use crate::support::http::{Method, Outcome, Reply, Wire, token_request};

/// How long an answer may take where the case does not say.
const ANSWER: Duration = Duration::from_secs(6);

/// How long the proxy may take to close a connection that it should close.
const CLOSING: Duration = Duration::from_secs(4);

/// What to send and what to wait for.
pub(super) struct Plan<'a> {
    pub(super) steps: &'a [Step],
    /// For each answer the allowed kinds.
    pub(super) answers: Vec<Vec<Kind>>,
    pub(super) error: Option<&'a str>,
    pub(super) bodyless: bool,
    pub(super) close: Option<bool>,
    pub(super) within: Option<Duration>,
    /// `X-Request-Id` and credentials of the good request that follows.
    pub(super) follow_id: &'a str,
    pub(super) follow: (&'a str, &'a str),
}

/// What happened.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    pub(super) replies: Vec<Reply>,
    /// The kind that each reply turned out to be.
    pub(super) kinds: Vec<Kind>,
    /// Everything that was received.
    pub(super) received: Vec<u8>,
    /// What was not as it should be.
    pub(super) faults: Vec<String>,
    /// True if the good request that follows worked on the same connection.
    pub(super) in_step: bool,
}

/// Carries the plan out.
pub(super) fn converse(proxy: SocketAddr, plan: &Plan<'_>) -> Transcript {
    let mut wire = Wire::connect(proxy);
    let mut transcript = Transcript::default();
    let started = Instant::now();
    let (stirred, heard) = channel();
    let mut sender = wire.sender();
    std::thread::scope(|scope| {
        scope.spawn(move || send(&mut sender, plan.steps, &heard));
        wire.stirs(plan.within.unwrap_or(ANSWER));
        _ = stirred.send(());
        for kinds in &plan.answers {
            let left = plan.within.unwrap_or(ANSWER).saturating_sub(started.elapsed());
            let outcome = wire.read_reply(plan.bodyless, left.max(Duration::from_millis(1)));
            if !transcript.take(outcome, kinds, plan.error) {
                break;
            }
        }
        // Only now: a sender that is still writing must not hold the test up.
        if !transcript.faults.is_empty() {
            wire.shut();
        }
        drop(stirred);
    });
    if transcript.faults.is_empty() {
        transcript.look_after(&mut wire, plan);
    }
    transcript
}

/// The same over HTTP/2: there is one answer to the one request, or the stream is reset.
pub(super) fn ask(proxy: SocketAddr, request: Request, plan: &Plan<'_>) -> Transcript {
    let mut streams = Streams::connect(proxy);
    let mut transcript = Transcript::default();
    let kinds = plan.answers.first().map(Vec::as_slice).unwrap_or_default();
    match streams.ask(request, plan.within.unwrap_or(ANSWER)) {
        Ok(reply) => _ = transcript.take(Outcome::Reply(reply), kinds, plan.error),
        Err(_) if kinds.contains(&Kind::Framing) => transcript.kinds.push(Kind::Framing),
        Err(why) => transcript.faults.push(why),
    }
    transcript.in_step = true;
    let (id, secret) = plan.follow;
    let follow = translated(&token_request(Method::Basic, id, secret, plan.follow_id)).unwrap();
    match streams.ask(follow, ANSWER) {
        Ok(reply) if reply.status == 200 && reply.header("x-answer-to") == Some(plan.follow_id) => {}
        other => transcript.faults.push(format!("a good request beside it: {other:?}")),
    }
    transcript
}

impl Transcript {
    /// Takes one answer in. True if another one may follow.
    fn take(&mut self, outcome: Outcome, kinds: &[Kind], error: Option<&str>) -> bool {
        match outcome {
            Outcome::Reply(reply) => {
                self.received.extend(&reply.raw);
                let judged = kinds.iter().map(|kind| (*kind, kind.faults(&reply, error)));
                let best = judged.min_by_key(|(_, faults)| faults.len());
                self.replies.push(reply);
                let Some((kind, faults)) = best else { return false };
                self.kinds.push(kind);
                let wrong_status = faults.iter().any(|fault| fault.starts_with("status"));
                if wrong_status {
                    let status = self.replies.last().map_or(0, |reply| reply.status);
                    self.faults.push(format!("answered {status}, allowed are {kinds:?}"));
                } else {
                    self.faults.extend(faults);
                }
                !kind.ends_connection()
            }
            Outcome::Closed => {
                match kinds.iter().find(|kind| kind.allows_silent_end()) {
                    Some(kind) => self.kinds.push(*kind),
                    None => self.faults.push(format!("closed in place of {kinds:?}")),
                }
                false
            }
            Outcome::Aborted(bytes) => self.broken("an answer broke off", bytes),
            Outcome::Silence(bytes) => self.broken("no whole answer in time", bytes),
            Outcome::Garbage(bytes) => self.broken("no HTTP answer", bytes),
        }
    }

    fn broken(&mut self, what: &str, bytes: Vec<u8>) -> bool {
        self.received.extend(bytes);
        self.faults.push(what.to_owned());
        false
    }

    /// Closed or in step: tells which, and whether that is right.
    fn look_after(&mut self, wire: &mut Wire, plan: &Plan<'_>) {
        let announced = |reply: &Reply| reply.all("connection").iter().any(|value| value.eq_ignore_ascii_case("close"));
        let must_close = plan.close == Some(true)
            || self.kinds.last().is_some_and(|kind| kind.ends_connection())
            || self.replies.last().is_some_and(announced)
            || ends(plan.steps);
        if must_close {
            if plan.close == Some(false) {
                self.faults.push("will close, but must stay open".to_owned());
            }
            if !wire.closed_within(CLOSING) {
                match wire.read_reply(false, Duration::from_millis(50)) {
                    Outcome::Reply(reply) => {
                        self.received.extend(&reply.raw);
                        self.faults.push(format!("one more answer: {}", reply.status));
                    }
                    _ => self.faults.push("not closed".to_owned()),
                }
            }
            return;
        }
        let (id, secret) = plan.follow;
        wire.send(&token_request(Method::Basic, id, secret, plan.follow_id));
        match wire.read_reply(false, ANSWER) {
            Outcome::Reply(reply) => {
                self.received.extend(&reply.raw);
                if reply.status == 200 && reply.header("x-answer-to") == Some(plan.follow_id) {
                    self.in_step = true;
                } else {
                    let shown = bytes::escape(&reply.raw);
                    self.faults.push(format!("out of step: the next answer was {shown}"));
                }
            }
            Outcome::Closed if plan.close != Some(false) => {}
            other => self.faults.push(format!("the next request on the connection: {other:?}")),
        }
    }
}

fn send(stream: &mut std::net::TcpStream, steps: &[Step], heard: &Receiver<()>) {
    for step in steps {
        match step {
            // An error here means that the other side has had enough; its answer counts.
            Step::Send(bytes) => _ = stream.write_all(bytes),
            Step::Pause(time) => std::thread::sleep(*time),
            Step::Wait => _ = heard.recv_timeout(Duration::from_secs(1)),
            Step::End => _ = stream.shutdown(Shutdown::Write),
        }
    }
}
