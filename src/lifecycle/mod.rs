//! The rules of the rotation, once, for every door: commands, admin API, pages.
//!
//! A door says what it wants ([`Action`]) of a client as it stands ([`Holder`]); [`decide`] answers with the edits that
//! do it ([`Plan`]) or with the rule that stands against it ([`Refused`]), in which case nothing is changed. Pure: the
//! time, the secret that was made and what is known of each secret's use are arguments.

mod guard;
pub mod progress;
mod refused;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::guard::{Policy, QUIET_FOR};
pub use self::refused::Refused;
use crate::config::clients::{ClientEntry, SecretEntry, SecretStatus};
use crate::config::edit::{Edit, NewClient, NewSecret, Scalar};
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientId, SecretId};
use crate::registry::cells::Sighting;
use crate::registry::{Client, Record, SecretState, Window};

/// A client as the rules see it.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Its id.
    pub id: ClientId,
    /// Whether any secret of it is accepted.
    pub enabled: bool,
    /// How many secrets may be active at once, pending ones counted.
    pub max_active: usize,
    /// Every secret in the list, dead ones included, in its order.
    pub secrets: Vec<Held>,
}

/// A secret as the rules see it.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its id.
    pub id: SecretId,
    /// What it is now.
    pub state: SecretState,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When its time comes.
    pub not_before: Option<Timestamp>,
    /// When its time is over.
    pub expires: Option<Timestamp>,
    /// A rehearsal of its end is under way until then.
    pub refused_until: Option<Timestamp>,
    /// The mark of a rehearsal stands in the list, be it over or not.
    pub marked: bool,
    /// What is known of its use.
    pub usage: Usage,
}

/// What is known of a secret's use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Nothing, and why. Not to be taken for "not used".
    Unknown(String),
    /// What was observed.
    Seen {
        /// Since when; nothing is known about the time before.
        tracking_since: Timestamp,
        /// The last use; nothing where none was observed.
        last_used: Option<Timestamp>,
        /// How often since tracking began.
        uses: u64,
        /// The latest callers.
        from: Vec<Sighting>,
    },
}

impl Usage {
    /// Since when the secret is quiet: the later of its last use and the begin of the tracking.
    pub fn quiet_since(&self) -> Option<Timestamp> {
        match self {
            Self::Unknown(_) => None,
            Self::Seen { tracking_since, last_used, .. } => {
                Some(last_used.map_or(*tracking_since, |at| at.max(*tracking_since)))
            }
        }
    }
}

impl Held {
    /// As it stands in a list, with what is known of its use.
    pub fn of(entry: &SecretEntry, usage: Usage, now: Timestamp) -> Self {
        let window = Window {
            not_before: entry.not_before.unwrap_or(Timestamp::MIN),
            expires: entry.expires.unwrap_or(Timestamp::MAX),
            refused_until: entry.refused_until.unwrap_or(Timestamp::MIN),
        };
        let rehearsed = |until: &Timestamp| entry.status == SecretStatus::Active && now < *until;
        Self {
            id: entry.id.clone(),
            state: SecretState::of(entry.status, window, now),
            created: entry.created,
            not_before: entry.not_before,
            expires: entry.expires,
            refused_until: entry.refused_until.filter(rehearsed),
            marked: entry.refused_until.is_some(),
            usage,
        }
    }

    /// Whether it takes one of the places under the client's limit: it is accepted, or will be by the clock alone.
    pub fn counts(&self) -> bool {
        matches!(self.state, SecretState::Active | SecretState::Pending) || self.refused_until.is_some()
    }
}

impl Holder {
    /// As it stands in a list, with what is known of the use of each secret.
    pub fn of(entry: &ClientEntry, usage: impl Fn(&SecretEntry) -> Usage, now: Timestamp) -> Self {
        Self {
            id: entry.id.clone(),
            enabled: entry.enabled,
            max_active: entry.max_active,
            secrets: entry.secrets.iter().map(|secret| Held::of(secret, usage(secret), now)).collect(),
        }
    }

    /// As it stands in the list in force.
    pub fn of_client(client: &Client, usage: impl Fn(&Record) -> Usage, now: Timestamp) -> Self {
        let held = |record: &Record| Held {
            id: record.id.clone(),
            state: record.state(now),
            created: record.created,
            not_before: Some(record.not_before).filter(|at| *at > Timestamp::MIN),
            expires: Some(record.expires).filter(|end| *end != Timestamp::MAX),
            refused_until: record.rehearsed(now),
            marked: record.refused_until > Timestamp::MIN,
            usage: usage(record),
        };
        Self {
            id: client.id.clone(),
            enabled: client.enabled,
            max_active: client.max_active,
            secrets: client.records.iter().map(held).collect(),
        }
    }

    /// How many places under the limit are taken.
    pub fn active(&self) -> usize {
        self.secrets.iter().filter(|secret| secret.counts()).count()
    }

    /// The secrets that are accepted now.
    pub fn usable(&self) -> impl Iterator<Item = &Held> {
        self.secrets.iter().filter(|secret| self.enabled && secret.state == SecretState::Active)
    }

    fn secret(&self, id: &SecretId) -> Result<&Held, Refused> {
        let found = self.secrets.iter().find(|secret| secret.id == *id);
        found.ok_or_else(|| Refused::NoSecret { client: self.id.clone(), secret: id.clone() })
    }
}

/// What a door wants.
#[derive(Clone, Debug)]
pub enum Action {
    /// A client that is not there yet.
    AddClient(NewClient),
    /// The client and all its secrets go.
    RemoveClient,
    /// The client is switched on or off.
    SetEnabled(bool),
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
    /// Refused until then, to see who fails; accepted again by the clock alone.
    Rehearse(SecretId, Timestamp),
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
pub fn decide(client: &ClientId, holder: Option<&Holder>, action: Action, policy: &Policy) -> Result<Plan, Refused> {
    let Some(holder) = holder else {
        return match action {
            Action::AddClient(new) => Ok(Plan { edits: vec![Edit::AddClient(new)] }),
            _ => Err(Refused::NoClient(client.clone())),
        };
    };
    let edits = match action {
        Action::AddClient(_) => return Err(Refused::ClientExists(client.clone())),
        Action::RemoveClient => {
            policy.guard(holder, holder.usable(), None)?;
            vec![Edit::RemoveClient(client.clone())]
        }
        Action::SetEnabled(wanted) => holder.set_enabled(wanted, policy)?,
        Action::Add(secret) => vec![holder.add(secret, policy)?],
        Action::Rotate { secret, grace } => holder.rotate(secret, grace, policy)?,
        Action::Disable(id) => holder.disable(&id, policy)?,
        Action::Enable(id) => holder.enable(&id)?,
        Action::Expire(id, at) => holder.expire(&id, at, policy)?,
        Action::Revoke(id) => holder.revoke(&id, policy)?,
        Action::RevokeCompromised(id) => holder.revoke_compromised(&id, policy)?,
        Action::Rehearse(id, until) => holder.rehearse(&id, until, policy)?,
    };
    Ok(Plan { edits })
}

impl Holder {
    fn set_enabled(&self, wanted: bool, policy: &Policy) -> Result<Vec<Edit>, Refused> {
        if wanted == self.enabled {
            return Ok(Vec::new());
        }
        if !wanted {
            policy.guard(self, self.usable(), None)?;
        }
        let value = (!wanted).then_some(Scalar::Bool(false));
        Ok(vec![Edit::SetClient { client: self.id.clone(), key: "enabled", value }])
    }

    fn add(&self, secret: NewSecret, policy: &Policy) -> Result<Edit, Refused> {
        self.room()?;
        policy.window(&secret)?;
        Ok(Edit::AddSecret { client: self.id.clone(), secret })
    }

    /// There is room for one more active secret. At the limit nothing is dropped silently: a person decides.
    fn room(&self) -> Result<(), Refused> {
        if self.active() < self.max_active {
            return Ok(());
        }
        let places = self.secrets.iter().filter(|secret| secret.counts());
        let oldest = places.min_by_key(|secret| (secret.usage.quiet_since(), secret.created));
        Err(Refused::AtLimit {
            client: self.id.clone(),
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
        policy.guard(self, ending.iter().copied().filter(|old| self.is_usable(old)), stands_in.as_ref())?;
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

    /// Whether it is accepted, or will be after a rehearsal: callers count on it.
    fn comes_back(&self, secret: &Held) -> bool {
        self.enabled && (secret.state == SecretState::Active || secret.refused_until.is_some())
    }

    fn is_usable(&self, secret: &Held) -> bool {
        self.usable().any(|usable| usable.id == secret.id)
    }

    fn set(&self, secret: &SecretId, set: Vec<(&'static str, Option<Scalar>)>) -> Edit {
        Edit::SetSecret { client: self.id.clone(), secret: secret.clone(), set }
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
