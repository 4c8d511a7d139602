//! A secret of a client as the list has it, and what it is at a moment.

use std::sync::Arc;

use super::cells::UseCell;
use super::slow::Held;
use crate::config::clients::SecretStatus;
use crate::domain::clock::Timestamp;
use crate::domain::ids::SecretId;
use crate::domain::oauth::AuthResult;
use crate::domain::secret::Digest;

/// One secret of a client.
#[derive(Clone)]
pub struct Record {
    /// Its id.
    pub id: SecretId,
    /// A name for people.
    pub name: Box<str>,
    /// What it keeps of its secret.
    pub held: Held,
    /// What the operator wants of it.
    pub status: SecretStatus,
    /// The last characters of the secret.
    pub hint: Option<Box<str>>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// When its time comes.
    pub not_before: Timestamp,
    /// When its time is over.
    pub expires: Timestamp,
    /// A rehearsal of its end: refused until then.
    pub refused_until: Timestamp,
    /// When it was revoked, where the list tells it.
    pub revoked_at: Option<Timestamp>,
    /// Why it was revoked, where the list tells it.
    pub revoked_reason: Option<Box<str>>,
    /// When it was used. Bound to [`Self::identity`].
    pub uses: Arc<UseCell>,
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
        let window = Window { not_before: self.not_before, expires: self.expires, refused_until: self.refused_until };
        SecretState::of(self.status, window, now)
    }

    /// Until when it is refused for a rehearsal, while one is under way.
    pub fn rehearsed(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.refused_until).filter(|until| self.status == SecretStatus::Active && now < *until)
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
