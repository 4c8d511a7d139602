//! Many triggers, one function: a list is read, built whole, and only then put in place of the one in force.
//!
//! The last good list wins over an unreadable new one. A list that would drop most of itself is held, but what it
//! revokes is revoked at once. Runs on a thread of its own; requests never wait for it.

mod load;
mod parts;
pub mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

pub use self::load::{Loaded, Prepared, load, prepare};
use self::load::{NotTaken, Taking};
use crate::config::problem::{ConfigErrors, Problem};
use crate::config::settings::Settings;
use crate::domain::clock::Clock;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::registry::Snapshot;
use crate::registry::diff::{Diff, diff, share_counts, with_revocations};
use crate::source::file::{self, Patience, Seen};

/// Why we reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A file event: a hint, no more.
    Event,
    /// The time to compare contents has come.
    Poll,
    /// SIGHUP: somebody asked, and wants to read what came of it.
    Signal,
    /// A command asked, and waits for what came of it.
    Command {
        /// The list may drop as much as it does.
        allow_shrink: bool,
        /// We wrote the files ourselves, whole: nobody is still writing to them.
        written: bool,
    },
}

impl Trigger {
    /// In a word or two.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "file event",
            Self::Poll => "poll",
            Self::Signal => "signal",
            Self::Command { .. } => "command",
        }
    }

    /// Whether somebody asked, so that what was refused before is told again.
    const fn is_asked(self) -> bool {
        matches!(self, Self::Signal | Self::Command { .. })
    }

    const fn allows_shrinking(self) -> bool {
        matches!(self, Self::Command { allow_shrink: true, .. })
    }

    const fn is_written(self) -> bool {
        matches!(self, Self::Command { written: true, .. })
    }

    /// One reload for two triggers.
    const fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Command { .. }, Self::Command { .. }) => Self::Command {
                allow_shrink: self.allows_shrinking() || other.allows_shrinking(),
                written: self.is_written() && other.is_written(),
            },
            (Self::Command { allow_shrink, .. }, Self::Signal) | (Self::Signal, Self::Command { allow_shrink, .. }) => {
                Self::Command { allow_shrink, written: false }
            }
            (Self::Command { .. } | Self::Signal, _) => self,
            (_, Self::Command { .. } | Self::Signal) => other,
            _ => self,
        }
    }
}

/// How a reload ended.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// Looks at a mount that is being swapped, and the time between them: a swap takes a few milliseconds.
const LOOKS: usize = 10;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// Called with the list in force and the one that is about to be.
pub type BeforePublish = Box<dyn Fn(&Snapshot, &Snapshot) + Send>;

/// A list that was just put in force, in place of another.
pub struct Published<'p> {
    /// Why it was read.
    pub trigger: Trigger,
    /// The one before.
    pub before: &'p Snapshot,
    /// The one in force.
    pub after: &'p Snapshot,
    /// What is different.
    pub changes: &'p Diff,
}

/// Who is told how reloads go; nothing here may wait.
pub trait Audience: Send {
    /// A list is in force; of a held one its revocations alone.
    fn published(&self, published: &Published<'_>);
    /// A reload ended otherwise. The list in force is of this generation.
    fn ended(&self, trigger: Trigger, outcome: &Outcome, generation: u64);
}

/// Reloads the list of one instance.
pub struct Reloader {
    settings: Arc<Settings>,
    current: Arc<ArcSwap<Snapshot>>,
    metrics: Arc<Metrics>,
    clock: Arc<Clock>,
    log: Log,
    in_force: Seen,
    before_publish: Option<BeforePublish>,
    audience: Option<Box<dyn Audience>>,
    /// The last list that was not taken: it is not told again until it changes, or somebody asks.
    refused: Option<Seen>,
}

impl Reloader {
    /// Takes over from the first load.
    pub fn new(
        settings: Arc<Settings>,
        in_force: Seen,
        current: Arc<ArcSwap<Snapshot>>,
        metrics: Arc<Metrics>,
        clock: Arc<Clock>,
        log: Log,
    ) -> Self {
        let (before_publish, audience, refused) = (None, None, None);
        let reloader = Self { settings, current, metrics, clock, log, in_force, before_publish, audience, refused };
        reloader.succeeded();
        reloader
    }

    /// Has each new list looked at before it is in force.
    #[must_use]
    pub fn before_publish(self, look: BeforePublish) -> Self {
        Self { before_publish: Some(look), ..self }
    }

    /// Tells somebody how reloads go.
    #[must_use]
    pub fn telling(self, audience: Box<dyn Audience>) -> Self {
        Self { audience: Some(audience), ..self }
    }

    /// Reads the list and, if it is new and good, publishes it. What is prepared is not read and built again where it is
    /// what stands in the files.
    pub fn reload_once(&mut self, trigger: Trigger, prepared: Option<Prepared>) -> Outcome {
        let outcome = self.attempt(trigger, prepared);
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
                reload.failed(errors.to_string());
                let generation = self.current.load().generation;
                for error in &errors.0 {
                    let fields: [(&str, &dyn std::fmt::Display); 3] =
                        [("trigger", &by), ("generation", &generation), ("error", error)];
                    self.log.error("client list refused, the one in force stays", &fields);
                }
            }
            Outcome::Held(why) => {
                reload.held.inc();
                reload.failed(why.clone());
                let next = "`relatch reload --allow-shrink` applies it; its revocations are in force";
                self.log.error(
                    "client list held, the one in force stays",
                    &[("trigger", &by), ("reason", why), ("next", &next)],
                );
            }
        }
        if let (Some(audience), false) = (&self.audience, outcome == Outcome::Published) {
            audience.ended(trigger, &outcome, self.current.load().generation);
        }
        outcome
    }

    /// Looks again while a mount is being swapped: what was read must be of one state.
    fn attempt(&mut self, trigger: Trigger, mut prepared: Option<Prepared>) -> Outcome {
        for _ in 0..LOOKS {
            if let Some(outcome) = self.look(trigger, &mut prepared, false) {
                return outcome;
            }
            std::thread::sleep(BETWEEN_LOOKS);
        }
        self.look(trigger, &mut prepared, true).unwrap_or(Outcome::StillRefused)
    }

    /// One look; nothing where the files were swapped meanwhile, unless it is the last.
    fn look(&mut self, trigger: Trigger, prepared: &mut Option<Prepared>, last: bool) -> Option<Outcome> {
        let path = &self.settings.clients.path;
        // What is in force already needs no patience: nobody is in the middle of writing it.
        let (mut texts, mut problems) = file::read(path, Patience::Whole);
        let mut seen = file::fingerprint(&texts, &problems);
        let unchanged = self.in_force.is_now(&seen);
        if !unchanged && !trigger.is_written() {
            drop(texts);
            (texts, problems) = file::read(path, Patience::Settle);
            seen = file::fingerprint(&texts, &problems);
        }
        if unchanged || self.in_force.is_now(&seen) {
            self.refused = None;
            return Some(Outcome::Unchanged);
        }
        let places = file::places(&texts);
        let known = self.refused.as_ref().is_some_and(|refused| refused.is_now(&seen));
        if known && !trigger.is_asked() {
            return Some(Outcome::StillRefused);
        }
        let current = self.current.load_full();
        let most = if trigger.allows_shrinking() { None } else { Some(&*current) };
        let taken = match prepared.take().filter(|prepared| prepared.is(&seen, &current)) {
            Some(prepared) => Ok(prepared.read_with(problems)),
            None => {
                let (settings, known, clock) = (&*self.settings, &*self.in_force.names, &*self.clock);
                Taking { texts, problems, seen, settings, previous: Some(&current), known, clock }.take(None)
            }
        };
        let taken = taken.and_then(|loaded| loaded.held_against(most, &self.settings, &self.clock));
        if !places.still() && !last {
            return None;
        }
        let outcome = match taken {
            Ok(loaded) => {
                self.publish(loaded, &current, trigger);
                Outcome::Published
            }
            Err(NotTaken::Refused(problems, seen)) => {
                // A file that is missing now makes the list good when it comes.
                self.refused = Some(seen);
                Outcome::Refused(ConfigErrors(problems.errors))
            }
            Err(NotTaken::Held(why, held, seen)) => {
                self.refused = Some(seen);
                self.hold(&current, &held, trigger);
                Outcome::Held(why)
            }
        };
        let_go(current, &self.current);
        Some(outcome)
    }

    /// Applies what a held list revokes, and nothing else of it.
    fn hold(&mut self, current: &Snapshot, held: &Snapshot, trigger: Trigger) {
        if let Some(next) = with_revocations(current, held, self.clock.now()) {
            let changes = diff(current, &next);
            self.log.warn("revocations of the held list are in force", &[("changes", &changes)]);
            let next = self.put_in_force(current, next);
            self.tell(trigger, current, &next, &changes);
            // The list in force is none that stands in a file: even the old one must be gone over again.
            self.in_force.texts = [0; 32];
        }
    }

    fn publish(&mut self, loaded: Loaded, current: &Snapshot, trigger: Trigger) {
        let changes = diff(current, &loaded.snapshot);
        let (generation, clients) = (loaded.snapshot.generation, loaded.snapshot.clients.len());
        self.in_force = loaded.seen;
        self.refused = None;
        if let Some(look) = &self.before_publish {
            look(current, &loaded.snapshot);
        }
        let next = self.put_in_force(current, loaded.snapshot);
        // Once it is in force: nothing waits for that but whoever goes through the list.
        next.put_in_order();
        self.tell(trigger, current, &next, &changes);
        let fields: [(&str, &dyn std::fmt::Display); 4] =
            [("trigger", &trigger.as_str()), ("generation", &generation), ("clients", &clients), ("changes", &changes)];
        self.log.info("client list in force", &fields);
        warn(&self.log, &loaded.warnings);
    }

    /// The only way into force: requests that still hold the list before go on counting for this one too.
    fn put_in_force(&self, current: &Snapshot, next: Snapshot) -> Arc<Snapshot> {
        share_counts(current, &next);
        let next = Arc::new(next);
        self.current.store(next.clone());
        next
    }

    fn tell(&self, trigger: Trigger, before: &Snapshot, after: &Snapshot, changes: &Diff) {
        if let Some(audience) = &self.audience {
            audience.published(&Published { trigger, before, after, changes });
        }
    }

    fn succeeded(&self) {
        self.metrics.reload.succeeded(self.clock.now());
    }

    /// Everything that should be watched for events.
    pub fn paths(&self) -> Vec<PathBuf> {
        let secrets = std::iter::once(&self.in_force).chain(&self.refused).flat_map(|seen| seen.secrets.keys());
        std::iter::once(&self.settings.clients.path).chain(secrets).cloned().collect()
    }
}

/// Drops a list here that is no longer in force, after everybody else: a million clients take a while to be freed, and a
/// thread that serves must not be the one that does it. Requests hold a list for a moment; who holds one for longer, for a
/// page or a scrape, serves no token requests.
fn let_go(list: Arc<Snapshot>, in_force: &ArcSwap<Snapshot>) {
    let is_out = !Arc::ptr_eq(&list, &in_force.load());
    for _ in 0..LOOKS {
        if !is_out || Arc::strong_count(&list) == 1 {
            break;
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    drop(list);
}

/// Logs what the operator should know about a list.
pub fn warn(log: &Log, warnings: &[Problem]) {
    for warning in warnings {
        log.warn("client list", &[("warning", warning)]);
    }
}
