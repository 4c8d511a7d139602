//! What a request must bring where it comes over a network: a name that is ours, no sign of a browser, a token. For a
//! browser there is the page, and nothing else. And what every answer carries, so that no browser keeps it or shows it in a
//! frame.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Request, Uri};
use tokio::sync::Semaphore;
use tower_service::Service;

use super::answer::Fault;
use super::body::MostBody;
use super::caller::{Bearer, Caller};
use super::compatible::login::{self, Login};
use super::compatible::refusal;
use super::ground::Ground;
use super::journal;
use super::page::{self, Page};
use super::routes::router;
use super::tokens::Tokens;
use crate::audit::Audit;
use crate::config::settings::Throttle as Failures;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::ids::BorrowedKey;
use crate::domain::source::Source;
use crate::log::Log;
use crate::throttle::Throttle;

/// A request over a network is small: names and times.
const MOST_BODY: usize = 64 << 10;
/// How often the file of the tokens is read, beside each request that finds it changed: it may have moved under a mount.
const LOOK: Duration = Duration::from_secs(1);
/// A disk that hangs does not keep out whom the tokens in force let in.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);

/// On every answer that says nothing else of itself. What is no page has nothing to load, frame or run.
const ALWAYS: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// The two ends of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Between {
    /// Who calls.
    pub(super) peer: IpAddr,
    /// Where it called.
    pub(super) local: SocketAddr,
    /// Whether the connection has TLS.
    pub(super) secure: bool,
}

/// Who asks: the page looks for a session itself, the API for a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guest {
    Browser,
    Program,
}

/// Who shows nothing that is known, be it as a token or as a login link.
pub(super) struct Strangers {
    failures: Throttle,
    audit: Audit,
    clock: Arc<Clock>,
    log: Log,
}

impl Strangers {
    fn of(ground: &Ground, log: Log) -> Self {
        let Failures { failures, per, table_size } = ground.settings.throttle;
        let failures = Throttle::new(failures, per, table_size);
        Self { failures, audit: ground.audit.clone(), clock: ground.clock.clone(), log }
    }

    /// One of them at this address, once more. Gives the seconds until it counts afresh where it came too often.
    pub(super) fn note(&self, from: IpAddr, what: &str) -> Option<u32> {
        let (source, now) = (Source::Address(from), self.clock.now());
        self.audit.stranger(from, now);
        let too_many = self.failures.settle(BorrowedKey { tenant: "", id: b"" }, source, now);
        if too_many.is_none() {
            self.log.warn(what, &[("address", &source)]);
        }
        too_many
    }
}

/// Stands before the routes.
pub struct Gate {
    ground: Arc<Ground>,
    routes: Router,
    page: Page,
    tokens: Arc<Tokens>,
    /// One look at a time.
    look: Arc<Semaphore>,
    allowed_hosts: Vec<String>,
    strangers: Arc<Strangers>,
    clock: Arc<Clock>,
    log: Log,
}

impl Gate {
    /// Before the routes over this ground.
    pub fn new(ground: &Arc<Ground>, tokens: Arc<Tokens>, log: Log) -> Arc<Self> {
        let strangers = Arc::new(Strangers::of(ground, log.clone()));
        Arc::new(Self {
            ground: ground.clone(),
            routes: router(ground.clone()).layer(DefaultBodyLimit::max(MOST_BODY)),
            page: Page::new(ground.clone(), strangers.clone(), log.clone()),
            tokens,
            look: Arc::new(Semaphore::new(1)),
            allowed_hosts: ground.settings.admin.allowed_hosts.clone(),
            strangers,
            clock: ground.clock.clone(),
            log,
        })
    }

    /// Reads the tokens again from time to time, and what the page shows, while the instance runs.
    pub async fn follow(self: Arc<Self>) {
        let tokens = async {
            loop {
                tokio::time::sleep(LOOK).await;
                self.clone().renew(Tokens::renew).await;
            }
        };
        tokio::join!(tokens, self.page.follow());
    }

    /// Answers a request. `busy` while it is one that was let in.
    pub(super) async fn answer<B>(
        self: &Arc<Self>,
        request: Request<B>,
        between: Between,
        busy: &Cell<bool>,
    ) -> Response
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<axum::BoxError>,
    {
        let path = request.uri().path().to_owned();
        let response = match self.arrive(&request, between).await {
            Err(fault) => fault.into_response(),
            Ok(Guest::Browser) => self.page.answer(request.map(Body::new), between, &self.tokens, busy).await,
            Ok(Guest::Program) if login::is_login(&request) => self.log_in(request.map(Body::new), between).await,
            Ok(Guest::Program) => match self.admit(request.headers(), between) {
                Err(fault) => fault.into_response(),
                Ok(caller) => {
                    let mut request = request.map(Body::new);
                    request.extensions_mut().insert(caller);
                    request.extensions_mut().insert(MostBody(MOST_BODY as u64));
                    busy.set(true);
                    // A router is always ready, and never fails.
                    let Ok(response) = self.routes.clone().call(request).await;
                    busy.set(false);
                    response
                }
            },
        };
        self.ground.count(response.status());
        dressed(&path, response, self.clock.now())
    }

    /// Whether a request may be heard at all, and by whom.
    async fn arrive<B>(self: &Arc<Self>, request: &Request<B>, between: Between) -> Result<Guest, Fault> {
        let headers = request.headers();
        if !self.is_ours(request.uri(), headers, between.local) {
            return Err(Fault::misdirected());
        }
        // Who shows a token is no browser.
        let guest = if page::is_at(request.uri().path()) && !headers.contains_key(header::AUTHORIZATION) {
            Guest::Browser
        } else {
            Guest::Program
        };
        if guest == Guest::Program && is_of_a_page(headers) {
            return Err(Fault::of_a_page());
        }
        // What was revoked a moment ago is refused now.
        self.clone().renew(Tokens::renew_if_changed).await;
        Ok(guest)
    }

    /// Who asks.
    fn admit(&self, headers: &HeaderMap, between: Between) -> Result<Caller, Fault> {
        let now = self.clock.now();
        let token = self.tokens.find(presented(headers), now).ok_or_else(|| self.unknown(between))?;
        self.tokens.note_use(&token, now);
        Ok(Caller::Bearer(Bearer::of(token, between.peer)))
    }

    /// Who presents a token by its name is given it for an access token.
    async fn log_in(&self, request: Request<Body>, between: Between) -> Response {
        let login = match Login::read(request).await {
            Ok(login) => login,
            Err(fault) => return fault.into_response(),
        };
        let now = self.clock.now();
        match self.tokens.find(login.client_secret.as_bytes(), now).filter(|token| login.is_of(token)) {
            Some(token) => {
                self.tokens.note_use(&token, now);
                login.granted(&token, now)
            }
            None => self.unknown(between).into_response(),
        }
    }

    /// No token that is known was presented.
    fn unknown(&self, between: Between) -> Fault {
        let too_many = self.strangers.note(between.peer, "an admin token was refused");
        too_many.map_or_else(Fault::unauthorized, Fault::too_many)
    }

    async fn renew(self: Arc<Self>, read: fn(&Tokens, &Log) -> Option<String>) {
        let looked = async {
            let Ok(turn) = self.look.clone().acquire_owned().await else { return };
            let gate = self.clone();
            let look = move || {
                let before = gate.tokens.in_force();
                let refused = read(&gate.tokens, &gate.log);
                journal::tokens_in_force(&gate.ground, &before, &gate.tokens.in_force(), refused);
                // Held by the look itself: one that hangs is not followed by another.
                drop(turn);
            };
            let _panicked = tokio::task::spawn_blocking(look).await;
        };
        let _the_ones_before_stay = tokio::time::timeout(LOOK_PATIENCE, looked).await;
    }

    /// Whether the request names us: a page whose name was led here by DNS names itself.
    fn is_ours(&self, uri: &Uri, headers: &HeaderMap, local: SocketAddr) -> bool {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else { return false };
        let host = host.to_ascii_lowercase();
        let same = |authority: &http::uri::Authority| authority.as_str().eq_ignore_ascii_case(&host);
        if !uri.authority().is_none_or(same) {
            return false;
        }
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()),
            _ => (&*host, None),
        };
        let address = match local.ip().to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let ours = [&*address, "localhost", "127.0.0.1", "[::1]"].contains(&name);
        let default_port = port.is_none() && matches!(local.port(), 80 | 443);
        (ours && (port == Some(local.port()) || default_port))
            || self.allowed_hosts.iter().any(|allowed| *allowed == host || *allowed == name)
    }
}

/// An answer as it leaves: what it refuses in the words of its path, and what every answer carries.
fn dressed(path: &str, response: Response, now: Timestamp) -> Response {
    let mut response = refusal::in_own_words(path, response, now);
    for (name, value) in ALWAYS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

/// Whether a page of a browser asks: ours does not ask the API, and no other may.
fn is_of_a_page(headers: &HeaderMap) -> bool {
    let from_elsewhere = |value: &HeaderValue| value == "cross-site" || value == "same-site";
    headers.contains_key(header::ORIGIN) || headers.get_all("sec-fetch-site").iter().any(from_elsewhere)
}

/// The token of the one Authorization header; nothing where there is none, or more than one, or of another scheme. Okta's
/// SDKs have a scheme of their own for the same, and the one for Python leaves no space after it.
fn presented(headers: &HeaderMap) -> &[u8] {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(one), None) = (all.next(), all.next()) else { return b"" };
    let of = |scheme: &[u8]| {
        let (own, token) = one.as_bytes().split_at_checked(scheme.len())?;
        own.eq_ignore_ascii_case(scheme).then(|| token.trim_ascii())
    };
    of(b"bearer ").or_else(|| of(b"ssws")).unwrap_or_default()
}
