//! A token server as all threads know it: its settings, what secures the link to it, and what was told of it lately.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use super::Unreached;
use crate::config::settings::Settings;
use crate::config::settings::upstream::Upstream;
use crate::domain::clock::instant;
use crate::log::Log;
use crate::tls::client::{ClientSide, link};
use crate::tls::hot::Renewable;
use crate::tls::material::Unusable;
use crate::tls::{H2, HTTP_11};

/// One token server.
pub struct Remote {
    /// What is configured.
    pub settings: Upstream,
    tls: Option<(Arc<ClientSide>, ServerName<'static>)>,
    told: Mutex<Option<Told>>,
}

/// That it cannot be reached is told this often at most, whatever the number of requests and threads.
const EVERY: Duration = Duration::from_secs(10);

struct Told {
    at: Instant,
    since: u64,
}

/// Every token server: the one of `[upstream]`, and the others in the order of their tables.
pub struct Remotes {
    pub(super) default: Arc<Remote>,
    pub(super) named: Vec<Arc<Remote>>,
}

impl Remotes {
    /// Reads what the links need: what cannot be used is given with the table that names it.
    pub fn load(settings: &Settings) -> Result<Self, Vec<(String, Unusable)>> {
        let mut unusable = Vec::new();
        let mut load = |upstream: &Upstream| {
            Remote::load(upstream).map_err(|why| unusable.push((format!("{}.tls", upstream.key()), why))).ok()
        };
        let (default, named): (_, Vec<_>) = (load(&settings.upstream), settings.upstreams.iter().map(load).collect());
        match (default, named.into_iter().collect::<Option<_>>()) {
            (Some(default), Some(named)) => Ok(Self { default, named }),
            _ => Err(unusable),
        }
    }

    /// Whether HTTP/2 may be spoken to any of them.
    pub fn may_speak_http2(&self) -> bool {
        let mut all = std::iter::once(&self.default).chain(&self.named);
        all.any(|remote| remote.settings.http2)
    }

    /// What is to be read again when files change, with the name of its link.
    pub fn renewable(&self) -> impl Iterator<Item = (String, Arc<dyn Renewable>)> {
        let all = std::iter::once(&self.default).chain(&self.named);
        all.filter_map(|remote| Some((remote.settings.key(), remote.tls.as_ref()?.0.clone() as _)))
    }
}

impl Remote {
    /// Reads what its link needs.
    fn load(settings: &Upstream) -> Result<Arc<Self>, Unusable> {
        let protocols: &[&[u8]] = if settings.http2 { &[H2, HTTP_11] } else { &[HTTP_11] };
        let side = settings.tls.as_ref().map(|tls| link(tls, protocols)).transpose()?;
        let named = settings.tls.as_ref().and_then(|tls| tls.server_name.clone());
        let name = named.or_else(|| settings.target.server_name());
        let tls = side.map(Arc::new).zip(name);
        Ok(Arc::new(Self { settings: settings.clone(), tls, told: Mutex::default() }))
    }

    /// What secures a new connection, where one is to be secured: the configuration in force, and whose certificate.
    pub(super) fn tls(&self) -> Option<(Arc<ClientConfig>, ServerName<'static>)> {
        self.tls.as_ref().map(|(side, name)| (side.config(), name.clone()))
    }

    /// Tells why it cannot be reached, unless it was told a moment ago.
    pub(super) fn tell(&self, unreached: &Unreached, log: &Log) {
        let now = instant();
        let not_told = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(told) = told.as_mut().filter(|told| now.saturating_duration_since(told.at) < EVERY) {
                told.since += 1;
                return;
            }
            told.replace(Told { at: now, since: 0 }).map_or(0, |before| before.since)
        };
        let fields: [(&str, &dyn Display); 4] = [
            ("upstream", &self.settings.target),
            ("error", &unreached.error),
            ("why", &unreached.why),
            ("not_told_before", &not_told),
        ];
        log.warn("the upstream cannot be reached", &fields);
    }
}
