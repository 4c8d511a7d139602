//! The token server behind the proxy, as a test wants it: it keeps every byte
//! it was sent, reports each request, and answers, stalls, drips or breaks on
//! command.

pub(crate) mod seen;
mod serve;

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustls::ServerConfig;

pub(crate) use seen::Seen;

use super::tls::Security;

/// What the upstream does with a request that it has read whole.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// A well-formed answer; `Content-Length` is added.
    Fixed {
        /// Status code.
        status: u16,
        /// Header lines, in order.
        headers: Vec<(String, String)>,
        /// Body.
        body: Vec<u8>,
    },
    /// These bytes, then the next request on the same connection.
    Raw(Vec<u8>),
    /// These bytes, then the end of the connection.
    RawThenClose(Vec<u8>),
    /// These bytes one at a time, with a pause before each.
    Drip(Vec<u8>, Duration),
    /// The head and the first half of the body of an answer, then the end.
    HalfThenClose(Box<Self>),
    /// The other answer, once the gate opens.
    Stall(Gate, Box<Self>),
    /// Nothing, for as long as the proxy keeps the connection.
    Silence,
    /// The end of the connection, without a byte.
    Close,
    /// A reset of the connection.
    Reset,
}

impl Answer {
    /// A JSON answer with this status, not to be stored.
    pub(crate) fn json(status: u16, body: &str) -> Self {
        let headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self::Fixed { status, headers, body: body.into() }
    }

    /// The default: a token that carries the request's number, and a header that
    /// names the request it answers.
    pub(crate) fn token(seen: &Seen) -> Self {
        let number = seen.number;
        let body = format!(r#"{{"access_token":"at-{number}","token_type":"Bearer","expires_in":3600}}"#);
        Self::json(200, &body).with("X-Answer-To", seen.request_id().unwrap_or("-"))
    }

    /// Adds a header line to a `Fixed` answer.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Fixed { headers, .. } = &mut self {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }
}

/// Holds answers back until the test opens it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets every waiting and future answer go.
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    fn wait(&self) {
        let open = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(open, |open| !*open).unwrap());
    }
}

type Script = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

/// What the acceptor, its connections and the test share.
struct Shared {
    journal: Mutex<Vec<Arc<Seen>>>,
    fragments: Mutex<Vec<Vec<u8>>>,
    reports: Mutex<Sender<Arc<Seen>>>,
    script: Mutex<Script>,
    connections: AtomicUsize,
    security: Security,
    stopped: AtomicBool,
}

/// A running recording upstream; stops accepting when dropped.
pub(crate) struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    reports: Receiver<Arc<Seen>>,
}

impl Upstream {
    /// Listens on a free port and answers every request with a token.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, reports) = channel();
        let shared = Arc::new(Shared {
            journal: Mutex::default(),
            fragments: Mutex::default(),
            reports: Mutex::new(sender),
            script: Mutex::new(Arc::new(Answer::token)),
            connections: AtomicUsize::new(0),
            security: Security::default(),
            stopped: AtomicBool::new(false),
        });
        serve::accept(listener, Arc::clone(&shared));
        Self { address, shared, reports }
    }

    /// From now on each new connection is secured so.
    pub(crate) fn secure(&self, tls: Arc<ServerConfig>) {
        self.shared.security.set(tls);
    }

    /// Its URL over TLS, by the name that its certificate is to have.
    pub(crate) fn https(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, for `[upstream] url`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on every request gets this answer.
    pub(crate) fn answer(&self, answer: Answer) {
        self.answer_by(move |_| answer.clone());
    }

    /// From now on every request gets the answer that `script` makes for it.
    pub(crate) fn answer_by(&self, script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(script);
    }

    /// From now on requests wait for the gate, and then get their token.
    pub(crate) fn stall(&self) -> Gate {
        let gate = Gate::default();
        let held = gate.clone();
        self.answer_by(move |seen| Answer::Stall(held.clone(), Box::new(Answer::token(seen))));
        gate
    }

    /// The next request in order of arrival; stops the test if none comes in time.
    #[track_caller]
    pub(crate) fn next(&self, within: Duration) -> Arc<Seen> {
        self.try_next(within).expect("the upstream saw no request in time")
    }

    /// The next request in order of arrival, if one comes in time.
    pub(crate) fn try_next(&self, within: Duration) -> Option<Arc<Seen>> {
        self.reports.recv_timeout(within).ok()
    }

    /// Every request so far, in order of arrival.
    pub(crate) fn seen(&self) -> Vec<Arc<Seen>> {
        self.since(0)
    }

    /// Every request after the first `mark`.
    pub(crate) fn since(&self, mark: usize) -> Vec<Arc<Seen>> {
        let journal = self.shared.journal.lock().unwrap();
        journal.get(mark..).unwrap_or_default().to_vec()
    }

    /// How many requests were read whole.
    pub(crate) fn count(&self) -> usize {
        self.shared.journal.lock().unwrap().len()
    }

    /// How many times the request with this `X-Request-Id` was delivered.
    pub(crate) fn count_of(&self, request_id: &str) -> usize {
        self.seen().iter().filter(|seen| seen.request_id() == Some(request_id)).count()
    }

    /// What was left of connections that ended in the middle of a request.
    pub(crate) fn fragments(&self) -> Vec<Vec<u8>> {
        self.shared.fragments.lock().unwrap().clone()
    }

    /// How many connections were ever accepted.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the acceptor, so that it sees the flag.
        drop(std::net::TcpStream::connect(self.address));
    }
}

/// An address where nothing listens.
pub(crate) fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
