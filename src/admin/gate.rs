//! What a request must bring where it comes over a network: a name that is ours, no sign of a browser, a token. And what
//! every answer there carries, so that no browser keeps it, runs it or shows it in a frame.

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
use super::caller::{Bearer, Caller};
use super::compatible::login::{self, Login};
use super::compatible::refusal;
use super::ground::Ground;
use super::routes::router;
use super::tokens::Tokens;
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

/// On every answer. There is no page here, so that nothing may be loaded, framed or run.
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
}

/// Stands before the routes.
pub struct Gate {
    routes: Router,
    ground: Arc<Ground>,
    tokens: Arc<Tokens>,
    /// One look at a time.
    look: Arc<Semaphore>,
    allowed_hosts: Vec<String>,
    failures: Throttle,
    clock: Arc<Clock>,
    log: Log,
}

impl Gate {
    /// Before the routes over this ground.
    pub fn new(ground: &Arc<Ground>, tokens: Arc<Tokens>, log: Log) -> Arc<Self> {
        let Failures { failures, per, table_size } = ground.settings.throttle;
        Arc::new(Self {
            routes: router(ground.clone()).layer(DefaultBodyLimit::max(MOST_BODY)),
            ground: ground.clone(),
            tokens,
            look: Arc::new(Semaphore::new(1)),
            allowed_hosts: ground.settings.admin.allowed_hosts.clone(),
            failures: Throttle::new(failures, per, table_size),
            clock: ground.clock.clone(),
            log,
        })
    }

    /// Reads the tokens again from time to time, while the instance runs.
    pub async fn follow(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.clone().renew(Tokens::renew).await;
        }
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
        let admitted = match self.arrive(&request, between).await {
            Ok(()) if login::is_login(&request) => {
                return dressed(&path, self.log_in(request.map(Body::new), between).await, self.clock.now());
            }
            Ok(()) => self.admit(request.headers(), between),
            Err(fault) => Err(fault),
        };
        let response = match admitted {
            Err(fault) => fault.into_response(),
            // Told by its length, before it comes.
            Ok(_) if request.body().size_hint().lower() > MOST_BODY as u64 => Fault::too_large().into_response(),
            Ok(caller) => {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(caller);
                busy.set(true);
                // A router is always ready, and never fails.
                let Ok(response) = self.routes.clone().call(request).await;
                busy.set(false);
                response
            }
        };
        self.ground.count(response.status());
        dressed(&path, response, self.clock.now())
    }

    /// Whether a request may be heard at all.
    async fn arrive<B>(self: &Arc<Self>, request: &Request<B>, between: Between) -> Result<(), Fault> {
        let headers = request.headers();
        if !self.is_ours(request.uri(), headers, between.local) {
            return Err(Fault::misdirected());
        }
        if is_of_a_page(headers) {
            return Err(Fault::of_a_page());
        }
        // What was revoked a moment ago is refused now.
        self.clone().renew(Tokens::renew_if_changed).await;
        Ok(())
    }

    /// Who asks.
    fn admit(&self, headers: &HeaderMap, between: Between) -> Result<Caller, Fault> {
        let token = self.tokens.find(presented(headers), self.clock.now());
        token.map(|token| Caller::Bearer(Bearer::of(token, between.peer))).ok_or_else(|| self.unknown(between))
    }

    /// Who presents a token by its name is given it for an access token.
    async fn log_in(&self, request: Request<Body>, between: Between) -> Response {
        let login = match Login::read(request).await {
            Ok(login) => login,
            Err(fault) => return fault.into_response(),
        };
        let now = self.clock.now();
        match self.tokens.find(login.client_secret.as_bytes(), now).filter(|token| login.is_of(token)) {
            Some(token) => login.granted(&token, now),
            None => self.unknown(between).into_response(),
        }
    }

    /// No token that is known was presented.
    fn unknown(&self, between: Between) -> Fault {
        let source = Source::Address(between.peer);
        match self.failures.settle(BorrowedKey { tenant: "", id: b"" }, source, self.clock.now()) {
            Some(seconds) => Fault::too_many(seconds),
            None => {
                self.log.warn("an admin token was refused", &[("address", &source)]);
                Fault::unauthorized()
            }
        }
    }

    async fn renew(self: Arc<Self>, read: fn(&Tokens, &Log)) {
        let looked = async {
            let Ok(turn) = self.look.clone().acquire_owned().await else { return };
            let gate = self.clone();
            let look = move || {
                read(&gate.tokens, &gate.log);
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
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether a page of a browser asks: one of ours is not there to ask, and no other may.
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
