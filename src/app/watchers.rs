//! What others are told of the list: each new one in the audit log and to the receivers of web hooks, whoever changed it.

use std::sync::Arc;

use crate::audit::Audit;
use crate::domain::clock::Clock;
use crate::event::entry::{Entry, Outcome as Ended, Who};
use crate::event::summary::Summary;
use crate::event::webhook::{Kind, of_a_list};
use crate::hooks::Hooks;
use crate::reload::{Audience, Outcome, Published, Trigger};

/// Who is told.
#[derive(Clone)]
pub(super) struct Watchers {
    pub(super) audit: Audit,
    /// Whether an audit log is kept: of a long list the summary takes its time.
    pub(super) is_audited: bool,
    pub(super) hooks: Hooks,
    pub(super) clock: Arc<Clock>,
}

impl Watchers {
    /// Something that the instance does by itself.
    pub(super) fn note(&self, what: &str, outcome: Ended, generation: u64) -> Entry {
        let mut entry = Entry::new(self.clock.now(), Who::instance(), what, outcome);
        entry.generation = Some(generation);
        entry
    }

    fn reload(&self, trigger: Trigger, outcome: Ended, generation: u64, summary: Option<Summary>) {
        let mut entry = self.note("reload", outcome, generation);
        entry.more.trigger = Some(trigger.as_str().to_owned());
        entry.more.summary = summary;
        self.audit.write(&entry);
    }
}

impl Audience for Watchers {
    fn published(&self, published: &Published<'_>) {
        let Published { trigger, before, after, changes } = *published;
        self.reload(trigger, Ended::Done, after.generation, self.is_audited.then(|| Summary::of(changes)));
        if !self.hooks.wants(Kind::SecretAdded) && !self.hooks.wants(Kind::SecretRevoked) {
            return;
        }
        for event in of_a_list(before, after, changes, self.clock.now()) {
            self.hooks.tell(&event);
        }
    }

    fn ended(&self, trigger: Trigger, outcome: &Outcome, generation: u64) {
        let ended = match outcome {
            // A person asked, and the answer is that nothing is new.
            Outcome::Unchanged if trigger == Trigger::Signal => Ended::Unchanged,
            Outcome::Unchanged | Outcome::Published | Outcome::StillRefused => return,
            Outcome::Refused(errors) => {
                let first = errors.0.first().map(ToString::to_string).unwrap_or_default();
                Ended::Failed("list_refused".to_owned(), first)
            }
            Outcome::Held(why) => Ended::Failed("list_held".to_owned(), why.clone()),
        };
        self.reload(trigger, ended, generation, None);
    }
}
