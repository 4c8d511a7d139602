//! The door for Prometheus and the kubelet: GET /metrics, /livez, /readyz, /version, and nothing else.

mod exposition;
pub mod pulse;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tokio::task::{AbortHandle, LocalSet};

use self::exposition::Said;
use self::pulse::Pulse;
use crate::net::socket::Socket;
use crate::net::stream::Stream;
use crate::priority::step_back;
use crate::proxy::Shared;
use crate::tls::server::ServerSide;

/// What this instance is doing: decides `/readyz`.
#[derive(Default)]
pub struct Readiness(AtomicU8);

impl Readiness {
    /// Listening, with a list in force.
    pub fn ready(&self) {
        self.0.store(1, Relaxed);
    }

    /// About to stop.
    pub fn draining(&self) {
        self.0.store(2, Relaxed);
    }
}

/// What the door shows.
pub struct Telemetry<F> {
    /// What is counted, and the list in force.
    pub shared: Arc<Shared>,
    /// What this instance is doing.
    pub readiness: Arc<Readiness>,
    /// Brings the counters up to date before they are shown.
    pub flush: F,
    /// Of the thread that takes connections: where that hangs, we are neither alive nor ready.
    pub pulse: Pulse,
}

/// A scraper that does not finish its request in time is cut off.
const PATIENCE: Duration = Duration::from_secs(10);
/// ... and so is one that does not take its answers.
const LIFETIME: Duration = Duration::from_secs(60);
/// Connections at once. One more ends the oldest: whoever sits on them cannot keep out a probe, which takes a moment, and
/// the kubelet would stop us for not answering it.
const MOST: usize = 64;
/// Expositions under way at once: each costs time with the size of the list, and waits for its scraper to take it. More wait
/// with their connections.
static RENDERS: Semaphore = Semaphore::const_new(8);

/// Its thread lets those that serve requests go first.
const NICENESS: i32 = 3;

/// Serves until told to stop, from a thread of its own: writing a long list to a scraper does not hold up who takes
/// connections.
pub fn start<F, D>(
    listener: std::net::TcpListener,
    tls: Option<Arc<ServerSide>>,
    telemetry: Telemetry<F>,
    stop: watch::Receiver<bool>,
) -> std::io::Result<()>
where
    F: Fn() -> D + Send + 'static,
    D: Future<Output = ()> + 'static,
{
    let (begin, begun) = std::sync::mpsc::channel();
    let run = move || {
        step_back(NICENESS);
        let begins = |runtime: Runtime| {
            let listener = {
                let _of_this_runtime = runtime.enter();
                TcpListener::from_std(listener)?
            };
            Ok((runtime, listener))
        };
        match tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(begins) {
            Ok((runtime, listener)) => {
                let _told = begin.send(Ok(()));
                LocalSet::new().block_on(&runtime, serve(listener, tls, Arc::new(telemetry), stop));
            }
            Err(error) => {
                let _told = begin.send(Err(error));
            }
        }
    };
    std::thread::Builder::new().name("relatch-telemetry".to_owned()).spawn(run)?;
    begun.recv().map_err(std::io::Error::other)?
}

async fn serve<F, D>(
    listener: TcpListener,
    tls: Option<Arc<ServerSide>>,
    telemetry: Arc<Telemetry<F>>,
    mut stop: watch::Receiver<bool>,
) where
    F: Fn() -> D + 'static,
    D: Future<Output = ()> + 'static,
{
    let mut open: VecDeque<AbortHandle> = VecDeque::with_capacity(MOST);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= MOST
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let (telemetry, tls) = (telemetry.clone(), tls.clone());
        let connection = tokio::task::spawn_local(async move {
            let secured = tokio::time::timeout(PATIENCE, Stream::secured(Socket::Tcp(stream), tls.as_deref()));
            let Ok(Ok(stream)) = secured.await else { return };
            let service = service_fn(|request| {
                let telemetry = telemetry.clone();
                async move { Ok::<_, Infallible>(answer(&telemetry, &request).await) }
            });
            let mut http = http1::Builder::new();
            let connection = http
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .max_buf_size(16 << 10)
                .serve_connection(TokioIo::new(stream), service);
            let _a_scraper_went_away = tokio::time::timeout(LIFETIME, connection).await;
        });
        open.push_back(connection.abort_handle());
    }
}

async fn answer<F, D>(telemetry: &Telemetry<F>, request: &Request<Incoming>) -> Response<Said>
where
    F: Fn() -> D,
    D: Future<Output = ()>,
{
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/metrics" => metrics(telemetry).await,
        "/livez" | "/readyz" if !telemetry.pulse.beats().await => {
            text(StatusCode::SERVICE_UNAVAILABLE, "the thread that takes connections does not answer\n")
        }
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" => readyz(telemetry, request.uri().query()),
        "/version" => {
            let version = concat!("{\"name\":\"relatch\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\"}\n");
            let mut response = text(StatusCode::OK, version);
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        _ => text(StatusCode::NOT_FOUND, "not found: /metrics, /livez, /readyz, /version\n"),
    }
}

async fn metrics<F, D>(telemetry: &Telemetry<F>) -> Response<Said>
where
    F: Fn() -> D,
    D: Future<Output = ()>,
{
    let turn = RENDERS.acquire().await;
    (telemetry.flush)().await;
    let shared = telemetry.shared.clone();
    let written = Said::written(move |taker| {
        // Held by the work itself, which goes on until it sees that its scraper has gone.
        let _turn = turn;
        shared.metrics.throttle_entries.set(i64::try_from(shared.throttle.entries()).unwrap_or(i64::MAX));
        shared.metrics.expose(&shared.snapshot.load_full(), shared.clock.now(), taker)
    });
    match written.await {
        Some(exposition) => {
            let mut response = Response::new(exposition);
            let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        None => text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be gathered\n"),
    }
}

fn readyz<F>(telemetry: &Telemetry<F>, query: Option<&str>) -> Response<Said> {
    let (status, word) = match telemetry.readiness.0.load(Relaxed) {
        0 => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        1 => (StatusCode::OK, "ready"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
    };
    let verbose =
        query.is_some_and(|query| query.split('&').any(|pair| pair == "verbose" || pair.starts_with("verbose=")));
    if !verbose {
        return text(status, format!("{word}\n"));
    }
    let snapshot = telemetry.shared.snapshot.load();
    let reload = if telemetry.shared.metrics.reload.last_successful.get() == 1 { "ok" } else { "failed" };
    let body = format!(
        "{word}\nclient list: generation {}, {} clients, {} secrets\nlast reload: {reload}\n",
        snapshot.generation,
        snapshot.clients.len(),
        snapshot.secrets()
    );
    text(status, body)
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Said> {
    let mut response = Response::new(Said::from(body));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
