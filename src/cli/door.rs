//! The way to the list: a running instance, or, where none answers, its files by the same routes.

use std::cell::RefCell;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Extension};
use http::response::Parts;
use http::{HeaderValue, Method, Request, header};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tower_service::Service;

use super::link::Link;
use super::{Failure, Globals, setup, talk};
use crate::admin::answer::{FAILED, FaultObject};
use crate::admin::caller::Caller;
use crate::admin::ground::Ground;
use crate::admin::list;
use crate::admin::object::ClientObject;
use crate::admin::routes::router;
use crate::config::problem::Problems;
use crate::config::settings::Settings;
use crate::domain::clock::Clock;
pub(super) use crate::domain::segment::encoded;
use crate::domain::spoken::plural;

/// The way to the list.
pub(super) struct Door {
    hands: Hands,
    runtime: tokio::runtime::Runtime,
    /// Ctrl-C, caught once somebody began to wait: one that comes between two pauses is not lost.
    interrupt: RefCell<Option<Signal>>,
}

enum Hands {
    Instance(Link),
    Files(Arc<Ground>, Router),
}

/// On this machine somebody who is there answers at once.
const HERE: Duration = Duration::from_secs(1);

/// No body.
pub(super) const NOTHING: Option<&()> = None;

impl Door {
    /// Finds the instance that is meant, or opens the files.
    pub(super) fn open(globals: &Globals) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let door = |hands| Self { hands, runtime, interrupt: RefCell::default() };
        if let Some(server) = &globals.server {
            let link = Link::to(server, globals)?;
            return match link.answers() {
                Ok(()) => Ok(door(Hands::Instance(link))),
                Err(error) => Err(Failure::new(
                    FAILED,
                    format!("no instance answers at {server}: {error}\n  Nothing was changed."),
                )
                .into()),
            };
        }
        let settings = read_settings(&globals.config)?;
        if let Some(link) = running(&settings, globals)? {
            return Ok(door(Hands::Instance(link)));
        }
        let ground = Ground::files(settings, Arc::new(Clock::start())).map_err(|errors| {
            let lines: Vec<String> = errors.0.iter().map(|error| format!("  {error}")).collect();
            let count = plural(errors.0.len(), "error");
            Failure::new(
                FAILED,
                format!("the list cannot be used\n{}\n  {count}; nothing was changed", lines.join("\n")),
            )
        })?;
        let (ground, caller) = (Arc::new(ground), Caller::User(rustix::process::geteuid().as_raw()));
        let routes = router(ground.clone()).layer(Extension(caller)).layer(DefaultBodyLimit::disable());
        Ok(door(Hands::Files(ground, routes)))
    }

    /// The instance that the configuration names, where it answers and is ours to ask.
    pub(super) fn to_running(settings: &Settings, globals: &Globals) -> anyhow::Result<Option<Self>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let link = running(settings, globals).ok().flatten();
        Ok(link.map(|link| Self { hands: Hands::Instance(link), runtime, interrupt: RefCell::default() }))
    }

    /// Whether a running instance answers.
    pub(super) const fn is_instance(&self) -> bool {
        matches!(self.hands, Hands::Instance(_))
    }

    /// Whether it may run on another machine.
    pub(super) const fn is_remote(&self) -> bool {
        matches!(&self.hands, Hands::Instance(link) if link.is_remote())
    }

    /// Tells those who read of uses that nobody watches them now.
    pub(super) fn tell_if_offline(&self, globals: &Globals) {
        if !self.is_instance() && !globals.quiet {
            talk("note: no instance answers; uses are those that the last one wrote down\n");
        }
    }

    /// Asks, and gives the answer; one that refuses is a [`Failure`] with the exit code that belongs to it.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<T> {
        self.runtime.block_on(self.answer(method, path, body))
    }

    /// Every client. Of the files without the detour by JSON, which takes as long as reading them.
    pub(super) fn clients(&self) -> anyhow::Result<Vec<ClientObject>> {
        match &self.hands {
            Hands::Instance(_) => self.pages(),
            Hands::Files(ground, _) => Ok(self.runtime.block_on(ground.clients())),
        }
    }

    /// Every client of an instance, page by page.
    fn pages(&self) -> anyhow::Result<Vec<ClientObject>> {
        let mut clients = Vec::new();
        let mut next = Some(format!("{}?limit={}", path(&["clients"]), list::MOST));
        while let Some(page) = next {
            let (head, mut more) = self.runtime.block_on(self.exchange(Method::GET, &page, NOTHING))?;
            clients.append(&mut more);
            next = head.headers.get_all(header::LINK).iter().find_map(next_page);
        }
        Ok(clients)
    }

    /// Catches Ctrl-C from now on, for [`Door::pause`].
    pub(super) fn catch_interrupt(&self) -> std::io::Result<()> {
        let _entered = self.runtime.enter();
        *self.interrupt.borrow_mut() = Some(signal(SignalKind::interrupt())?);
        Ok(())
    }

    /// Asks unless Ctrl-C comes first: a hung instance must not hold a command. Nothing then.
    pub(super) fn look<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Option<T>> {
        self.until_interrupt(self.answer(Method::GET, path, NOTHING)).transpose()
    }

    /// Waits, unless Ctrl-C comes first: then it says so.
    pub(super) fn pause(&self, length: Duration) -> Paused {
        let slept = self.until_interrupt(async { tokio::time::sleep(length).await });
        slept.map_or(Paused::Interrupted, |()| Paused::Over)
    }

    fn until_interrupt<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut interrupt = self.interrupt.borrow_mut();
        self.runtime.block_on(async {
            let Some(interrupt) = &mut *interrupt else { return Some(work.await) };
            tokio::select! {
                biased;
                _ = interrupt.recv() => None,
                done = work => Some(done),
            }
        })
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<T> {
        Ok(self.exchange(method, path, body).await?.1)
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<(Parts, T)> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "relatch");
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(serde_json::to_vec(body)?)
            }
            None => Body::empty(),
        };
        let request = request.body(body)?;
        let (head, bytes) = match &self.hands {
            Hands::Instance(link) => {
                let (head, body) = link.ask(request).await?.into_parts();
                (head, body)
            }
            Hands::Files(_, router) => {
                let (head, body) = router.clone().call(request).await?.into_parts();
                (head, body.collect().await?.to_bytes())
            }
        };
        if !head.status.is_success() {
            let status = head.status;
            let fault: FaultObject = serde_json::from_slice(&bytes).map_err(|_| {
                Failure::new(FAILED, format!("the instance answered {status}: is it of another version?"))
            })?;
            return Err(Failure::new(fault.exit, fault.message).into());
        }
        // An answer without a body is an answer to those who want none.
        let bytes = if bytes.is_empty() { b"null".as_slice().into() } else { bytes };
        let answer = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::new(FAILED, format!("the instance's answer cannot be read: {error}")))?;
        Ok((head, answer))
    }
}

/// The page that a Link header names as the next one (RFC 8288), on the same instance.
fn next_page(link: &HeaderValue) -> Option<String> {
    let (target, relation) = link.to_str().ok()?.strip_prefix('<')?.split_once('>')?;
    (relation.contains("rel=\"next\"") && target.starts_with('/')).then(|| target.to_owned())
}

/// How a pause ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Paused {
    /// Its time was over.
    Over,
    /// Ctrl-C.
    Interrupted,
}

/// The instance that the configuration names, where it answers.
fn running(settings: &Settings, globals: &Globals) -> anyhow::Result<Option<Link>> {
    if let Some(link) = settings.admin.socket.clone().map(Link::Unix).filter(|link| link.answers().is_ok()) {
        return Ok(Some(link));
    }
    // Looked for before a token is asked for: where no instance answers, the files need none.
    match settings.admin.local() {
        Some((scheme, address)) if TcpStream::connect_timeout(&address, HERE).is_ok() => {
            Link::to(&format!("{scheme}://{address}"), globals).map(Some)
        }
        _ => Ok(None),
    }
}

pub(super) fn read_settings(path: &Path) -> anyhow::Result<Settings> {
    let (settings, problems, _) = setup::settings(path, &[]);
    let Problems { errors, .. } = problems;
    settings.filter(|_| errors.is_empty()).ok_or_else(|| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Failure::new(FAILED, format!("{}\n  Nothing was changed.", lines.join("\nerror: "))).into()
    })
}

/// A path of the admin API, its segments percent-encoded.
pub(super) fn path(segments: &[&str]) -> String {
    segments.iter().fold("/api/v1".to_owned(), |path, segment| format!("{path}/{}", encoded(segment)))
}
