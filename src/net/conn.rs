//! Where a request stands, and by when that must end: of a connection of HTTP/1.1 for one request after the other, of
//! HTTP/2 for each stream, beside the connection that carries them.
//!
//! A time for a head that also ran while a connection lies idle would have callers race a close: the phases keep the two
//! apart.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::deadline::Deadline;
use crate::domain::source::{Source, TrustedProxy};
use crate::forwarded::{Caller, Link};
use crate::message::fields::{Fields, Value};

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
    link: Link,
    phase: Cell<Phase>,
    since: Cell<u64>,
    deadline: Deadline,
    limits: PhaseLimits,
    lingers: Cell<bool>,
    was_asked: Cell<bool>,
    /// Set while the server drains: how long the connection may still lie idle.
    last_idle: Cell<Option<Duration>>,
    caller: RefCell<Option<Rc<Caller>>>,
    streams: Streams,
    /// The tick it began with.
    born: u64,
}

/// What HTTP/2 adds: a connection carries streams.
enum Streams {
    /// One request at a time.
    None,
    /// Those of this connection.
    Carried(Carried),
    /// This is one of that connection; one that came too late to be waited for is not counted.
    Of { carrier: Rc<Conn>, counted: bool },
}

/// The streams of a connection.
#[derive(Default)]
struct Carried {
    /// Open ones.
    open: Cell<usize>,
    /// Answered ones that were not asked about yet.
    answered: Cell<u32>,
    /// Since which tick the other end has been told to take its leave.
    leaving: Cell<Option<u64>>,
}

/// A request that waited so many ticks and is given up is no quick reset.
const PATIENT: u64 = 10;

impl Conn {
    /// A connection that has just been made, for one request after the other.
    pub fn new(link: Link, deadline: Deadline, limits: PhaseLimits) -> Rc<Self> {
        Self::begin(link, deadline, limits, Streams::None)
    }

    /// One that carries streams.
    pub fn carrier(link: Link, deadline: Deadline, limits: PhaseLimits) -> Rc<Self> {
        Self::begin(link, deadline, limits, Streams::Carried(Carried::default()))
    }

    /// A stream that a request has come on.
    pub fn stream(carrier: &Rc<Self>, deadline: Deadline) -> Rc<Self> {
        let mut counted = false;
        if let Streams::Carried(Carried { open, leaving, .. }) = &carrier.streams {
            // Until the other end acknowledges our leave it may open more: not without end.
            counted = leaving.get().is_none_or(|since| carrier.tick() - since <= PATIENT);
            if counted {
                open.set(open.get() + 1);
                carrier.enter(Phase::Upstream);
            }
        }
        let streams = Streams::Of { carrier: carrier.clone(), counted };
        Self::begin(carrier.link.clone(), deadline, carrier.limits, streams)
    }

    fn begin(link: Link, deadline: Deadline, limits: PhaseLimits, streams: Streams) -> Rc<Self> {
        let conn = Self {
            link,
            born: deadline.now(),
            phase: Cell::new(Phase::Idle),
            since: Cell::new(0),
            deadline,
            limits,
            lingers: Cell::new(false),
            was_asked: Cell::new(false),
            last_idle: Cell::new(None),
            caller: RefCell::new(None),
            streams,
        };
        // A caller that connects and says nothing is given as long as one that begins a head.
        conn.enter(Phase::Head);
        conn.phase.set(Phase::Idle);
        Rc::new(conn)
    }

    /// Enters a phase and sets its deadline.
    pub fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        if phase == Phase::Body {
            self.was_asked.set(true);
        }
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

    /// Whether a request has come over it.
    pub const fn was_asked(&self) -> bool {
        self.was_asked.get()
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

    /// Bytes came from the other end: the first one after an idle phase begins a head. Where streams are carried a request
    /// says itself when it is here.
    pub fn bytes_came(&self) {
        if self.phase.get() == Phase::Idle && matches!(self.streams, Streams::None) {
            self.enter(Phase::Head);
        }
    }

    /// Where the other end connects from.
    pub const fn peer(&self) -> Source {
        self.link.peer
    }

    /// Ticks so far, for rough ages.
    pub fn tick(&self) -> u64 {
        self.deadline.now()
    }

    /// How many streams were answered since this was last asked.
    pub const fn answered(&self) -> u32 {
        match &self.streams {
            Streams::Carried(Carried { answered, .. }) => answered.replace(0),
            _ => 0,
        }
    }

    /// Whether this is one of many requests of a connection.
    pub const fn is_stream(&self) -> bool {
        matches!(self.streams, Streams::Of { .. })
    }

    /// Ticks since it began.
    pub fn age(&self) -> u64 {
        self.tick().saturating_sub(self.born)
    }

    /// The other end is told to take its leave: it has `grace` from now, or from its last answer.
    pub fn leave(&self, grace: Duration) {
        if let Streams::Carried(Carried { leaving, .. }) = &self.streams {
            leaving.set(Some(self.tick()));
        }
        self.drain(grace);
        if self.has_no_request() {
            self.enter(Phase::Idle);
        }
    }

    /// Whether the other end was told to take its leave.
    pub const fn is_leaving(&self) -> bool {
        matches!(&self.streams, Streams::Carried(Carried { leaving, .. }) if leaving.get().is_some())
    }

    /// What is told about this connection's caller: made once where every request would be told about alike.
    pub fn caller(&self, trusted: &[TrustedProxy], fields: &Fields, host: Option<Value<'_>>) -> Rc<Caller> {
        if let Streams::Of { carrier, .. } = &self.streams {
            return carrier.caller(trusted, fields, host);
        }
        let mut kept = self.caller.borrow_mut();
        match &*kept {
            Some(caller) if caller.serves(host) => caller.clone(),
            _ => kept.insert(Rc::new(Caller::of(&self.link, trusted, fields, host))).clone(),
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

impl Drop for Conn {
    fn drop(&mut self) {
        let Streams::Of { carrier, counted } = &self.streams else { return };
        let Streams::Carried(Carried { open, answered, .. }) = &carrier.streams else { return };
        let waited = self.tick().saturating_sub(self.born) >= PATIENT;
        if self.phase.get() == Phase::Idle || waited {
            // Given up after a while it costs what it costs, and earns it.
            answered.set(answered.get().saturating_add(if waited { 2 } else { 1 }));
        }
        if !counted {
            return;
        }
        open.set(open.get().saturating_sub(1));
        if open.get() == 0 {
            carrier.enter(Phase::Idle);
        }
    }
}
