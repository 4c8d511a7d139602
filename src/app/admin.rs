//! The admin socket of an instance: opened with it, taken away with it.

use std::sync::Arc;

use anyhow::Context;
use tokio::sync::watch;

use super::planes::Planes;
use crate::admin::ground::{Ground, Instance};
use crate::admin::{bind, serve};
use crate::log::Log;
use crate::net::unix::Name;
use crate::proxy::Shared;
use crate::reload::watch::Triggers;

/// The open door. Closed, and its socket's name removed, when dropped.
pub(super) struct Admin {
    stop: watch::Sender<bool>,
    _name: Name,
}

/// Opens it. Where the configuration names the socket it must be there; the default one may be missing, with a warning.
pub(super) fn open(
    shared: &Arc<Shared>,
    triggers: &Triggers,
    planes: &Planes,
    log: &Log,
) -> anyhow::Result<Option<Admin>> {
    let settings = &shared.settings.admin;
    let socket = settings.socket.clone();
    let (listener, name) = match bind(&socket) {
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
    let flushed = planes.clone();
    let instance = Instance {
        triggers: triggers.clone(),
        flush: Box::new(move || Box::pin(flushed.clone().flush())),
        metrics: shared.metrics.clone(),
        started: shared.clock.now(),
    };
    let ground =
        Ground::instance(Arc::new(shared.settings.clone()), shared.snapshot.clone(), shared.clock.clone(), instance);
    let (stop, stopped) = watch::channel(false);
    tokio::task::spawn_local(serve(listener, Arc::new(ground), stopped));
    log.info("listening", &[("listener", &"admin"), ("address", &format_args!("unix:{}", socket.display()))]);
    Ok(Some(Admin { stop, _name: name }))
}

impl Drop for Admin {
    fn drop(&mut self) {
        let _all_stop = self.stop.send(true);
    }
}
