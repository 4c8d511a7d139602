//! The rules of the rotation, once, for every door: commands, admin API, pages.
//!
//! A door says what it wants ([`Action`]) of a client as it stands ([`Holder`]); [`decide`] answers with the edits that
//! do it ([`Plan`]) or with the rule that stands against it ([`Refused`]), in which case nothing is changed. Pure: the
//! time, the secret that was made and what is known of each secret's use are arguments.

mod guard;
mod holder;
pub mod progress;
mod refused;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::guard::{Policy, QUIET_FOR};
pub use self::holder::{Held, Holder, Usage};
pub use self::refused::Refused;
use crate::config::clients::MOST_ACTIVE;
use crate::config::edit::{Edit, NewClient, NewSecret, Scalar};
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientKey, SecretId};
use crate::registry::SecretState;

/// What a door wants.
#[derive(Clone, Debug)]
pub enum Action {
    /// A client that is not there yet.
    AddClient(NewClient),
    /// The client and all its secrets go.
    RemoveClient,
    /// The client is switched on or off.
    SetEnabled(bool),
    /// What is said of the client changes.
    SetClient(ClientChange),
    /// One more secret.
    Add(NewSecret),
    /// One more secret, the others retiring: they go on working until they are revoked, or for `grace`.
    Rotate {
        /// The new one.
        secret: NewSecret,
        /// A hard end for the others; zero ends them now.
        grace: Option<Duration>,
    },
    /// Refused from now on, and may be enabled again.
    Disable(SecretId),
    /// Accepted again.
    Enable(SecretId),
    /// Accepted until then.
    Expire(SecretId, Timestamp),
    /// Refused for good.
    Revoke(SecretId),
    /// Refused for good, at once, whoever uses it: somebody has it who should not.
    RevokeCompromised(SecretId),
    /// Every secret but the newest that is accepted is refused for good: the rotation is finished. Pending ones wait on.
    RevokePrevious,
    /// Refused until then, to see who fails; accepted again by the clock alone.
    Rehearse(SecretId, Timestamp),
    /// The mark of a rehearsal goes, and nothing else: what somebody did to the secret meanwhile stands.
    EndRehearsal(SecretId),
}

/// What is to be said of a client from now on; what is not named stays.
#[derive(Clone, Debug, Default)]
pub struct ClientChange {
    /// Whether any secret of it is accepted.
    pub enabled: Option<bool>,
    /// A name for people; empty for none.
    pub name: Option<String>,
    /// How many of its secrets may be active. Those that are beyond it stay: nothing is dropped silently.
    pub max_active: Option<usize>,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The edits; none where everything stands already as it is wanted.
    pub edits: Vec<Edit>,
}

/// A rehearsal longer than this is an outage.
pub const MAX_REHEARSAL: Duration = Duration::from_secs(3600);

/// The edits that do what is wanted of `holder` (nothing where no client of that id is there), or why not.
pub fn decide(client: &ClientKey, holder: Option<&Holder>, action: Action, policy: &Policy) -> Result<Plan, Refused> {
    let Some(holder) = holder else {
        return match action {
            Action::AddClient(new) => {
                new.secrets.iter().try_for_each(|secret| policy.window(secret))?;
                Ok(Plan { edits: vec![Edit::AddClient(new)] })
            }
            _ => Err(Refused::NoClient(client.clone())),
        };
    };
    let edits = match action {
        Action::AddClient(_) => return Err(Refused::ClientExists(client.clone())),
        Action::RemoveClient => {
            policy.guard(holder, holder.counted_on(), None)?;
            vec![Edit::RemoveClient(client.clone())]
        }
        Action::SetEnabled(wanted) => holder.set_enabled(wanted, policy)?,
        Action::SetClient(change) => holder.set_client(change, policy)?,
        Action::Add(secret) => vec![holder.add(secret, policy)?],
        Action::Rotate { secret, grace } => holder.rotate(secret, grace, policy)?,
        Action::Disable(id) => holder.disable(&id, policy)?,
        Action::Enable(id) => holder.enable(&id)?,
        Action::Expire(id, at) => holder.expire(&id, at, policy)?,
        Action::Revoke(id) => holder.revoke(&id, policy)?,
        Action::RevokeCompromised(id) => holder.revoke_compromised(&id, policy)?,
        Action::RevokePrevious => holder.revoke_previous(policy)?,
        Action::Rehearse(id, until) => holder.rehearse(&id, until, policy)?,
        Action::EndRehearsal(id) => holder.end_rehearsal(&id)?,
    };
    Ok(Plan { edits })
}

impl Holder {
    fn set_enabled(&self, wanted: bool, policy: &Policy) -> Result<Vec<Edit>, Refused> {
        if wanted == self.enabled {
            return Ok(Vec::new());
        }
        if !wanted {
            policy.guard(self, self.counted_on(), None)?;
        }
        let value = (!wanted).then_some(Scalar::Bool(false));
        Ok(vec![Edit::SetClient { client: self.key.clone(), key: "enabled", value }])
    }

    fn set_client(&self, change: ClientChange, policy: &Policy) -> Result<Vec<Edit>, Refused> {
        let set = |key, value| Edit::SetClient { client: self.key.clone(), key, value };
        let ClientChange { enabled, name, max_active } = change;
        let mut edits = enabled.map_or(Ok(Vec::new()), |wanted| self.set_enabled(wanted, policy))?;
        edits.extend(name.map(|name| set("name", Some(name).filter(|name| !name.is_empty()).map(Scalar::Text))));
        if let Some(most) = max_active {
            let number = i64::try_from(most).ok().filter(|_| (1..=MOST_ACTIVE).contains(&most));
            let why = || Refused::Invalid(format!("max_active_secrets: expected 1 to {MOST_ACTIVE}"));
            edits.push(set("max_active_secrets", Some(Scalar::Number(number.ok_or_else(why)?))));
        }
        Ok(edits)
    }

    fn add(&self, secret: NewSecret, policy: &Policy) -> Result<Edit, Refused> {
        self.room()?;
        policy.window(&secret)?;
        Ok(Edit::AddSecret { client: self.key.clone(), secret })
    }

    /// There is room for one more active secret. At the limit nothing is dropped silently: a person decides.
    fn room(&self) -> Result<(), Refused> {
        if self.active() < self.max_active {
            return Ok(());
        }
        let places = self.secrets.iter().filter(|secret| secret.counts());
        let oldest = places.min_by_key(|secret| (secret.usage.quiet_since(), secret.created));
        Err(Refused::AtLimit {
            client: self.key.clone(),
            active: self.active(),
            limit: self.max_active,
            revoke: oldest.map(|secret| secret.id.clone()),
        })
    }

    fn rotate(&self, secret: NewSecret, grace: Option<Duration>, policy: &Policy) -> Result<Vec<Edit>, Refused> {
        let stands_in = secret.not_before.is_none().then(|| secret.id.clone());
        let mut edits = vec![self.add(secret, policy)?];
        let Some(grace) = grace else { return Ok(edits) };
        let end = policy.now.plus(grace);
        let ending: Vec<&Held> = self.secrets.iter().filter(|old| old.ends_earlier(end)).collect();
        policy.guard(self, ending.iter().copied().filter(|old| self.comes_back(old)), stands_in.as_ref())?;
        edits.extend(ending.into_iter().map(|old| self.set(&old.id, vec![("expires", Some(time(end)))])));
        Ok(edits)
    }

    fn disable(&self, id: &SecretId, policy: &Policy) -> Result<Vec<Edit>, Refused> {
        let secret = self.secret(id)?;
        match secret.state {
            SecretState::Revoked => return Err(Refused::Revoked(id.clone())),
            SecretState::Disabled if secret.refused_until.is_none() => return Ok(Vec::new()),
            _ if self.comes_back(secret) => policy.guard(self, std::iter::once(secret), None)?,
            _ => {}
        }
        let mut set = vec![("status", Some(text("disabled")))];
        set.extend(secret.refused_until.map(|_| ("refused_until", None)));
        Ok(vec![self.set(id, set)])
    }

    fn enable(&self, id: &SecretId) -> Result<Vec<Edit>, Refused> {
        let secret = self.secret(id)?;
        let unmarked = || self.set(id, vec![("refused_until", None)]);
        match secret.state {
            SecretState::Revoked => Err(Refused::Revoked(id.clone())),
            SecretState::Expired => Err(Refused::Expired(id.clone())),
            // A rehearsal that is over, or called off: the place was never given up.
            SecretState::Active | SecretState::Pending if secret.marked => Ok(vec![unmarked()]),
            SecretState::Disabled if secret.refused_until.is_some() => Ok(vec![unmarked()]),
            SecretState::Active | SecretState::Pending => Ok(Vec::new()),
            SecretState::Disabled => {
                self.room()?;
                Ok(vec![self.set(id, vec![("status", None)])])
            }
        }
    }

    fn expire(&self, id: &SecretId, at: Timestamp, policy: &Policy) -> Result<Vec<Edit>, Refused> {
        let secret = self.secret(id)?;
        match secret.state {
            SecretState::Revoked => return Err(Refused::Revoked(id.clone())),
            SecretState::Expired if at > policy.now => return Err(Refused::Expired(id.clone())),
            SecretState::Expired => return Ok(Vec::new()),
            _ if secret.expires == Some(at) => return Ok(Vec::new()),
            _ if secret.begins_after(at) => {
                return Err(Refused::Invalid(format!("{id} would expire before its time comes: revoke it")));
            }
            _ if self.comes_back(secret) && secret.ends_earlier(at) => {
                policy.guard(self, std::iter::once(secret), None)?;
            }
            _ => {}
        }
        Ok(vec![self.set(id, vec![("expires", Some(time(at)))])])
    }

    fn revoke(&self, id: &SecretId, policy: &Policy) -> Result<Vec<Edit>, Refused> {
        let secret = self.secret(id)?;
        if secret.state == SecretState::Revoked {
            return Ok(Vec::new());
        }
        if self.comes_back(secret) {
            policy.guard(self, std::iter::once(secret), None)?;
        }
        Ok(vec![self.set(id, revoked(policy.now, None))])
    }

    fn revoke_compromised(&self, id: &SecretId, policy: &Policy) -> Result<Vec<Edit>, Refused> {
        let compromised = Some(text("compromised"));
        let set = match self.secret(id)?.state {
            SecretState::Revoked => vec![("revoked_reason", compromised)],
            _ => revoked(policy.now, compromised),
        };
        Ok(vec![self.set(id, set)])
    }

    fn revoke_previous(&self, policy: &Policy) -> Result<Vec<Edit>, Refused> {
        let active = self.secrets.iter().filter(|secret| secret.state == SecretState::Active);
        let Some(newest) = active.max_by_key(|secret| secret.created) else { return Ok(Vec::new()) };
        let ends = |secret: &&Held| match secret.state {
            SecretState::Active | SecretState::Disabled => secret.id != newest.id,
            SecretState::Pending | SecretState::Expired | SecretState::Revoked => false,
        };
        let going: Vec<&Held> = self.secrets.iter().filter(ends).collect();
        policy.guard(self, going.iter().copied().filter(|old| self.comes_back(old)), None)?;
        Ok(going.into_iter().map(|old| self.set(&old.id, revoked(policy.now, None))).collect())
    }

    fn rehearse(&self, id: &SecretId, until: Timestamp, policy: &Policy) -> Result<Vec<Edit>, Refused> {
        let secret = self.secret(id)?;
        let wanted = until.since(policy.now);
        if wanted.is_zero() || wanted > MAX_REHEARSAL {
            return Err(Refused::Invalid("a rehearsal lasts up to 1h".to_owned()));
        }
        match secret.state {
            SecretState::Active => policy.guard(self, std::iter::once(secret), None)?,
            state => return Err(Refused::NotActive(id.clone(), state)),
        }
        Ok(vec![self.set(id, vec![("refused_until", Some(time(until)))])])
    }

    fn end_rehearsal(&self, id: &SecretId) -> Result<Vec<Edit>, Refused> {
        let marked = self.secret(id)?.marked;
        Ok(marked.then(|| self.set(id, vec![("refused_until", None)])).into_iter().collect())
    }

    /// Whether it is accepted, or will be after a rehearsal: callers count on it.
    fn comes_back(&self, secret: &Held) -> bool {
        self.enabled && (secret.state == SecretState::Active || secret.refused_until.is_some())
    }

    fn counted_on(&self) -> impl Iterator<Item = &Held> {
        self.secrets.iter().filter(|secret| self.comes_back(secret))
    }

    fn set(&self, secret: &SecretId, set: Vec<(&'static str, Option<Scalar>)>) -> Edit {
        Edit::SetSecret { client: self.key.clone(), secret: secret.clone(), set }
    }
}

impl Held {
    /// Whether an end at `at` takes some of its time away.
    fn ends_earlier(&self, at: Timestamp) -> bool {
        self.counts() && self.expires.is_none_or(|end| at < end) && !self.begins_after(at)
    }

    /// Whether an end at `at` would come before its begin: such a window is none.
    fn begins_after(&self, at: Timestamp) -> bool {
        self.not_before.is_some_and(|begin| at <= begin)
    }
}

fn revoked(now: Timestamp, reason: Option<Scalar>) -> Vec<(&'static str, Option<Scalar>)> {
    let mut set = vec![("status", Some(text("revoked"))), ("revoked_at", Some(time(now))), ("refused_until", None)];
    set.extend(reason.map(|reason| ("revoked_reason", Some(reason))));
    set
}

fn text(word: &str) -> Scalar {
    Scalar::Text(word.to_owned())
}

fn time(at: Timestamp) -> Scalar {
    Scalar::Text(at.rfc3339())
}
