//! The only wiring: settings -> load, bind, start -> serve until told to stop -> drain.

mod admin;
mod certificates;
mod notices;
mod planes;
mod ready;
mod signals;
mod watchers;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use arc_swap::ArcSwap;
use tokio::sync::watch;

use self::signals::Signals;
use self::watchers::Watchers;

use crate::admission::Provers;
use crate::audit::Audit;
use crate::cli::{Bound, Launch};
use crate::config::settings::Settings;
use crate::domain::clock::{Clock, WallClock};
use crate::event::entry::Outcome;
use crate::hooks::{self, Deliverer, Hooks};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::net::accept::{self, Rules};
use crate::net::listener::{self, Listener};
use crate::proxy::Shared;
use crate::proxy::route::Routes;
use crate::reload::{self, Loaded, Reloader};
use crate::telemetry::pulse::Pulse;
use crate::telemetry::{self, Readiness, Telemetry};
use crate::throttle::Throttle;
use crate::usage::{self, Usage};
use crate::work;

/// How often our clock is compared with the wall's.
const CLOCK_CHECK: Duration = Duration::from_secs(5);

/// How long the end waits for what the data-plane threads still hold.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Why somebody who has lost patience is not made to wait for a disk.
const HURRIED: &str = "a second signal";

/// An instance that is about to serve.
pub struct App(pub Launch);

impl App {
    /// Runs until SIGTERM or SIGINT, then drains.
    pub fn run(self) -> anyhow::Result<()> {
        raise_limits();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4)
            .build_local(tokio::runtime::LocalOptions::default())
            .context("cannot start the control thread")?;
        let metrics = Metrics::new(&self.0.settings.labels().map(ToString::to_string).collect::<Vec<_>>())?;
        let (log, writer) = Log::start(&self.0.settings.log, self.0.clock.clone(), metrics.log_dropped.clone())?;
        crate::log::panic::tell(log.clone());
        let (audit, audit_writer) =
            Audit::start(self.0.settings.log.audit.clone(), self.0.clock.clone(), log.clone(), metrics.audit.clone())?;
        let (hooks, deliverer) = Hooks::start(hooks::Start {
            hooks: self.0.settings.hooks.clone(),
            instance: rustix::system::uname().nodename().to_str().unwrap_or_default().to_owned(),
            clock: self.0.clock.clone(),
            log: log.clone(),
            metrics: metrics.hooks.clone(),
        })?;
        let is_audited = audit_writer.is_some();
        let watchers = Watchers { audit, is_audited, hooks, clock: self.0.clock.clone() };
        let serve = AssertUnwindSafe(|| runtime.block_on(self.serve(metrics, log.clone(), watchers, deliverer)));
        // So that the logs have their last words.
        let result = std::panic::catch_unwind(serve).unwrap_or_else(|_| Err(anyhow!("the control thread panicked")));
        if let Err(error) = &result {
            log.error("stopped", &[("error", &format!("{error:#}"))]);
        }
        if let Some(audit_writer) = audit_writer {
            audit_writer.finish();
        }
        writer.finish();
        // Dropping it would wait for a file or a look-up that hangs; nobody waits for what they bring any more.
        runtime.shutdown_background();
        result
    }

    async fn serve(
        self,
        metrics: Arc<Metrics>,
        log: Log,
        watchers: Watchers,
        deliverer: Option<Deliverer>,
    ) -> anyhow::Result<()> {
        let Launch { settings, remotes, loaded, links, clock, warnings, origin, announce, scratch: _gone_at_the_end } =
            self.0;
        for warning in &warnings {
            log.warn("configuration", &[("warning", warning)]);
        }
        reload::warn(&log, &loaded.warnings);
        let mut signals = Signals::catch()?;
        let (proxies, door, addresses) = bind(&settings)?;

        let Loaded { snapshot, seen, .. } = loaded;
        let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
        // Half the cores, so that a flood of slow hashes leaves the other half to those who are served at once.
        let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2);
        let usage = Usage::start(usage::Start {
            // A demonstration saves nothing.
            path: origin.is_some().then(|| settings.state.path.clone()),
            keep_gone: settings.clients.keep_revoked,
            snapshot: snapshot.clone(),
            clock: clock.clone(),
            log: log.clone(),
        })?;
        let shared = Arc::new(Shared {
            routes: Routes::of(&settings),
            throttle: Throttle::new(settings.throttle.failures, settings.throttle.per, settings.throttle.table_size),
            provers: Provers::default(),
            work: work::Pool::start(threads).context("cannot start the threads for slow hashes")?,
            snapshot: snapshot.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            settings: settings.clone(),
        });
        let certificates: Vec<_> = links.all.into_iter().chain(remotes.renewable()).collect();
        let (planes, threads) = planes::start(&shared, remotes, links.proxy.as_ref(), &watchers.hooks, &log)?;

        let reloader =
            Reloader::new(Arc::new(settings.clone()), seen, snapshot, metrics.clone(), clock.clone(), log.clone())
                .before_publish(Box::new(usage.on_publish()))
                .telling(Box::new(watchers.clone()));
        let triggers = reload::watch::start(reloader, settings.clients.poll_interval, log.clone())?;
        let (stop_accepting, accepting) = watch::channel(false);
        let acceptors: Vec<_> = proxies
            .into_iter()
            .map(|listener| {
                let lanes = planes.lanes.clone();
                tokio::task::spawn_local(accept::accept(
                    listener,
                    lanes,
                    Rules { most: settings.limits.max_connections, tls: links.proxy.is_some() },
                    metrics.clone(),
                    accepting.clone(),
                ))
            })
            .collect();
        let readiness = Arc::new(Readiness::default());
        let (stop_telemetry, telemetry_runs) = watch::channel(false);
        let flushed = planes.clone();
        let shown = Telemetry {
            shared: shared.clone(),
            readiness: readiness.clone(),
            flush: move || flushed.clone().flush(),
            pulse: Pulse::of_this_thread(),
        };
        telemetry::start(door, links.telemetry, shown, telemetry_runs).context("cannot serve telemetry")?;
        let admin = admin::open(&shared, &triggers, links.admin.as_ref(), &planes, &watchers.audit, &log)?;
        tokio::task::spawn_local(notices::follow(shared.clone(), watchers.hooks.clone(), log.clone()));
        tokio::task::spawn_local(ready::follow(shared.clone(), watchers.hooks.clone(), log.clone()));
        tokio::task::spawn_local(certificates::follow(
            certificates,
            metrics.certificates.clone(),
            clock.clone(),
            log.clone(),
        ));
        tokio::task::spawn_local(follow_clock(clock, log.clone()));

        for address in &addresses.proxy {
            log.info("listening", &[("listener", &"proxy"), ("address", address)]);
        }
        log.info("listening", &[("listener", &"telemetry"), ("address", &addresses.telemetry)]);
        readiness.ready();
        let list = shared.snapshot.load_full();
        log.info(
            "ready",
            &[
                ("version", &env!("CARGO_PKG_VERSION")),
                ("upstream", &settings.upstream.target),
                ("clients", &list.clients.len()),
                ("secrets", &list.secrets()),
            ],
        );
        let mut started = watchers.note("start", Outcome::Done, list.generation);
        started.more.version = Some(env!("CARGO_PKG_VERSION").to_owned());
        watchers.audit.write(&started);
        drop(list);
        if let Some(announce) = announce {
            announce(&Bound { dashboard: admin.login_link(), ..addresses });
        }

        signals.until_stop(&triggers, origin.as_ref(), &watchers.audit, &log).await;
        readiness.draining();
        log.info("draining", &[("in_flight", &metrics.in_flight.get()), ("connections", &metrics.connections.get())]);
        let drained = async {
            tokio::time::sleep(settings.shutdown.drain_delay).await;
            let _all_stop = stop_accepting.send(true);
            for acceptor in acceptors {
                let _ended = acceptor.await;
            }
            planes.drain();
            planes::wait_for(threads).await;
        };
        let limit = settings.shutdown.drain_delay + settings.shutdown.drain_timeout;
        let outcome = tokio::select! {
            drained = tokio::time::timeout(limit, drained) => drained.map_err(|_| "some requests did not finish in time"),
            () = signals.stop() => Err(HURRIED),
        };
        let _all_stop = stop_telemetry.send(true);
        // What the last requests left is settled first; a thread that hangs has nothing more to say.
        if outcome == Err(HURRIED) {
            usage.abandon();
        } else {
            let _hangs = tokio::time::timeout(LAST_WORDS, planes.flush()).await;
            usage.finish(LAST_WORDS);
        }
        // Who has lost patience waits neither for a list that is being written nor for a receiver.
        if outcome == Err(HURRIED) {
            admin.abandon();
        } else {
            drop(admin);
            deliverer.into_iter().for_each(Deliverer::finish);
        }
        let ended = match &outcome {
            Ok(()) => Outcome::Done,
            Err(reason) => Outcome::Failed("connections_open".to_owned(), (*reason).to_owned()),
        };
        watchers.audit.write(&watchers.note("stop", ended, shared.snapshot.load().generation));
        match outcome {
            Ok(()) => log.info("stopped", &[]),
            Err(reason) => {
                log.error(
                    "stopped with connections open",
                    &[
                        ("reason", &reason),
                        ("in_flight", &metrics.in_flight.get()),
                        ("connections", &metrics.connections.get()),
                    ],
                );
                return Err(anyhow!("stopped with connections open: {reason}"));
            }
        }
        Ok(())
    }
}

/// As many file descriptors as the system gives; no core files, which would hold secrets.
fn raise_limits() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let files = getrlimit(Resource::Nofile);
    let _best_effort = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum });
    let none = Rlimit { current: Some(0), maximum: getrlimit(Resource::Core).maximum };
    let _best_effort = setrlimit(Resource::Core, none);
}

type Listeners = (Vec<Listener>, std::net::TcpListener, Bound);

fn bind(settings: &Settings) -> anyhow::Result<Listeners> {
    let failed = |name: &str, address: &dyn std::fmt::Display| {
        format!("cannot listen on {address} ({name}): is another instance running? Nothing was started")
    };
    let (mut proxies, mut proxy) = (Vec::new(), Vec::new());
    for listen in &settings.proxy.listen {
        let listener = Listener::bind(listen).with_context(|| failed("proxy.listen", listen))?;
        proxy.push(listener.address(listen)?);
        proxies.push(listener);
    }
    let address = settings.telemetry.listen;
    let telemetry = listener::tcp(address).with_context(|| failed("telemetry.listen", &address))?;
    let bound = Bound { proxy, telemetry: telemetry.local_addr()?, dashboard: None };
    Ok((proxies, telemetry, bound))
}

/// Tells when the wall clock and ours part, and when they agree again.
async fn follow_clock(clock: Arc<Clock>, log: Log) {
    let mut told = WallClock::InStep;
    loop {
        let found = clock.follow_wall();
        if std::mem::discriminant(&found) != std::mem::discriminant(&told) {
            let next = "windows of secrets keep to the time since the start; restart to take the wall clock's";
            match found {
                WallClock::InStep => log.info("the wall clock agrees again", &[]),
                WallClock::Behind(by) => {
                    log.error("the wall clock was set back", &[("seconds", &by.as_secs()), ("next", &next)])
                }
                WallClock::Ahead(by) => {
                    log.error("the wall clock was set ahead", &[("seconds", &by.as_secs()), ("next", &next)])
                }
            }
            told = found;
        }
        tokio::time::sleep(CLOCK_CHECK).await;
    }
}
