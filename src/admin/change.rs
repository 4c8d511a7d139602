//! Changing the list: what is wished goes through the rules, into the file, into force; one change at a time.

use std::sync::Arc;
use std::time::Duration;

use super::answer::Fault;
use super::desk::{Decided, Desk, NotDone};
use super::ground::{Ground, Hands, View};
use super::journal::Journal;
use crate::domain::ids::ClientKey;
use crate::domain::secret::Secret;
use crate::lifecycle::{Action, Policy, QUIET_FOR, Refused};
use crate::reload::{Outcome, Prepared, Trigger};
use crate::source::write::{self, WriteFailure, Written};

/// Asked again this often where somebody else was faster.
const AGAIN: usize = 3;

/// One thing that is wished of one client.
pub(super) struct Wish {
    pub(super) client: ClientKey,
    pub(super) action: Action,
    pub(super) policy: Policy,
    /// A secret that came from outside, where it came in the clear.
    pub(super) given: Option<Secret>,
}

/// What became of a wish: whether something changed, or the rule that stands against it.
pub(super) type Granted = Result<bool, Refused>;

impl Ground {
    /// Does what is wished as far as the rules allow it, in one write of the list, and waits until it is in force. Where
    /// somebody else changed the list meanwhile, that is put in force first, as any reload is; `wanted` is then asked whether
    /// the wishes are still wanted.
    pub(super) async fn change(
        self: &Arc<Self>,
        view: &Arc<View>,
        wishes: Vec<Wish>,
        wanted: impl Fn(&View) -> Result<(), Fault> + Send + Sync,
    ) -> Result<Vec<Granted>, Fault> {
        let journal = Journal::current(self);
        let first = journal.wished(&wishes);
        let changed = self.bring_about(view.clone(), wishes, wanted, &journal, first).await;
        if let Err(fault) = &changed {
            journal.failed(first, fault);
        }
        changed
    }

    async fn bring_about(
        self: &Arc<Self>,
        mut view: Arc<View>,
        wishes: Vec<Wish>,
        wanted: impl Fn(&View) -> Result<(), Fault> + Send + Sync,
        journal: &Arc<Journal>,
        first: usize,
    ) -> Result<Vec<Granted>, Fault> {
        let wishes: Arc<[Wish]> = wishes.into();
        let mut written = self.write(&view, &wishes, journal, first).await?;
        for _ in 0..AGAIN {
            if !matches!(written, Err(WriteFailure::Change(NotDone::Overtaken))) {
                break;
            }
            self.take_up().await?;
            view = self.view_again(&wishes).await;
            wanted(&view)?;
            written = self.write(&view, &wishes, journal, first).await?;
        }
        let Written { value: (granted, prepared), files } = written.map_err(|failure| fault(&failure))?;
        if !files.is_empty() {
            self.written.store(Arc::new(files));
        }
        if let Some(prepared) = prepared {
            let outcome = self.put_in_force(prepared).await.map_err(|_| {
                let next =
                    "It will be in force from the next start. Secrets that were made now were not shown: revoke them.";
                Fault::conflict("stopping", format!("the list is changed, and the instance is stopping\n  {next}"))
            })?;
            self.in_force(&outcome)?;
        }
        Ok(granted)
    }

    /// As much of the list as the wishes need to know.
    async fn view_again(&self, wishes: &[Wish]) -> Arc<View> {
        let one = if let [wish] = wishes { Some(&wish.client) } else { None };
        let quiet_for = wishes.iter().map(|wish| wish.policy.quiet_for).fold(QUIET_FOR, Duration::max);
        self.view_back(one, quiet_for).await
    }

    /// One write, with the list that it makes.
    async fn write(
        self: &Arc<Self>,
        view: &Arc<View>,
        wishes: &Arc<[Wish]>,
        journal: &Arc<Journal>,
        first: usize,
    ) -> Result<Result<Written<(Vec<Granted>, Option<Prepared>)>, WriteFailure<NotDone>>, Fault> {
        let (ground, view, wishes, journal) = (self.clone(), view.clone(), wishes.clone(), journal.clone());
        let write = move || {
            let list = &ground.settings.clients.path;
            let written = write::rewrite_texts(list, &ground.written.load(), |files| {
                let desk = Desk { view: &view, settings: &ground.settings, clock: &ground.clock, files };
                let Decided { texts, granted, prepared } = desk.decide(&wishes)?;
                Ok((texts, (granted, prepared)))
            });
            // Here, where it is done: whoever asked may have left.
            if let Ok(written) = &written {
                journal.settled(first, &written.value.0);
            }
            written
        };
        self.aside(write).await
    }

    /// What stands in the files must be in force before it is changed further: else a change would bring in, unseen,
    /// what was refused.
    pub(super) async fn catch_up(&self) -> Result<(), Fault> {
        if let Hands::Files(_) = self.hands {
            // Read a moment ago, when the ground was laid, and again after each change since.
            return Ok(());
        }
        self.take_up().await
    }

    /// Puts what stands in the files into force, as far as the guards of a reload let it.
    async fn take_up(&self) -> Result<(), Fault> {
        let outcome = self.reload(Trigger::Command { allow_shrink: false, written: false }).await?;
        let (what, why) = match &*outcome {
            Outcome::Published | Outcome::Unchanged => return Ok(()),
            Outcome::Refused(errors) => ("refused", errors.to_string()),
            Outcome::Held(why) => ("held", why.clone()),
            Outcome::StillRefused => ("refused", String::new()),
        };
        let next = "Nothing was changed by this command. Mend the list, or apply it: `relatch reload --allow-shrink`.";
        let message = format!("the list on disk is not in force: it was {what}\n  {next}\n{why}");
        Err(Fault::conflict("list_not_in_force", message))
    }

    fn in_force(&self, outcome: &Outcome) -> Result<(), Fault> {
        let why = match outcome {
            Outcome::Published | Outcome::Unchanged => return Ok(()),
            Outcome::Refused(errors) => errors.to_string(),
            Outcome::Held(why) => why.clone(),
            Outcome::StillRefused => String::new(),
        };
        let message = format!(
            "the list is changed, but what it says now is not in force\n  Look at it, then `relatch reload`. A secret that was \
             made by this was not shown: revoke it.\n{why}"
        );
        Err(Fault::conflict("not_in_force", message))
    }
}

fn fault(failure: &WriteFailure<NotDone>) -> Fault {
    match failure {
        WriteFailure::Change(NotDone::WouldBeRefused(why)) => Fault::refused("list_would_be_refused", why.clone()),
        WriteFailure::Change(NotDone::Overtaken) | WriteFailure::Conflict(_) => {
            Fault::conflict("conflict", failure.to_string())
        }
        WriteFailure::ReadOnly(path, why) => {
            Fault::conflict("read_only", format!("{}: {why}\n  Nothing was changed.", path.display()))
        }
        other => Fault::failed(other.to_string()),
    }
}
