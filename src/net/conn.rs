//! One connection from a caller: which phase it is in, by when that must end, and the bytes underneath.
//!
//! hyper's own header timer also runs while a connection lies idle, so that callers would race a close; the phases here
//! keep the two apart.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::deadline::Deadline;
use super::socket::Socket;
use crate::domain::source::{Source, TrustedProxy};
use crate::forwarded::Caller;

/// Where a connection is in the life of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Between requests.
    Idle,
    /// Some bytes of a head are here.
    Head,
    /// The head is here, the body is not yet.
    Body,
    /// The upstream is asked.
    Upstream,
}

/// How long each phase may last.
#[derive(Clone, Copy, Debug)]
pub struct PhaseLimits {
    /// Between requests.
    pub idle: Duration,
    /// From a request's first byte to the end of its head.
    pub head: Duration,
    /// From there to the end of the body.
    pub body: Duration,
    /// From there to the end of the answer.
    pub upstream: Duration,
}

/// What the connection's task, its bytes and its requests share.
pub struct Conn {
    /// The other end.
    pub peer: Source,
    phase: Cell<Phase>,
    since: Cell<u64>,
    deadline: Deadline,
    limits: PhaseLimits,
    lingers: Cell<bool>,
    /// Set while the server drains: how long the connection may still lie idle.
    last_idle: Cell<Option<Duration>>,
    caller: RefCell<Option<Rc<Caller>>>,
}

impl Conn {
    /// A connection that has just been made.
    pub fn new(peer: Source, deadline: Deadline, limits: PhaseLimits) -> Rc<Self> {
        let conn = Self {
            peer,
            phase: Cell::new(Phase::Idle),
            since: Cell::new(0),
            deadline,
            limits,
            lingers: Cell::new(false),
            last_idle: Cell::new(None),
            caller: RefCell::new(None),
        };
        // A caller that connects and says nothing is given as long as one that begins a head.
        conn.enter(Phase::Head);
        conn.phase.set(Phase::Idle);
        Rc::new(conn)
    }

    /// Enters a phase and sets its deadline.
    pub fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(self.deadline.now());
        self.deadline.set(match phase {
            Phase::Idle => self.last_idle.get().unwrap_or(self.limits.idle),
            Phase::Head => self.limits.head,
            Phase::Body => self.limits.body,
            Phase::Upstream => self.limits.upstream,
        });
    }

    /// Whether the current phase has lasted too long.
    pub fn is_late(&self) -> bool {
        self.deadline.passed()
    }

    /// The current phase.
    pub const fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Whether no request is being handled: nobody would answer a deadline that passes.
    pub fn has_no_request(&self) -> bool {
        matches!(self.phase.get(), Phase::Idle | Phase::Head)
    }

    /// Its deadline, to be woken by it.
    pub const fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    /// The server is draining: an idle connection may send one more request within `grace` of its last, then it ends.
    pub fn drain(&self, grace: Duration) {
        self.last_idle.set(Some(grace.min(self.limits.idle)));
        if self.phase.get() == Phase::Idle {
            let ticks = u64::try_from(grace.as_millis() / super::deadline::TICK.as_millis()).unwrap_or(0);
            let idle_for = self.deadline.now() - self.since.get();
            let left = u32::try_from(ticks.saturating_sub(idle_for)).unwrap_or(0);
            self.deadline.set(super::deadline::TICK * left);
        }
    }

    /// What is told about this connection's caller: made once where every request would be told about alike.
    pub fn caller(&self, trusted: &[TrustedProxy], headers: &HeaderMap, host: Option<&HeaderValue>) -> Rc<Caller> {
        let mut kept = self.caller.borrow_mut();
        match &*kept {
            Some(caller) if caller.serves(host) => caller.clone(),
            _ => kept.insert(Rc::new(Caller::of(self.peer, trusted, headers, host))).clone(),
        }
    }

    /// The answer went out before all of the request was read: the close must wait until the caller had time to read it.
    pub fn linger(&self) {
        self.lingers.set(true);
    }

    /// Whether to wait at the close.
    pub const fn lingers(&self) -> bool {
        self.lingers.get()
    }
}

/// The bytes of a connection; the first one after an idle phase begins a head.
pub struct Watched {
    stream: Socket,
    conn: Rc<Conn>,
}

impl Watched {
    /// Watches a stream.
    pub const fn new(stream: Socket, conn: Rc<Conn>) -> Self {
        Self { stream, conn }
    }

    /// The stream itself.
    pub fn into_inner(self) -> Socket {
        self.stream
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if self.conn.phase() == Phase::Idle && buf.filled().len() > before {
            self.conn.enter(Phase::Head);
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
