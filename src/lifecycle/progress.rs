//! Where the rotation of a client stands, in one word and one next step.

use std::time::Duration;

use super::guard::QUIET_FOR;
use super::{Held, Holder, Usage};
use crate::domain::clock::Timestamp;
use crate::registry::SecretState;

/// The rotation of a client at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// One secret in use, nothing to do.
    Steady,
    /// Old and new are both in use.
    Rotating,
    /// The old ones have been quiet for long enough.
    Ready,
    /// A new secret was made and nobody took it up.
    Stalled,
    /// The newest secret ends soon, and no other stands behind it.
    Expiring,
    /// No secret is accepted.
    LockedOut,
}

/// A new secret that is not used by then was forgotten rather than rolled out slowly.
const FORGOTTEN: Duration = Duration::from_secs(7 * 86400);
/// Time enough to get a rotation done in office hours.
const SOON: Duration = Duration::from_secs(30 * 86400);

impl Progress {
    /// The word for tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Rotating => "rotating",
            Self::Ready => "ready to finish",
            Self::Stalled => "stalled",
            Self::Expiring => "expiring",
            Self::LockedOut => "no active secret",
        }
    }

    /// Where a client stands.
    pub fn of(holder: &Holder, now: Timestamp) -> Self {
        let usable: Vec<&Held> = holder.usable().collect();
        let Some(newest) = usable.iter().max_by_key(|secret| secret.created) else { return Self::LockedOut };
        let older = || usable.iter().filter(|secret| secret.id != newest.id);
        let quiet = |secret: &&&Held| secret.usage.quiet_since().is_some_and(|since| now.since(since) >= QUIET_FOR);
        let unused = matches!(newest.usage, Usage::Seen { last_used: None, .. });
        // What is not known is not taken for use.
        let used = matches!(newest.usage, Usage::Seen { last_used: Some(_), .. });
        let old = newest.created.is_some_and(|created| now.since(created) >= FORGOTTEN);
        let pending = holder.secrets.iter().any(|secret| secret.state == SecretState::Pending);
        let ends_soon = newest.expires.is_some_and(|end| end.since(now) <= SOON);
        match older().count() {
            0 if ends_soon && !pending => Self::Expiring,
            0 => Self::Steady,
            _ if unused && old => Self::Stalled,
            count if older().filter(quiet).count() == count && used => Self::Ready,
            _ => Self::Rotating,
        }
    }
}
