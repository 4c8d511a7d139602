//! What a request leaves behind: a count, a duration, a line. Lines, refusals and samples gather in the thread's own
//! buffers and are handed over at the next tick, or at once when the thread had been quiet.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};

use super::Shared;
use super::sample::Sampler;
use super::settle::{Batch, Denial};
use crate::attempt::{Exhausted, Moved};
use crate::domain::clock::{Timestamp, instant};
use crate::domain::oauth::AuthResult;
use crate::domain::request_id::{RequestId, hex};
use crate::domain::source::Source;
use crate::log::access::{Line, LineCache};
use crate::log::{Log, about};
use crate::message::fields::{Fields, Value};
use crate::message::name::Name;
use crate::message::request::Request;
use crate::metrics::Metrics;
use crate::net::conn::Conn;
use crate::registry::Client;
use crate::registry::cells::user_agent;
use crate::upstream::UpstreamError;
use crate::verify::{Denied, Verified};

/// What is noted of a request while it is handled.
pub struct Notes {
    /// Who called.
    pub peer: Source,
    /// Index of the endpoint.
    pub endpoint: Option<usize>,
    /// The request's id.
    pub request_id: Option<RequestId>,
    /// The client, where one is known.
    pub client: Option<Client>,
    /// How client authentication ended, where that is known already.
    pub result: Option<AuthResult>,
    /// Refused credentials, whose reason is found out later.
    pub denied: Option<Denied>,
    /// What went wrong with the upstream.
    pub upstream_error: Option<UpstreamError>,
    secret: Option<usize>,
    began: Instant,
    body_read_at: Option<Instant>,
}

impl Notes {
    /// Begins with the head of a request.
    pub fn begin(conn: &Conn) -> Self {
        Self {
            peer: conn.peer(),
            endpoint: None,
            request_id: None,
            client: None,
            result: None,
            denied: None,
            upstream_error: None,
            secret: None,
            began: instant(),
            body_read_at: None,
        }
    }

    /// The body has been read, with the head or later; gives the time of that.
    pub fn body_read(&mut self, at_once: bool) -> Instant {
        *self.body_read_at.insert(if at_once { self.began } else { instant() })
    }

    /// Whether the body was read to its end.
    pub const fn body_is_read(&self) -> bool {
        self.body_read_at.is_some()
    }

    /// Client authentication has been decided.
    pub fn decided(&self, metrics: &Metrics) {
        if let Some(at) = self.body_read_at {
            metrics.authentication_duration.observe(instant().saturating_duration_since(at).as_secs_f64());
        }
    }

    /// ... and the client is proven.
    pub fn verified(&mut self, verified: &Verified) {
        self.result = Some(AuthResult::Success);
        self.secret = Some(verified.record_index());
        self.client = Some(verified.client().clone());
    }

    fn secret_id(&self) -> &str {
        let record = self.client.as_ref().zip(self.secret).and_then(|(client, at)| client.records().get(at));
        record.map_or("", |record| record.id.as_str())
    }
}

/// Takes over to the control thread what is left to be settled, or gives it back when that has too much.
pub type Aftermath = Box<dyn Fn(Batch) -> Result<(), Batch>>;

/// The reporting of one data-plane thread.
pub struct Reporter {
    shared: Arc<Shared>,
    log: Log,
    aftermath: Aftermath,
    waiting: RefCell<Waiting>,
    handed_over: Cell<bool>,
    ids: RequestIds,
}

#[derive(Default)]
struct Waiting {
    lines: Vec<u8>,
    batch: Batch,
    sampler: Sampler,
    cache: LineCache,
}

/// Lines are handed over when there are this many bytes of them, tick or not. With the last one mostly what a pipe takes at
/// once: each time costs two changes of threads.
const MANY_BYTES: usize = (64 - 2) << 10;
/// ... and refusals when there are this many.
const MANY_DENIALS: usize = 256;

impl Reporter {
    /// A reporter that writes to `log` and tells what is left to be settled to `aftermath`.
    pub fn new(shared: Arc<Shared>, log: Log, aftermath: Aftermath) -> Self {
        let waiting = RefCell::default();
        Self { shared, log, aftermath, waiting, handed_over: Cell::new(false), ids: RequestIds::new() }
    }

    /// The id that the request came with, or a new one.
    pub fn request_id(&self, notes: &mut Notes) -> RequestId {
        notes.request_id.get_or_insert_with(|| self.ids.next()).clone()
    }

    /// Step 7, the rest of it: where a secret was used from, unless the same was told a moment ago.
    pub fn sample(&self, verified: &Verified, address: Source, fields: &Fields, at: Timestamp) {
        let waiting = &mut *self.waiting.borrow_mut();
        waiting.sampler.sample(verified, address, said(fields), at, &mut waiting.batch.used);
    }

    /// Counts a request and writes its line.
    pub fn report(&self, request: &Request, status: StatusCode, notes: &mut Notes) {
        let method = &request.method;
        let metrics = &self.shared.metrics;
        let now = instant();
        let took = now.saturating_duration_since(notes.began);
        metrics.requests.count(notes.endpoint, method, status, took);
        if let Some(error) = notes.upstream_error {
            error.count(&metrics.upstream_errors);
        }
        let at = self.shared.clock.at(now);
        let mut waiting = self.waiting.borrow_mut();
        match notes.denied.take() {
            Some(denied) => {
                let user_agent =
                    if denied.client.is_some() { user_agent(said(&request.fields)) } else { Box::default() };
                let (peer, request_id, endpoint) = (notes.peer, notes.request_id.take(), notes.endpoint);
                let denial = Denial { denied, at, peer, user_agent, request_id, endpoint, took, status };
                waiting.batch.denials.push(denial);
            }
            None if self.log.access() => {
                self.request_id(notes);
                self.write_line(method, status, notes, at, took, &mut waiting);
            }
            None => return,
        }
        let many = waiting.lines.len() >= MANY_BYTES || waiting.batch.denials.len() >= MANY_DENIALS;
        if many || !self.handed_over.replace(true) {
            self.hand_over(&mut waiting);
        }
    }

    fn write_line(
        &self,
        method: &Method,
        status: StatusCode,
        notes: &Notes,
        at: Timestamp,
        took: Duration,
        waiting: &mut Waiting,
    ) {
        let error = notes.upstream_error.map(|error| error.to_string());
        let line = Line {
            at,
            client: notes.client.as_ref().map(|client| &client.key),
            secret_id: notes.secret_id(),
            result: notes.result,
            status: status.as_u16(),
            took,
            peer: notes.peer,
            request_id: notes.request_id.as_ref(),
            method: method.as_str(),
            endpoint: self.shared.routes.name(notes.endpoint),
            error: error.as_deref(),
        };
        line.write(&self.log, &mut waiting.cache, &mut waiting.lines);
    }

    /// Tells that another upstream secret than before works. They are counted from 1, as people do.
    pub fn upstream_secret_moved(&self, client: &Client, moved: Moved, of: usize) {
        let what = match (moved.is_last, moved.to) {
            (true, _) => "the last upstream secret of a client is the only one left that works",
            (false, 0) => "the first upstream secret of a client works again",
            (false, _) => "an upstream secret of a client no longer works, another one does",
        };
        let (refused, works) = (moved.from + 1, moved.to + 1);
        self.log.warn(what, &about(&client.key, &[("refused", &refused), ("works", &works), ("of", &of)]));
    }

    /// Tells that none works, each time the upstream has been asked.
    pub fn upstream_secrets_refused(&self, client: &Client, exhausted: Exhausted, of: usize) {
        let fields = about(&client.key, &[("of", &of), ("asked_again_in_seconds", &exhausted.seconds)]);
        self.log.warn("the upstream refused every upstream secret of a client", &fields);
    }

    /// Hands over what waits; to be called at each tick.
    pub fn tick(&self) {
        self.handed_over.set(false);
        self.flush();
    }

    /// Hands over what waits.
    pub fn flush(&self) {
        self.hand_over(&mut self.waiting.borrow_mut());
    }

    fn hand_over(&self, waiting: &mut Waiting) {
        if !waiting.lines.is_empty() {
            let room = Vec::with_capacity(MANY_BYTES + 1024);
            self.log.write(std::mem::replace(&mut waiting.lines, room));
        }
        if !waiting.batch.is_empty()
            && let Err(too_many) = (self.aftermath)(std::mem::take(&mut waiting.batch))
        {
            // Under a flood the reasons are not looked up: each counts as what it would mostly be. And where a secret
            // was used from is told by the next sample.
            for denial in too_many.denials {
                match &denial.denied.client {
                    Some(client) => client.cells().count(AuthResult::InvalidSecret),
                    None => self.shared.metrics.count_nobody(AuthResult::UnknownClient),
                }
            }
        }
    }
}

/// What the caller says it is.
fn said(fields: &Fields) -> &[u8] {
    fields.get(Name::UserAgent).map_or(&[], Value::bytes)
}

/// Request ids of one thread: a random half and a counted half.
struct RequestIds {
    random: [u8; 16],
    counted: Cell<u64>,
}

impl RequestIds {
    fn new() -> Self {
        let random = || getrandom::u64().unwrap_or_default();
        Self { random: hex(random()), counted: Cell::new(random()) }
    }

    fn next(&self) -> RequestId {
        let next = self.counted.get().wrapping_add(1);
        self.counted.set(next);
        RequestId::made(self.random, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_count_in_hexadecimal() {
        let ids = RequestIds::new();
        let counted = |id: &RequestId| u64::from_str_radix(&id.as_str()[16..], 16).unwrap();
        let first = ids.next();
        for step in 1..=5000 {
            let id = ids.next();
            assert_eq!(counted(&id), counted(&first).wrapping_add(step));
            assert_eq!(id.as_str()[..16], first.as_str()[..16]);
        }
        let last = RequestIds { random: *b"0123456789abcdef", counted: Cell::new(u64::MAX) };
        assert_eq!(last.next().as_str(), ["0123456789abcdef", &"0".repeat(16)].concat());
    }
}
