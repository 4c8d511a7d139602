//! The admin doors of an instance: opened with it, taken away with it.

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::watch;

use super::planes::Planes;
use crate::admin::door::{self, tcp, unix};
use crate::admin::gate::Gate;
use crate::admin::ground::{Ground, Instance};
use crate::admin::tokens::Tokens;
use crate::log::Log;
use crate::net::listener;
use crate::net::unix::Name;
use crate::proxy::Shared;
use crate::reload::watch::Triggers;
use crate::tls::server::ServerSide;

/// The open doors. Closed, and the socket's name removed, when dropped.
pub(super) struct Admin {
    stop: watch::Sender<bool>,
    _name: Option<Name>,
}

/// Opens them. What the configuration names must be there; the default socket may be missing, with a warning.
pub(super) fn open(
    shared: &Arc<Shared>,
    triggers: &Triggers,
    tls: Option<&Arc<ServerSide>>,
    planes: &Planes,
    log: &Log,
) -> anyhow::Result<Admin> {
    let addresses = &shared.settings.admin.addresses;
    let read = || Tokens::read(&shared.settings.admin.tokens).map(Arc::new);
    let tokens = (!addresses.is_empty()).then(read).transpose()?;
    let flushed = planes.clone();
    let instance = Instance {
        triggers: triggers.clone(),
        flush: Box::new(move || Box::pin(flushed.clone().flush())),
        metrics: shared.metrics.clone(),
        started: shared.clock.now(),
        log: log.clone(),
        tokens: tokens.clone(),
    };
    let settings = Arc::new(shared.settings.clone());
    let ground = Arc::new(Ground::instance(settings, shared.snapshot.clone(), shared.clock.clone(), instance));
    let (stop, stopped) = watch::channel(false);
    let name = open_socket(&ground, &shared.settings.admin, &stopped, log)?;
    if let Some(tokens) = tokens {
        let gate = Gate::new(&ground, tokens, log.clone());
        tokio::task::spawn_local(gate.clone().follow());
        for address in addresses {
            let failed = || format!("cannot listen on {address} (admin.listen): is another instance running?");
            let listener = listener::tcp(*address).with_context(failed)?;
            let found = listener.local_addr()?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::task::spawn_local(tcp::serve(listener, tls.cloned(), gate.clone(), stopped.clone()));
            log.info("listening", &[("listener", &"admin"), ("address", &found)]);
        }
    }
    tokio::task::spawn_local(door::sweep(ground));
    Ok(Admin { stop, _name: name })
}

fn open_socket(
    ground: &Arc<Ground>,
    settings: &crate::config::settings::admin::Admin,
    stopped: &watch::Receiver<bool>,
    log: &Log,
) -> anyhow::Result<Option<Name>> {
    let Some(socket) = &settings.socket else { return Ok(None) };
    let (listener, name) = match unix::bind(socket) {
        Ok(bound) => bound,
        Err(error) if settings.asked_for => {
            return Err(error).with_context(|| format!("cannot listen on {} (admin.listen)", socket.display()));
        }
        Err(error) => {
            let next = "commands cannot reach this instance; name a writable place in [admin] listen";
            let name = socket.display();
            log.warn("no admin socket", &[("socket", &name), ("error", &error), ("next", &next)]);
            return Ok(None);
        }
    };
    tokio::task::spawn_local(unix::serve(listener, ground.clone(), stopped.clone()));
    log.info("listening", &[("listener", &"admin"), ("address", &format_args!("unix:{}", socket.display()))]);
    Ok(Some(name))
}

impl Drop for Admin {
    fn drop(&mut self) {
        let _all_stop = self.stop.send(true);
    }
}
