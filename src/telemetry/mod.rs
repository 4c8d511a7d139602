//! The door for Prometheus and the kubelet: GET /metrics, /livez, /readyz, /version, and nothing else.

mod aside;
pub mod pulse;
mod scrape;

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
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::LocalSet;

use self::aside::{Connection, Wish};
use self::pulse::Pulse;
use self::scrape::Said;
use crate::metrics::exposition::Exposition;
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
/// Connections at once. One more ends the oldest (one that is told a long exposition when it next gets to run): whoever sits on them
/// cannot keep out a probe, which takes a moment, and the kubelet would stop us for not answering it.
const MOST: usize = 64;
/// Expositions under way at once: each costs time with the size of the list, and waits for its scraper to take it. More wait
/// with their connections.
static RENDERS: Semaphore = Semaphore::const_new(8);

/// What the kernel may hold of an answer beyond what is under way to the scraper, bytes. By itself it takes megabytes, and passes
/// them on in one go when the scraper makes room: on whichever CPU that is, while nobody else runs there.
const UNSENT: u32 = 128 << 10;

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
    F: Fn() -> D + Send + Sync + 'static,
    D: Future<Output = ()> + Send + 'static,
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
    F: Fn() -> D + Send + Sync + 'static,
    D: Future<Output = ()> + Send + 'static,
{
    let mut open: VecDeque<oneshot::Sender<()>> = VecDeque::with_capacity(MOST);
    let (moves, mut moving) = mpsc::unbounded_channel::<Connection>();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(connection) = moving.recv() => {
                let _ended_without_a_thread = connection.serve(&moves);
                continue;
            }
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        open.retain(|connection| !connection.is_closed());
        if open.len() >= MOST {
            open.pop_front();
        }
        let _best_effort = hold_back(&stream);
        let (stays_open, closed) = oneshot::channel();
        open.push_back(stays_open);
        let _served_here = connection(stream, tls.clone(), telemetry.clone(), closed).serve(&moves);
    }
    // Those that are served elsewhere need this runtime for as long as it takes them to see that they are closed.
    drop((listener, open, moves));
    while moving.recv().await.is_some() {}
}

#[cfg(target_os = "linux")]
fn hold_back(stream: &TcpStream) -> std::io::Result<()> {
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT)
}

#[cfg(not(target_os = "linux"))]
fn hold_back(_: &TcpStream) -> std::io::Result<()> {
    Ok(())
}

fn connection<F, D>(
    stream: TcpStream,
    tls: Option<Arc<ServerSide>>,
    telemetry: Arc<Telemetry<F>>,
    closed: oneshot::Receiver<()>,
) -> Connection
where
    F: Fn() -> D + Send + Sync + 'static,
    D: Future<Output = ()> + Send + 'static,
{
    let wish = Arc::<Wish>::default();
    let wished = wish.clone();
    let serving = async move {
        let secured = tokio::time::timeout(PATIENCE, Stream::secured(Socket::Tcp(stream), tls.as_deref()));
        let Ok(Ok(stream)) = secured.await else { return };
        let service = service_fn(|request| {
            let (telemetry, wish) = (telemetry.clone(), wish.clone());
            async move { Ok::<_, Infallible>(answer(&telemetry, &request, wish).await) }
        });
        let mut http = http1::Builder::new();
        let connection = http
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .max_buf_size(16 << 10)
            .serve_connection(TokioIo::new(stream), service);
        let _a_scraper_went_away = tokio::time::timeout(LIFETIME, connection).await;
    };
    let until_closed = async move {
        tokio::select! {
            () = serving => {}
            _ = closed => {}
        }
    };
    Connection::new(until_closed, wished)
}

async fn answer<F, D>(telemetry: &Telemetry<F>, request: &Request<Incoming>, wish: Arc<Wish>) -> Response<Said>
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
        "/metrics" => metrics(telemetry, wish).await,
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

async fn metrics<F, D>(telemetry: &Telemetry<F>, wish: Arc<Wish>) -> Response<Said>
where
    F: Fn() -> D,
    D: Future<Output = ()>,
{
    let Ok(turn) = RENDERS.acquire().await else { return unavailable() };
    (telemetry.flush)().await;
    let shared = &telemetry.shared;
    shared.metrics.throttle_entries.set(i64::try_from(shared.throttle.entries()).unwrap_or(i64::MAX));
    let begun = Exposition::of(&shared.metrics, shared.snapshot.load_full(), shared.clock.now());
    let Ok(exposition) = begun else { return unavailable() };
    let mut response = Response::new(Said::exposition(exposition, wish, turn).await);
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn unavailable() -> Response<Said> {
    text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be gathered\n")
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
