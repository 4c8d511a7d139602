//! A secret of a client as the list has it, and what it is at a moment.

use super::cells::UseCell;
use super::slow::Held;
use crate::config::clients::{SecretEntry, SecretStatus};
use crate::domain::clock::Timestamp;
use crate::domain::ids::SecretId;
use crate::domain::oauth::AuthResult;
use crate::domain::secret::Digest;

/// One secret of a client.
#[derive(Clone)]
pub struct Record {
    /// Its id.
    pub id: SecretId,
    /// What it keeps of its secret.
    pub held: Held,
    /// What the operator wants of it.
    pub status: SecretStatus,
    /// The last characters of the secret.
    pub hint: Option<Box<str>>,
    /// [`Timestamp::MAX`] where the list does not tell it.
    created: Timestamp,
    /// When its time comes.
    pub not_before: Timestamp,
    /// When its time is over.
    pub expires: Timestamp,
    beside: Option<Box<Beside>>,
    /// When it was used. Bound to [`Self::identity`].
    pub uses: triomphe::Arc<UseCell>,
}

/// What few records have. A list of a million secrets has no room for it in each.
#[derive(Clone, Default, PartialEq, Eq)]
struct Beside {
    name: Box<str>,
    refused_until: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    revoked_reason: Option<Box<str>>,
}

/// What a secret is at a moment: the closed set of `status` in the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretState {
    /// Accepted.
    Active,
    /// Its time has not come.
    Pending,
    /// Its time is over.
    Expired,
    /// Switched off, or refused for a rehearsal.
    Disabled,
    /// Gone for good.
    Revoked,
}

/// When a secret is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When its time comes.
    pub not_before: Timestamp,
    /// When its time is over.
    pub expires: Timestamp,
    /// A rehearsal of its end: refused until then.
    pub refused_until: Timestamp,
}

impl SecretState {
    /// What a secret is, given what the operator wants of it.
    pub fn of(status: SecretStatus, window: Window, now: Timestamp) -> Self {
        match status {
            SecretStatus::Revoked => Self::Revoked,
            SecretStatus::Disabled => Self::Disabled,
            SecretStatus::Active if now >= window.expires => Self::Expired,
            SecretStatus::Active if now < window.not_before => Self::Pending,
            SecretStatus::Active if now < window.refused_until => Self::Disabled,
            SecretStatus::Active => Self::Active,
        }
    }

    /// All of them, in the order of the metrics.
    pub const ALL: [Self; 5] = [Self::Active, Self::Pending, Self::Expired, Self::Disabled, Self::Revoked];

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pending => "pending",
            Self::Expired => "expired",
            Self::Disabled => "disabled",
            Self::Revoked => "revoked",
        }
    }
}

impl Record {
    /// As a list writes it, with what it keeps of its secret, the last characters of that, and where its use is noted.
    pub(super) fn new(entry: SecretEntry, held: Held, hint: Option<String>, uses: triomphe::Arc<UseCell>) -> Self {
        let SecretEntry { refused_until, revoked_at, revoked_reason, .. } = entry;
        let beside = Beside {
            name: entry.name.into(),
            refused_until,
            revoked_at,
            revoked_reason: revoked_reason.map(Into::into),
        };
        Self {
            id: entry.id,
            held,
            status: entry.status,
            hint: hint.map(Into::into),
            created: entry.created.unwrap_or(Timestamp::MAX),
            not_before: entry.not_before.unwrap_or(Timestamp::MIN),
            expires: entry.expires.unwrap_or(Timestamp::MAX),
            beside: Some(beside).filter(|beside| *beside != Beside::default()).map(Box::new),
            uses,
        }
    }

    /// A name for people.
    pub fn name(&self) -> &str {
        self.beside.as_ref().map_or("", |beside| &beside.name)
    }

    /// When it was made, where the list tells it.
    pub fn created(&self) -> Option<Timestamp> {
        Some(self.created).filter(|at| *at < Timestamp::MAX)
    }

    /// A rehearsal of its end: refused until then.
    pub fn refused_until(&self) -> Timestamp {
        self.beside.as_ref().and_then(|beside| beside.refused_until).unwrap_or(Timestamp::MIN)
    }

    /// When it was revoked, where the list tells it.
    pub fn revoked_at(&self) -> Option<Timestamp> {
        self.beside.as_ref()?.revoked_at
    }

    /// Why it was revoked, where the list tells it.
    pub fn revoked_reason(&self) -> Option<&str> {
        self.beside.as_ref()?.revoked_reason.as_deref()
    }

    /// Dead as another record is.
    pub(super) fn die_as(&mut self, other: &Self) {
        self.status = other.status;
        let beside = self.beside.get_or_insert_default();
        beside.revoked_at = other.revoked_at();
        beside.revoked_reason = other.revoked_reason().map(Into::into);
    }

    /// What tells this secret from any other that the same id may come to stand for: use is bound to it. It is the SHA-256
    /// of the secret where the record keeps that, else a digest of the written hash in a domain of its own.
    pub fn identity(&self) -> Digest {
        self.held.identity()
    }

    /// What it is at a moment.
    pub fn state(&self, now: Timestamp) -> SecretState {
        if matches!(self.held, Held::Unusable(_)) && self.status == SecretStatus::Active && now < self.expires {
            return SecretState::Disabled;
        }
        let window = Window { not_before: self.not_before, expires: self.expires, refused_until: self.refused_until() };
        SecretState::of(self.status, window, now)
    }

    /// Whether it can be accepted now or later, as far as its window goes.
    pub(super) fn is_alive(&self, now: Timestamp) -> bool {
        let usable = !matches!(self.held, Held::Unusable(_));
        usable && self.status == SecretStatus::Active && now < self.expires
    }

    /// What a presented secret is compared with while its window holds; nothing where it is slow, or never accepted.
    pub(super) const fn compared(&self) -> Option<&Digest> {
        match (&self.held, self.status) {
            (Held::Fast(digest), SecretStatus::Active) => Some(digest),
            _ => None,
        }
    }

    /// Until when it is refused for a rehearsal, while one is under way.
    pub fn rehearsed(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.refused_until()).filter(|until| self.status == SecretStatus::Active && now < *until)
    }

    /// The result that presenting it is counted under when it was refused.
    pub fn why_refused(&self, now: Timestamp) -> AuthResult {
        match self.state(now) {
            SecretState::Active => AuthResult::InvalidSecret,
            SecretState::Pending => AuthResult::NotYetValidSecret,
            SecretState::Expired => AuthResult::ExpiredSecret,
            SecretState::Disabled => AuthResult::DisabledSecret,
            SecretState::Revoked => AuthResult::RevokedSecret,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::client::Head;
    use super::*;

    #[test]
    fn states_stand_in_the_order_that_they_are_counted_in() {
        assert_eq!(SecretState::ALL.map(|state| state as usize), [0, 1, 2, 3, 4]);
    }

    /// What a list of a million secrets takes follows from these: the allocator gives 384 bytes to whoever wants 321, and
    /// 448 to whoever wants 385; and 48 and 64 to whoever wants 33 and 49. Before what is shared stands its counter, and before
    /// the secrets how many they are.
    #[test]
    fn a_client_and_its_secrets_fit_their_places() {
        let word = size_of::<usize>();
        let client = word + size_of::<Head>() + word + 2 * size_of::<Record>();
        assert!(client <= 384, "{} and {}", size_of::<Head>(), size_of::<Record>());
        assert!(word + size_of::<UseCell>() <= 48, "{}", size_of::<UseCell>());
    }
}
