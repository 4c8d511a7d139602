//! One token request, in nine named steps. Each takes the type that the one before it made.
//!
//! accept ([`crate::net`]) -> read ([`read`]) -> extract ([`crate::extract`]) -> snapshot -> verify ([`crate::verify`])
//! -> settle ([`crate::throttle`]) -> record use -> rewrite ([`crate::rewrite`]) -> send ([`crate::upstream`])
//! -> respond ([`respond`])

pub mod authenticate;
mod metadata;
mod prove;
pub mod read;
pub mod report;
pub mod respond;
pub mod route;
mod sample;
mod send;
pub mod settle;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, Version};
use zeroize::Zeroizing;

use self::authenticate::{Cleared, Decision};
use self::read::Read;
use self::report::{Notes, Reporter};
use self::respond::{Failure, Reply};
use self::route::Routes;
use crate::admission::Provers;
use crate::config::settings::Settings;
use crate::config::settings::kinds::EndpointAuth;
use crate::domain::clock::Clock;
use crate::domain::oauth::Refusal;
use crate::extract::Unreadable;
use crate::extract::form::Form;
use crate::extract::json;
use crate::head::Head;
use crate::message::fields::Value;
use crate::message::name::Name;
use crate::message::request::Request;
use crate::metrics::Metrics;
use crate::net::accept::Load;
use crate::net::body;
use crate::net::conn::{Conn, Phase};
use crate::net::service::{self, Service};
use crate::registry::Snapshot;
use crate::rewrite::{Original, preflight};
use crate::throttle::Throttle;
use crate::upstream::exchange::{Answer, exchange};
use crate::upstream::pool::Pools;
use crate::verify::slow::Work;
use crate::work;

/// What all data-plane threads share. Nothing in it is locked by a request.
pub struct Shared {
    /// What is fixed while we run.
    pub settings: Settings,
    /// The client list in force.
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    /// Failures by id and source.
    pub throttle: Throttle,
    /// Who proved a secret lately, of the clients where that matters.
    pub provers: Provers,
    /// The threads that compute slow hashes.
    pub work: work::Pool<Work>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The time of windows.
    pub clock: Arc<Clock>,
    /// The paths we serve.
    pub routes: Routes,
}

/// The proxy of one data-plane thread.
pub struct Proxy {
    shared: Arc<Shared>,
    pools: Pools,
    reporter: Reporter,
    load: Arc<Load>,
    draining: Cell<bool>,
    /// Said with every answer, where all of them go through TLS (RFC 6797).
    hsts: Option<HeaderValue>,
}

/// A body that may hold a form.
enum Body {
    /// As it was sent.
    AsSent(Bytes),
    /// Written from JSON.
    OfJson(Zeroizing<Vec<u8>>),
}

impl Proxy {
    /// A proxy with its own connections and buffers.
    pub fn new(shared: Arc<Shared>, pools: Pools, reporter: Reporter, load: Arc<Load>) -> Rc<Self> {
        let hsts = shared.settings.proxy.hsts.as_secs();
        let hsts = (hsts > 0).then(|| HeaderValue::try_from(format!("max-age={hsts}")).ok()).flatten();
        Rc::new(Self { shared, pools, reporter, load, draining: Cell::new(false), hsts })
    }

    /// Steps 2 to 9, told as they happen to `notes`.
    async fn answer(
        &self,
        conn: &Rc<Conn>,
        request: &Request,
        body: &mut body::Body<'_>,
        notes: &mut Notes,
    ) -> Result<Answer, Failure> {
        let shared = &*self.shared;
        self.room(request.version)?;
        let mut head = Head::check(request.version, &request.fields)?;
        notes.request_id = head.request_id.take();
        if let Some(found) = shared.routes.metadata(request, notes) {
            return Box::pin(self.metadata(found, conn, request, &head, notes)).await;
        }
        let (route, tenant) = shared.routes.find(request, notes)?;
        let pool = self.pools.of(route.endpoint.upstream);
        let caller = conn.caller(&shared.settings.proxy.trusted_proxies, &request.fields, head.host);
        notes.peer = caller.address;
        route.check_host(head.host.map(Value::bytes))?;
        // A believed proxy may tell of another one, of which the upstream is told.
        route.check_host(caller.host().map(str::as_bytes))?;
        let query = route.check(request)?;
        let target = route.upstream_target(tenant, query.as_ref());
        let original = Original {
            target: &target,
            head: &head,
            fields: &request.fields,
            caller: &caller,
            request_id: self.reporter.request_id(notes),
            cors: route.endpoint.auth == EndpointAuth::Optional,
        };
        if request.method == Method::OPTIONS {
            pool.begin(conn);
            let outbound = preflight(&original, pool.rules());
            return Ok(exchange(pool, conn, outbound).await?);
        }

        let Read { body, at_once } = read::body(body, conn, route.endpoint.max_body).await?;
        // One reading of the clock serves the windows, the record and the durations.
        let now = shared.clock.at(notes.body_read(at_once));
        pool.begin(conn);
        let body = if route.endpoint.json && head.is_json() {
            Body::OfJson(json::to_form(&body).map_err(|unreadable| self.unreadable(unreadable, notes))?)
        } else {
            Body::AsSent(body)
        };
        let form = self.form(&head, &body, notes)?;
        // The upstream would take one of the two, and we cannot know which.
        if query.is_some_and(|query| query.shares_a_name(&form)) {
            return Err(self.unreadable(Unreadable::Malformed, notes).into());
        }
        let cleared = match self.authenticate(&head, &form, (route, tenant), &caller, now, notes)? {
            Decision::Cleared(cleared) => cleared,
            Decision::Pending(pending) => {
                Box::pin(self.prove(conn, *pending, &route.endpoint, caller.address, now, notes)).await?
            }
        };
        if let Cleared::Verified(verified) = &cleared {
            self.reporter.sample(verified, caller.address, &request.fields, now);
        }
        match cleared.identity() {
            Some(whose) => self.send_replaced((pool, conn), &original, &form, cleared.passage(), whose, now).await,
            None => send::once(pool, conn, &original, &form, cleared.passage()).await,
        }
    }

    /// Connections are bounded, and with them the requests of those that carry one at a time; where one connection carries
    /// many the same bound holds for requests.
    fn room(&self, version: Version) -> Result<(), Refusal> {
        let most = i64::try_from(self.shared.settings.limits.max_connections).unwrap_or(i64::MAX);
        let full = version == Version::HTTP_2 && self.shared.metrics.in_flight.get() > most;
        if full { Err(Refusal::Busy(1)) } else { Ok(()) }
    }

    /// The form, or what stood for one in JSON.
    fn form<'b>(&self, head: &Head<'_>, body: &'b Body, notes: &mut Notes) -> Result<Form<'b>, Refusal> {
        let parsed = match body {
            Body::OfJson(form) => Form::parse(form),
            Body::AsSent(body) if head.is_form(body.is_empty()) => Form::parse(body),
            Body::AsSent(_) => Err(Unreadable::Malformed),
        };
        parsed.map_err(|unreadable| self.unreadable(unreadable, notes))
    }
}

impl Service for Proxy {
    type Body = Reply;

    async fn call(
        self: Rc<Self>,
        conn: Rc<Conn>,
        request: Request,
        mut body: body::Body<'_>,
    ) -> service::Answer<Reply> {
        let _in_flight = InFlight::count(&self);
        conn.enter(Phase::Body);
        let mut report = Report::begin(&self.reporter, &request, &conn);
        let answer = self.answer(&conn, &request, &mut body, &mut report.notes).await;
        let mut answer = respond::respond(answer, &conn, &mut report.notes);
        let unread = !report.notes.body_is_read() && !body.is_over();
        if unread {
            conn.linger();
        }
        answer.closes |= unread || self.draining.get();
        if let Some(hsts) = &self.hsts
            && !answer.fields.has(Name::StrictTransportSecurity)
        {
            answer.fields.push(Name::StrictTransportSecurity, hsts.into());
        }
        // RFC 9110 section 9.3.2.
        if request.method == Method::HEAD {
            answer.body = Reply::Whole(None);
        }
        report.status = Some(answer.status);
        answer
    }

    fn tick(&self) {
        self.pools.sweep();
        self.reporter.tick();
    }

    fn flush(&self) {
        self.reporter.flush();
    }

    fn drain(&self) {
        self.draining.set(true);
    }
}

/// What is reported of a request when it is over, also where nobody waited for the answer: a caller that leaves takes the
/// whole handling of its request with it.
struct Report<'r> {
    reporter: &'r Reporter,
    request: &'r Request,
    status: Option<StatusCode>,
    notes: Notes,
}

impl<'r> Report<'r> {
    fn begin(reporter: &'r Reporter, request: &'r Request, conn: &Conn) -> Self {
        Self { reporter, request, status: None, notes: Notes::begin(conn) }
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        // The code that nginx made known: the caller closed before there was an answer.
        let left = || StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST);
        self.reporter.report(self.request, self.status.unwrap_or_else(left), &mut self.notes);
    }
}

/// A request in flight, counted.
struct InFlight<'p>(&'p Proxy);

impl<'p> InFlight<'p> {
    fn count(proxy: &'p Proxy) -> Self {
        proxy.load.requests.fetch_add(1, Relaxed);
        proxy.shared.metrics.in_flight.inc();
        Self(proxy)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.load.requests.fetch_sub(1, Relaxed);
        self.0.shared.metrics.in_flight.dec();
    }
}
