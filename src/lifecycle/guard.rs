//! The guard before everything that takes a working secret away: is anybody left who uses it, and would the client be
//! locked out?

use std::time::Duration;

use super::{Held, Holder, Refused, Usage};
use crate::config::edit::NewSecret;
use crate::config::values;
use crate::domain::clock::Timestamp;
use crate::domain::ids::SecretId;

/// What the caller of a door brings beside the action.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Now.
    pub now: Timestamp,
    /// How long a secret must have been quiet.
    pub quiet_for: Duration,
    /// The caller knows better.
    pub force: bool,
}

/// A day has every nightly job in it.
pub const QUIET_FOR: Duration = Duration::from_secs(24 * 3600);

impl Policy {
    /// The rules as they are when nobody asks for others.
    pub const fn at(now: Timestamp) -> Self {
        Self { now, quiet_for: QUIET_FOR, force: false }
    }

    /// Lets `leaving`, which are accepted now, go; or says why not. `stands_in` is a secret that comes in the same step.
    pub(super) fn guard<'h>(
        &self,
        holder: &'h Holder,
        leaving: impl Iterator<Item = &'h Held>,
        stands_in: Option<&SecretId>,
    ) -> Result<(), Refused> {
        if self.force {
            return Ok(());
        }
        let leaving: Vec<&Held> = leaving.collect();
        let stays = |secret: &&Held| !leaving.iter().any(|gone| gone.id == secret.id);
        if let Some(first) = leaving.first()
            && stands_in.is_none()
            && holder.usable().find(stays).is_none()
        {
            return Err(Refused::LastUsable { client: holder.key.clone(), secret: first.id.clone() });
        }
        leaving.into_iter().try_for_each(|secret| self.is_quiet(secret))
    }

    fn is_quiet(&self, secret: &Held) -> Result<(), Refused> {
        let id = secret.id.clone();
        match &secret.usage {
            Usage::Unknown(why) => Err(Refused::UseUnknown { secret: id, why: why.clone() }),
            Usage::Seen { tracking_since, last_used, last_refused, uses, from } => {
                match (*last_used).max(*last_refused) {
                    Some(at) if self.now.since(at) < self.quiet_for => Err(Refused::RecentlyUsed {
                        secret: id,
                        last_used: at,
                        refused: last_refused > last_used,
                        now: self.now,
                        uses: *uses,
                        from: from.clone(),
                        quiet_for: self.quiet_for,
                    }),
                    _ if self.now.since(*tracking_since) < self.quiet_for => Err(Refused::NotObserved {
                        secret: id,
                        since: *tracking_since,
                        now: self.now,
                        quiet_for: self.quiet_for,
                    }),
                    _ => Ok(()),
                }
            }
        }
    }

    /// The window of a new secret opens before it closes, and closes in the future.
    pub(super) fn window(&self, secret: &NewSecret) -> Result<(), Refused> {
        let at = |text: &Option<String>| text.as_deref().and_then(values::timestamp);
        let (start, end) = (at(&secret.not_before), at(&secret.expires));
        match end {
            Some(end) if end <= self.now => Err(Refused::Invalid("the secret would have expired already".to_owned())),
            Some(end) if start.is_some_and(|start| end <= start) => {
                Err(Refused::Invalid("the secret would expire before its time comes".to_owned()))
            }
            _ => Ok(()),
        }
    }
}
