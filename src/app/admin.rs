//! The admin doors of an instance: opened with it, taken away with it.

use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use tokio::sync::watch;

use super::LAST_WORDS;
use super::planes::Planes;
use crate::admin::door::{self, tcp, unix};
use crate::admin::gate::Gate;
use crate::admin::ground::{Ground, Instance};
use crate::admin::tokens::Tokens;
use crate::audit::Audit;
use crate::log::Log;
use crate::net::listener;
use crate::net::unix::Name;
use crate::priority::step_back;
use crate::proxy::Shared;
use crate::reload::watch::Triggers;
use crate::tls::server::ServerSide;

/// What is asked here must not hold up those who ask for tokens: it has a thread of its own, which steps back for theirs.
const NICENESS: i32 = 5;

/// The open doors. Closed, and the socket's name removed, when dropped.
pub(super) struct Admin {
    ground: Arc<Ground>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    _name: Option<Name>,
}

/// What is listened on, before it is served.
#[derive(Default)]
struct Doors {
    socket: Option<std::os::unix::net::UnixListener>,
    addresses: Vec<std::net::TcpListener>,
    gate: Option<Arc<Gate>>,
}

/// Opens them. What the configuration names must be there; the default socket may be missing, with a warning.
pub(super) fn open(
    shared: &Arc<Shared>,
    triggers: &Triggers,
    tls: Option<&Arc<ServerSide>>,
    planes: &Planes,
    audit: &Audit,
    log: &Log,
) -> anyhow::Result<Admin> {
    shared.snapshot.load().put_in_order();
    let addresses = &shared.settings.admin.addresses;
    let read = || Tokens::read(&shared.settings.admin.tokens).map(Arc::new);
    let tokens = (!addresses.is_empty()).then(read).transpose()?;
    let flushed = planes.clone();
    let instance = Instance {
        triggers: triggers.clone(),
        flush: Box::new(move || Box::pin(flushed.clone().flush())),
        metrics: shared.metrics.clone(),
        started: shared.clock.now(),
        audit: audit.clone(),
        log: log.clone(),
        tokens: tokens.clone(),
    };
    let settings = Arc::new(shared.settings.clone());
    let ground = Arc::new(Ground::instance(settings, shared.snapshot.clone(), shared.clock.clone(), instance));
    let (stop, stopped) = watch::channel(false);
    let (socket, name) = open_socket(&shared.settings.admin, log)?;
    let mut doors = Doors { socket, ..Doors::default() };
    if let Some(tokens) = tokens {
        doors.gate = Some(Gate::new(&ground, tokens, log.clone()));
        let mut open = Vec::new();
        for address in addresses {
            let failed = || format!("cannot listen on {address} (admin.listen): is another instance running?");
            let listener = listener::tcp(*address).with_context(failed)?;
            let found = listener.local_addr()?;
            log.info("listening", &[("listener", &"admin"), ("address", &found)]);
            doors.addresses.push(listener);
            open.push(found);
        }
        ground.listens(open);
    }
    let (served, tls) = (ground.clone(), tls.cloned());
    let said = log.clone();
    let run = move || {
        step_back(NICENESS);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        match runtime.enable_all().max_blocking_threads(4).build_local(tokio::runtime::LocalOptions::default()) {
            Ok(runtime) => {
                runtime.block_on(serve(doors, served, tls, stopped, said));
                // A list that is being written is finished, unless its disk hangs.
                runtime.shutdown_timeout(LAST_WORDS);
            }
            Err(error) => said.error("the admin API cannot be served", &[("error", &error)]),
        }
    };
    let thread = std::thread::Builder::new().name("relatch-admin".to_owned()).spawn(run)?;
    Ok(Admin { ground, stop, thread: Some(thread), _name: name })
}

/// Serves until told to stop.
async fn serve(
    doors: Doors,
    ground: Arc<Ground>,
    tls: Option<Arc<ServerSide>>,
    mut stop: watch::Receiver<bool>,
    log: Log,
) {
    let Doors { socket, addresses, gate } = doors;
    let opened = socket.map(tokio::net::UnixListener::from_std).transpose();
    let listened = addresses.into_iter().map(tokio::net::TcpListener::from_std).collect::<Result<Vec<_>, _>>();
    let (socket, addresses) = match (opened, listened) {
        (Ok(socket), Ok(addresses)) => (socket, addresses),
        (Err(error), _) | (_, Err(error)) => {
            log.error("the admin API cannot be served", &[("error", &error)]);
            return;
        }
    };
    if let Some(socket) = socket {
        tokio::task::spawn_local(unix::serve(socket, ground.clone(), stop.clone()));
    }
    if let Some(gate) = gate {
        for listener in addresses {
            tokio::task::spawn_local(tcp::serve(listener, tls.clone(), gate.clone(), stop.clone()));
        }
        tokio::task::spawn_local(gate.follow());
    }
    tokio::task::spawn_local(door::sweep(ground));
    let _told = stop.wait_for(|stop| *stop).await;
}

fn open_socket(
    settings: &crate::config::settings::admin::Admin,
    log: &Log,
) -> anyhow::Result<(Option<std::os::unix::net::UnixListener>, Option<Name>)> {
    let Some(socket) = &settings.socket else { return Ok((None, None)) };
    let (listener, name) = match unix::bind(socket) {
        Ok(bound) => bound,
        Err(error) if settings.asked_for => {
            return Err(error).with_context(|| format!("cannot listen on {} (admin.listen)", socket.display()));
        }
        Err(error) => {
            let next = "commands cannot reach this instance; name a writable place in [admin] listen";
            let name = socket.display();
            log.warn("no admin socket", &[("socket", &name), ("error", &error), ("next", &next)]);
            return Ok((None, None));
        }
    };
    log.info("listening", &[("listener", &"admin"), ("address", &format_args!("unix:{}", socket.display()))]);
    Ok((Some(listener), Some(name)))
}

impl Admin {
    /// A link to the page that works once, for who started the instance.
    pub(super) fn login_link(&self) -> Option<String> {
        self.ground.login_link()
    }

    /// Closes them and waits for nothing.
    pub(super) fn abandon(mut self) {
        self.thread = None;
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        let _all_stop = self.stop.send(true);
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}
