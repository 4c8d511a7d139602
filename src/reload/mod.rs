//! Many triggers, one function: a list is read, built whole, and only then put in place of the one in force.
//!
//! The last good list wins over an unreadable new one. A list that would drop most of itself is held, but what it
//! revokes is revoked at once. Runs on a thread of its own; requests never wait for it.

pub mod watch;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config::problem::{ConfigErrors, Problem, Problems};
use crate::config::settings::Settings;
use crate::config::settings::kinds::CredentialMode;
use crate::domain::clock::Clock;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::registry::Snapshot;
use crate::registry::build::{Ground, build};
use crate::registry::diff::{diff, shrinks, with_revocations};
use crate::source::file::{self, Content, Fingerprint, Text};

/// Why we reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A file event: a hint, no more.
    Event,
    /// The time to compare contents has come.
    Poll,
    /// SIGHUP: somebody asked, and wants to read what came of it.
    Signal,
}

impl Trigger {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "file event",
            Self::Poll => "poll",
            Self::Signal => "signal",
        }
    }
}

/// How a reload ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A new list is in force.
    Published,
    /// The content is the one in force.
    Unchanged,
    /// The content is one that was refused before, and nobody asked again.
    StillRefused,
    /// The list was refused; the one in force stays.
    Refused(ConfigErrors),
    /// The list would drop too much; the one in force stays, with what the new one revokes revoked.
    Held(String),
}

/// Why a list is not taken.
enum NotTaken {
    Refused(Problems),
    Held(String, Box<Snapshot>),
}

/// Reloads the list of one instance.
pub struct Reloader {
    settings: Arc<Settings>,
    current: Arc<ArcSwap<Snapshot>>,
    metrics: Arc<Metrics>,
    clock: Arc<Clock>,
    log: Log,
    secrets: BTreeSet<PathBuf>,
    in_force: Fingerprint,
    last_seen: Fingerprint,
}

/// A list that was read and built.
pub struct Loaded {
    /// What it says.
    pub snapshot: Snapshot,
    /// What the operator should know about it.
    pub warnings: Vec<Problem>,
    /// The secret files it names.
    pub secrets: BTreeSet<PathBuf>,
    /// What it was read from.
    pub fingerprint: Fingerprint,
}

/// Reads and builds the list from nothing, as a start and `config check` do.
pub fn load(settings: &Settings, clock: &Clock) -> Result<Loaded, ConfigErrors> {
    let texts = file::read(&settings.clients.path).map_err(|problems| ConfigErrors(problems.errors))?;
    take(texts, settings, None, clock).map_err(|not_taken| match not_taken {
        NotTaken::Refused(problems) => ConfigErrors(problems.errors),
        NotTaken::Held(why, _) => ConfigErrors(vec![Problem {
            place: crate::config::problem::Place::whole(settings.clients.path.display().to_string()),
            key: String::new(),
            message: why,
        }]),
    })
}

impl Reloader {
    /// Takes over from the first load.
    pub fn new(
        settings: Arc<Settings>,
        secrets: BTreeSet<PathBuf>,
        in_force: Fingerprint,
        current: Arc<ArcSwap<Snapshot>>,
        metrics: Arc<Metrics>,
        clock: Arc<Clock>,
        log: Log,
    ) -> Self {
        let reloader = Self { settings, current, metrics, clock, log, secrets, in_force, last_seen: in_force };
        reloader.succeeded();
        reloader
    }

    /// Reads the list and, if it is new and good, publishes it.
    pub fn reload_once(&mut self, trigger: Trigger) -> Outcome {
        let outcome = self.attempt(trigger);
        let reload = &self.metrics.reload;
        let by = trigger.as_str();
        match &outcome {
            Outcome::Published => {
                reload.success.inc();
                self.succeeded();
            }
            Outcome::Unchanged => {
                reload.unchanged.inc();
                self.succeeded();
                if trigger == Trigger::Signal {
                    self.log.info("client list unchanged", &[("trigger", &by)]);
                }
            }
            Outcome::StillRefused => {}
            Outcome::Refused(errors) => {
                reload.failure.inc();
                reload.last_successful.set(0);
                let generation = self.current.load().generation;
                for error in &errors.0 {
                    let fields: [(&str, &dyn std::fmt::Display); 3] =
                        [("trigger", &by), ("generation", &generation), ("error", error)];
                    self.log.error("client list refused, the one in force stays", &fields);
                }
            }
            Outcome::Held(why) => {
                reload.held.inc();
                reload.last_successful.set(0);
                let next = "restart to apply it, or raise [clients] max_shrink; its revocations are in force";
                self.log.error(
                    "client list held, the one in force stays",
                    &[("trigger", &by), ("reason", why), ("next", &next)],
                );
            }
        }
        outcome
    }

    fn attempt(&mut self, trigger: Trigger) -> Outcome {
        let texts = match file::read(&self.settings.clients.path) {
            Ok(texts) => texts,
            // An error has no fingerprint of its own; it is told once, until something can be read again.
            Err(_) if self.last_seen == [0; 32] && trigger != Trigger::Signal => return Outcome::StillRefused,
            Err(problems) => {
                self.last_seen = [0; 32];
                return Outcome::Refused(ConfigErrors(problems.errors));
            }
        };
        let seen = file::fingerprint(&texts, self.secrets.iter());
        let before = std::mem::replace(&mut self.last_seen, seen);
        if seen == self.in_force {
            return Outcome::Unchanged;
        }
        if seen == before && trigger != Trigger::Signal {
            return Outcome::StillRefused;
        }
        let current = self.current.load_full();
        match take(texts, &self.settings, Some(&current), &self.clock) {
            Ok(loaded) => {
                self.publish(loaded, &current, trigger);
                Outcome::Published
            }
            Err(NotTaken::Refused(problems)) => Outcome::Refused(ConfigErrors(problems.errors)),
            Err(NotTaken::Held(why, held)) => {
                if let Some(next) = with_revocations(&current, &held, self.clock.now()) {
                    self.log.warn("revocations of the held list are in force", &[("changes", &diff(&current, &next))]);
                    self.current.store(Arc::new(next));
                    // The list in force is none that stands in a file: even the old one must be gone over again.
                    self.in_force = [0; 32];
                }
                Outcome::Held(why)
            }
        }
    }

    fn publish(&mut self, loaded: Loaded, current: &Snapshot, trigger: Trigger) {
        let changes = diff(current, &loaded.snapshot);
        let (generation, clients) = (loaded.snapshot.generation, loaded.snapshot.clients.len());
        self.secrets = loaded.secrets;
        self.in_force = loaded.fingerprint;
        self.last_seen = loaded.fingerprint;
        self.current.store(Arc::new(loaded.snapshot));
        let fields: [(&str, &dyn std::fmt::Display); 4] =
            [("trigger", &trigger.as_str()), ("generation", &generation), ("clients", &clients), ("changes", &changes)];
        self.log.info("client list in force", &fields);
        warn(&self.log, &loaded.warnings);
    }

    fn succeeded(&self) {
        self.metrics.reload.succeeded(self.clock.now());
    }

    /// Everything that should be watched for events.
    pub fn paths(&self) -> Vec<PathBuf> {
        std::iter::once(self.settings.clients.path.clone()).chain(self.secrets.iter().cloned()).collect()
    }
}

/// Logs what the operator should know about a list.
pub fn warn(log: &Log, warnings: &[Problem]) {
    for warning in warnings {
        log.warn("client list", &[("warning", warning)]);
    }
}

/// From texts to a snapshot that may be published.
fn take(texts: Vec<Text>, settings: &Settings, previous: Option<&Snapshot>, clock: &Clock) -> Result<Loaded, NotTaken> {
    let (content, mut problems) = file::parse(texts);
    let Some(mut content) = content else { return Err(NotTaken::Refused(problems)) };
    if previous.is_some_and(|previous| previous.guarded) && !content.guarded {
        let place = crate::config::problem::Place::whole(settings.clients.path.display().to_string());
        problems.error(place, "end", "the list in force has an [end] and this one has none: it may have been cut");
        return Err(NotTaken::Refused(problems));
    }
    let entries = std::mem::take(&mut content.entries);
    let now = clock.now();
    let fingerprint = content.fingerprint();
    let ground = Ground {
        files: &content.files,
        previous,
        forwards: settings.upstream.credential == CredentialMode::Forward,
        keep_revoked: settings.clients.keep_revoked,
        now,
    };
    let (snapshot, findings) = build(entries, &ground, short(&fingerprint), content.guarded);
    place_findings(&content, findings, &mut problems);
    let Some(snapshot) = snapshot else { return Err(NotTaken::Refused(problems)) };
    let shrunk = previous.and_then(|previous| shrinks(previous, &snapshot, settings.clients.max_shrink, now));
    match shrunk {
        Some(why) => Err(NotTaken::Held(why, Box::new(snapshot))),
        None => Ok(Loaded {
            snapshot,
            warnings: problems.warnings,
            secrets: content.secrets.into_keys().collect(),
            fingerprint,
        }),
    }
}

fn place_findings(content: &Content, findings: crate::registry::build::Findings, problems: &mut Problems) {
    for (spot, message) in findings.errors {
        problems.error(content.place(spot), "", message);
    }
    for (spot, message) in findings.warnings {
        problems.warning(content.place(spot), "", message);
    }
}

/// The first 48 bits, which a double holds exactly.
fn short(fingerprint: &Fingerprint) -> u64 {
    fingerprint.iter().take(6).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}
