//! What the outside asks of a running instance: SIGHUP reloads, SIGTERM and SIGINT stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::audit::Audit;
use crate::cli::Origin;
use crate::config::settings::Settings;
use crate::log::Log;
use crate::reload::Trigger;
use crate::reload::watch::Triggers;

/// The signals we listen to.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Catches them from now on.
    pub(super) fn catch() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// SIGTERM or SIGINT.
    pub(super) async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Reloads at each SIGHUP until told to stop, and opens the audit log anew.
    pub(super) async fn until_stop(&mut self, triggers: &Triggers, origin: Option<&Origin>, audit: &Audit, log: &Log) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    audit.reopen();
                    triggers.pull(Trigger::Signal);
                    if let Some(origin) = origin {
                        compare(origin, log);
                    }
                }
            }
        }
    }
}

/// Names the keys that were changed in the file and need a restart.
fn compare(origin: &Origin, log: &Log) {
    let name = origin.path.display();
    let keys = match std::fs::read_to_string(&origin.path) {
        Ok(text) => Settings::keys(&text),
        Err(error) => {
            return log.warn("the configuration file cannot be read", &[("file", &name), ("error", &error)]);
        }
    };
    let Some(keys) = keys else {
        return log.warn("the configuration file is not valid TOML now", &[("file", &name)]);
    };
    let changed = keys
        .iter()
        .filter(|pair| !origin.keys.contains(pair))
        .chain(origin.keys.iter().filter(|pair| !keys.contains(pair)));
    let mut names: Vec<&str> = changed.map(|(key, _)| key.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if !names.is_empty() {
        log.warn(
            "needs restart: keys were changed that are read at the start only",
            &[("file", &name), ("keys", &names.join(" "))],
        );
    }
}
