//! A client and its secrets as the rules see them: made of a list's entries or of the list in force, with what is known of
//! each secret's use.

use super::Refused;
use crate::config::clients::{ClientEntry, Material, SecretEntry, SecretStatus};
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientKey, SecretId};
use crate::registry::cells::Sighting;
use crate::registry::{Client, Record, SecretState, Window};

/// A client as the rules see it.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Its tenant and its id.
    pub key: ClientKey,
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
        /// The last time it was presented and refused; nothing where none was observed.
        last_refused: Option<Timestamp>,
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
            // A caller that is refused is a caller all the same.
            Self::Seen { tracking_since, last_used, last_refused, .. } => {
                Some((*last_used).max(*last_refused).map_or(*tracking_since, |at| at.max(*tracking_since)))
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
        let unusable = matches!(entry.material, Material::Unusable { .. });
        let rehearsed = |until: &Timestamp| entry.status == SecretStatus::Active && !unusable && now < *until;
        Self {
            id: entry.id.clone(),
            state: match SecretState::of(entry.status, window, now) {
                // Its hash is none that can be verified: it is never accepted, whatever the list says.
                SecretState::Active | SecretState::Pending if unusable => SecretState::Disabled,
                state => state,
            },
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
            key: entry.key.clone(),
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
            created: record.created(),
            not_before: Some(record.not_before).filter(|at| *at > Timestamp::MIN),
            expires: Some(record.expires).filter(|end| *end != Timestamp::MAX),
            refused_until: record.rehearsed(now),
            marked: record.refused_until() > Timestamp::MIN,
            usage: usage(record),
        };
        Self {
            key: client.key.clone(),
            enabled: client.enabled,
            max_active: client.max_active.into(),
            secrets: client.records().iter().map(held).collect(),
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

    pub(super) fn secret(&self, id: &SecretId) -> Result<&Held, Refused> {
        let found = self.secrets.iter().find(|secret| secret.id == *id);
        found.ok_or_else(|| Refused::NoSecret { client: self.key.clone(), secret: id.clone() })
    }
}
