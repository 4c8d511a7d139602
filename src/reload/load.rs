//! From the files of a list to a snapshot that may be put in force.

use std::sync::Arc;

use super::parts::in_parts;
use crate::config::clients::ClientList;
use crate::config::problem::{ConfigErrors, Place, Problem, Problems};
use crate::config::settings::Settings;
use crate::config::settings::kinds::CredentialMode;
use crate::domain::clock::{Clock, Timestamp};
use crate::registry::Snapshot;
use crate::registry::build::{Findings, Ground, build};
use crate::registry::diff::shrinks;
use crate::source::file::{self, Content, Fingerprint, Patience, Seen, Text};

/// Why a list is not taken.
pub(super) enum NotTaken {
    /// What is wrong, and what the list was made of.
    Refused(Problems, Seen),
    /// Why, the list, and what it was made of.
    Held(String, Box<Snapshot>, Seen),
}

/// A list that was read and built.
pub struct Loaded {
    /// What it says.
    pub snapshot: Snapshot,
    /// What the operator should know about it.
    pub warnings: Vec<Problem>,
    /// What it was made of.
    pub seen: Seen,
}

/// Reads and builds the list from nothing, as a start and `config check` do.
pub fn load(settings: &Settings, clock: &Clock) -> Result<Loaded, ConfigErrors> {
    let (texts, problems) = file::read(&settings.clients.path, Patience::Settle);
    let seen = file::fingerprint(&texts, &problems);
    let list = Taking { texts, problems, seen, settings, previous: None, known: &[], clock };
    list.take(None).map_err(|not_taken| match not_taken {
        NotTaken::Refused(problems, _) => ConfigErrors(problems.errors),
        NotTaken::Held(why, ..) => ConfigErrors(vec![Problem {
            place: Place::whole(settings.clients.path.display().to_string()),
            key: String::new(),
            message: why,
        }]),
    })
}

/// A list that was read and built before it stood in its files: in force it goes without being read and built again,
/// provided that they hold it, byte for byte, and that it follows the list that it was built to follow.
pub struct Prepared {
    loaded: Loaded,
    follows: Arc<Snapshot>,
}

/// Builds the list that texts will make, each read already; or tells why it would be refused.
pub fn prepare(
    texts: Vec<Text>,
    lists: Vec<ClientList>,
    settings: &Settings,
    follows: &Arc<Snapshot>,
    known: &[String],
    clock: &Clock,
) -> Result<Prepared, ConfigErrors> {
    let problems = Problems::default();
    let seen = file::fingerprint(&texts, &problems);
    let list = Taking { texts, problems, seen, settings, previous: Some(follows), known, clock };
    let taken = list.take(Some(lists));
    taken.map(|loaded| Prepared { loaded, follows: follows.clone() }).map_err(|not_taken| match not_taken {
        NotTaken::Refused(problems, _) => ConfigErrors(problems.errors),
        NotTaken::Held(..) => ConfigErrors(Vec::new()),
    })
}

impl Prepared {
    /// Whether it is what the files hold now, and follows this list.
    pub(super) fn is(&self, texts: &Fingerprint, current: &Arc<Snapshot>) -> bool {
        Arc::ptr_eq(&self.follows, current) && self.loaded.seen.is_now(texts)
    }

    /// As it is, with what was found when its files were read.
    pub(super) fn read_with(self, problems: Problems) -> Loaded {
        let warnings = problems.warnings.into_iter().chain(self.loaded.warnings).collect();
        Loaded { warnings, ..self.loaded }
    }

    /// The list, where the files hold it.
    pub fn where_it_stands(self, settings: &Settings) -> Option<Loaded> {
        let (texts, problems) = file::read(&settings.clients.path, Patience::Whole);
        let seen = file::fingerprint(&texts, &problems);
        self.loaded.seen.is_now(&seen).then(|| self.read_with(problems))
    }
}

/// A list that was read, on the way to a snapshot that may be published.
pub(super) struct Taking<'a> {
    pub(super) texts: Vec<Text>,
    /// What was found when they were read.
    pub(super) problems: Problems,
    pub(super) seen: Fingerprint,
    pub(super) settings: &'a Settings,
    pub(super) previous: Option<&'a Snapshot>,
    /// The names of the files in force.
    pub(super) known: &'a [String],
    pub(super) clock: &'a Clock,
}

impl Taking<'_> {
    /// Builds it part by part; where anything is wrong with it as a whole, so that everything that is wrong is found in one
    /// go. `lists` are what the texts say, where somebody has read them already.
    pub(super) fn take(mut self, lists: Option<Vec<ClientList>>) -> Result<Loaded, NotTaken> {
        let mut texts = std::mem::take(&mut self.texts);
        if self.problems.errors.is_empty() {
            match in_parts(&self, texts) {
                Ok(loaded) => return Ok(loaded),
                Err(unbuilt) => texts = unbuilt,
            }
        }
        self.take_whole(texts, lists)
    }

    /// The list as a whole, and everything that is wrong with it.
    pub(super) fn take_whole(self, texts: Vec<Text>, lists: Option<Vec<ClientList>>) -> Result<Loaded, NotTaken> {
        let mut problems = self.problems.clone();
        let mut content = match lists {
            Some(lists) => file::content(texts, lists, &mut problems),
            None => file::parse(texts, &mut problems),
        };
        self.check_ends(&content, &mut problems);
        let entries = std::mem::take(&mut content.entries);
        let seen = self.seen(&content);
        let hash = short(&seen.fingerprint());
        let (snapshot, findings) =
            build(entries, &self.ground(&content, self.clock.now()), hash, content.guarded.clone());
        place_findings(&content, findings, &mut problems);
        let Some(mut snapshot) = snapshot.filter(|_| problems.errors.is_empty()) else {
            problems.sort();
            return Err(NotTaken::Refused(problems, seen));
        };
        snapshot.texts = self.seen;
        Ok(Loaded { snapshot, warnings: problems.warnings, seen })
    }

    pub(super) fn seen(&self, content: &Content) -> Seen {
        Seen { texts: self.seen, secrets: content.secrets.clone(), names: content.names().cloned().collect() }
    }

    pub(super) fn ground<'g>(&'g self, content: &'g Content, now: Timestamp) -> Ground<'g> {
        Ground {
            files: &content.files,
            previous: self.previous,
            forwards: self.settings.all_upstreams().any(|upstream| upstream.credential == CredentialMode::Forward),
            endpoints: &self.settings.endpoints,
            keep_revoked: self.settings.clients.keep_revoked,
            now,
        }
    }

    /// Refuses a file that lost its `[end]`, under its own name or a new one. Those that stood beside guarded files without
    /// one may go on so.
    pub(super) fn check_ends(&self, content: &Content, problems: &mut Problems) {
        let guarded = self.previous.map_or(&[][..], |previous| &previous.guarded);
        for name in content.names().filter(|name| !content.guarded.contains(name)) {
            let message = if guarded.contains(name) {
                "the file in force has an [end] and this one has none: it may have been cut"
            } else if !guarded.is_empty() && !self.known.contains(name) {
                "is new and has no [end], as the files in force have: it may have been cut"
            } else {
                continue;
            };
            problems.error(Place::whole(name), "end", message);
        }
    }
}

impl Loaded {
    /// Holds a list that would drop too much of the one in force.
    pub(super) fn held_against(
        self,
        current: Option<&Snapshot>,
        settings: &Settings,
        clock: &Clock,
    ) -> Result<Self, NotTaken> {
        let share = settings.clients.max_shrink;
        match current.and_then(|current| shrinks(current, &self.snapshot, share, clock.now())) {
            Some(why) => Err(NotTaken::Held(why, Box::new(self.snapshot), self.seen)),
            None => Ok(self),
        }
    }
}

pub(super) fn place_findings(content: &Content, findings: Findings, problems: &mut Problems) {
    for (spot, message) in findings.errors {
        problems.error(content.place(spot), "", message);
    }
    for (spot, message) in findings.warnings {
        problems.warning(content.place(spot), "", message);
    }
}

/// The first 48 bits, which a double holds exactly.
pub(super) fn short(fingerprint: &Fingerprint) -> u64 {
    fingerprint.iter().take(6).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}
