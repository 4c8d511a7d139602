//! What the admin API stands on: a running instance, or, where none answers, the files it would start from. The routes
//! are the same over both.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use http::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::answer::Fault;
use super::page::session::Sessions;
use super::recent::{Recent, Uses};
use super::repeat::Repeats;
use super::tokens::Tokens;
use crate::audit::Audit;
use crate::config::problem::ConfigErrors;
use crate::config::settings::Settings;
use crate::config::settings::operation::Instances;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::ids::{ClientKey, SecretId};
use crate::fleet::{self, Prometheus};
use crate::lifecycle::{Holder, QUIET_FOR, Usage};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::registry::cells::Refusals;
use crate::registry::{Client, Record, Snapshot};
use crate::reload::watch::Triggers;
use crate::reload::{self, Loaded, Outcome, Prepared, Trigger};
use crate::source::file::Fingerprint;
use crate::usage::{self, State};

/// Brings the counters of the data-plane threads up to date.
pub type Flush = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// What there is to look at and to change.
pub struct Ground {
    pub(super) settings: Arc<Settings>,
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) clock: Arc<Clock>,
    pub(super) hands: Hands,
    /// Where it is written down who changed what.
    pub(super) audit: Audit,
    turn: Semaphore,
    recent: Recent,
    pub(super) repeats: Repeats,
    pub(super) sessions: Sessions,
    /// The addresses it can be reached at, once it listens.
    pub(super) addresses: OnceLock<Vec<SocketAddr>>,
    /// The files that the last change wrote, each with its digest.
    pub(super) written: ArcSwap<Vec<(PathBuf, Fingerprint)>>,
}

/// How the list gets into force, and who knows of uses.
pub(super) enum Hands {
    Instance(Instance),
    /// No instance answers: the files, and what the last one wrote down of uses.
    Files(Option<Arc<State>>),
}

/// A running instance.
pub struct Instance {
    /// Reloads.
    pub triggers: Triggers,
    /// Brings the counters up to date.
    pub flush: Flush,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// When it started.
    pub started: Timestamp,
    /// Who changed what.
    pub audit: Audit,
    /// What it says of itself.
    pub log: Log,
    /// Who may call at its addresses, where it has any.
    pub tokens: Option<Arc<Tokens>>,
}

/// The list and the uses of its secrets, at one moment.
pub(super) struct View {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) now: Timestamp,
    book: Book,
}

/// Who knows of uses.
enum Book {
    /// The records' own counters.
    Counters,
    /// What a state file says; nothing where there is none.
    Kept(Option<Arc<State>>),
    /// Every instance's, beside our own; or why they are not known.
    Fleet(Arc<Uses>),
}

impl Ground {
    /// A running instance.
    pub fn instance(
        settings: Arc<Settings>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        clock: Arc<Clock>,
        instance: Instance,
    ) -> Self {
        let audit = instance.audit.clone();
        Self::new(settings, snapshot, clock, Hands::Instance(instance), audit)
    }

    /// The files that the settings name.
    pub fn files(settings: Settings, clock: Arc<Clock>, audit: Audit) -> Result<Self, ConfigErrors> {
        let loaded = reload::load(&settings, &clock)?;
        // A state file that cannot be read knows as little as one that is not there.
        let state = usage::read(&settings.state.path).ok().flatten().map(Arc::new);
        let snapshot = Arc::new(ArcSwap::from_pointee(loaded.snapshot));
        Ok(Self::new(Arc::new(settings), snapshot, clock, Hands::Files(state), audit))
    }

    fn new(
        settings: Arc<Settings>,
        snapshot: Arc<ArcSwap<Snapshot>>,
        clock: Arc<Clock>,
        hands: Hands,
        audit: Audit,
    ) -> Self {
        Self {
            settings,
            snapshot,
            clock,
            hands,
            audit,
            turn: Semaphore::new(1),
            recent: Recent::default(),
            repeats: Repeats::default(),
            sessions: Sessions::default(),
            addresses: OnceLock::new(),
            written: ArcSwap::default(),
        }
    }

    /// The list and the uses of its secrets now; `of` one client, or of all: where Prometheus knows of those, as it was told
    /// a moment ago.
    pub(super) async fn view(&self, of: Option<&ClientKey>) -> Arc<View> {
        // On the heap, as a question is large, and most views ask none.
        let fleet = async || match of {
            Some(_) => Arc::new(Box::pin(self.fleet(of, QUIET_FOR)).await),
            None => self.recent.or(Box::pin(self.fleet(None, QUIET_FOR))).await,
        };
        self.view_with(fleet).await
    }

    /// The same, with uses at least so far back: for a rule that asks for so long a quiet time.
    pub(super) async fn view_back(&self, of: Option<&ClientKey>, quiet_for: Duration) -> Arc<View> {
        self.view_with(async || Arc::new(Box::pin(self.fleet(of, quiet_for)).await)).await
    }

    async fn view_with<F: Future<Output = Arc<Uses>> + Send>(&self, fleet: impl FnOnce() -> F) -> Arc<View> {
        let book = match &self.hands {
            Hands::Instance(instance) => {
                (instance.flush)().await;
                Book::Counters
            }
            Hands::Files(state) => Book::Kept(state.clone()),
        };
        let book = match self.settings.fleet.instances {
            Instances::One => book,
            Instances::Many => Book::Fleet(fleet().await),
        };
        Arc::new(View { snapshot: self.snapshot.load_full(), now: self.clock.now(), book })
    }

    async fn fleet(&self, of: Option<&ClientKey>, quiet_for: Duration) -> Uses {
        let prometheus = Prometheus::of(&self.settings.fleet);
        let tenants = self.snapshot.load().has_tenants();
        let prometheus = prometheus.map(|prometheus| prometheus.looking_back(quiet_for).with_tenants(tenants));
        match (prometheus, of) {
            (Some(prometheus), Some(client)) => Ok([(client.clone(), prometheus.client(client).await?)].into()),
            (Some(prometheus), None) => prometheus.clients().await,
            (None, _) => Err("[fleet] instances = \"many\", and no prometheus is named that knows them all".to_owned()),
        }
    }

    /// Counts an answer that a door gave.
    pub(super) fn count(&self, status: StatusCode) {
        if let Hands::Instance(instance) = &self.hands {
            instance.metrics.admin.count(status);
        }
    }

    /// One change at a time, in the order they were asked for. Nothing is held but the turn.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>, Fault> {
        self.turn
            .acquire()
            .await
            .map_err(|_| Fault::failed("the instance is stopping\n  Nothing was changed.".to_owned()))
    }

    /// Puts into force what stands in the files.
    pub(super) async fn reload(&self, trigger: Trigger) -> Result<Arc<Outcome>, Fault> {
        match &self.hands {
            Hands::Instance(instance) => instance.triggers.reload(trigger).await.ok_or_else(stopping),
            Hands::Files(_) => Ok(Arc::new(match reload::load(&self.settings, &self.clock) {
                Ok(loaded) => self.follow(loaded),
                Err(errors) => Outcome::Refused(errors),
            })),
        }
    }

    /// Puts into force what we just wrote ourselves.
    pub(super) async fn put_in_force(&self, prepared: Prepared) -> Result<Arc<Outcome>, Fault> {
        match &self.hands {
            Hands::Instance(instance) => instance.triggers.put_in_force(prepared).await.ok_or_else(stopping),
            Hands::Files(_) => match prepared.where_it_stands(&self.settings) {
                Some(loaded) => Ok(Arc::new(self.follow(loaded))),
                None => self.reload(Trigger::Command { allow_shrink: true, written: false }).await,
            },
        }
    }

    fn follow(&self, loaded: Loaded) -> Outcome {
        self.snapshot.store(Arc::new(loaded.snapshot));
        Outcome::Published
    }
}

fn stopping() -> Fault {
    Fault::conflict("stopping", "the instance is stopping\n  Nothing was changed. Try again.".to_owned())
}

impl View {
    /// A client as the rules see it.
    pub(super) fn holder(&self, client: &Client) -> Holder {
        Holder::of_client(client, |record| self.usage(client, record), self.now)
    }

    /// What is known of the use of a secret, by name.
    pub(super) fn usage_of(&self, client: &ClientKey, secret: &SecretId) -> Usage {
        let client = self.snapshot.client(client);
        let record = client.and_then(|client| Some((client, client.records().iter().find(|r| r.id == *secret)?)));
        record.map_or_else(
            || Usage::Unknown("it has just come into the list".to_owned()),
            |(client, record)| self.usage(client, record),
        )
    }

    /// How often and from where it was presented while it was not accepted, as far as it is known here.
    pub(super) fn refusals(&self, client: &Client, record: &Record) -> Refusals {
        match &self.book {
            Book::Kept(state) => {
                let seen = state.as_ref().and_then(|state| state.seen(&client.key, record));
                seen.map(|seen| seen.clamped(self.now).refused).unwrap_or_default()
            }
            Book::Counters | Book::Fleet(_) => record.uses.seen().refused,
        }
    }

    /// What is known of a secret's use.
    fn usage(&self, client: &Client, record: &Record) -> Usage {
        let seen = match &self.book {
            Book::Counters => Some(record.uses.seen()),
            Book::Kept(None) => {
                return Usage::Unknown("no instance answers, and there is no state file that says more".to_owned());
            }
            Book::Kept(Some(state)) => state.seen(&client.key, record).map(|seen| seen.clamped(self.now)),
            Book::Fleet(uses) => {
                let uses = match &**uses {
                    Ok(uses) => uses,
                    Err(why) => return Usage::Unknown(why.clone()),
                };
                return fleet::usage(uses.get(&client.key), record);
            }
        };
        seen.map_or_else(
            || Usage::Unknown("no instance has seen it yet".to_owned()),
            |seen| Usage::Seen {
                tracking_since: seen.tracking_since,
                last_used: seen.last_used,
                last_refused: seen.last_refused(),
                uses: seen.uses,
                from: seen.from,
            },
        )
    }
}
